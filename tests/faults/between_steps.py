"""An app of tasks that end in every way, and processes that end between two steps of a completion.

    python -m tests.faults.between_steps BROKER BACKEND FOLDER CASE...

forks one process for each case `QUEUE:COUNT:STEP:HOW`. It takes COUNT messages of QUEUE, runs them, completes them as one
batch, as a worker does, and once STEP is done it is killed (`kill`), or its connections fail (`cut`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faena import Faena, group
from faena.app.links import Link
from faena.backend import Completion
from faena.drivers.rabbitmq.consumer import Tap
from faena.engine.attempt import Attempt, Ended, Runner
from faena.engine.batch import BatchRun
from faena.engine.completion import Completer
from faena.errors import BackendUnavailable, BrokerUnavailable
from faena.model.delivery import Delivery
from faena.worker.connection import Connection

AT_ONCE = 4
LIVE = "live"  # where what follows is run


def make_app(broker: str, backend: str, folder: Path) -> Faena:
    app = Faena("steps", broker=broker, backend=backend, set_as_current=False, task_default_queue=LIVE)

    def mark(text: str) -> None:
        descriptor = os.open(folder / "marks", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, (text + "\n").encode())
        os.close(descriptor)

    @app.task(name="add")
    def add(a: int, b: int = 1) -> int:
        return a + b

    @app.task(name="total", bind=True)
    def total(self: Any, numbers: list[int]) -> list[Any]:
        mark(f"total {self.request.id}")
        return [sum(numbers), os.urandom(8).hex()]  # never the same again: who records a second one is seen

    @app.task(name="after")
    def after(value: Any) -> list[Any]:
        return [value, "after"]

    @app.task(name="note", bind=True)
    def note(self: Any, value: Any, key: str) -> str:
        mark(f"note {key} {value}")
        return key

    @app.task(name="boom", dead_letter=True)
    def boom(*_: Any) -> None:
        raise ValueError("boom")

    @app.task(name="flaky", bind=True, max_retries=3)
    def flaky(self: Any) -> int:
        if self.request.retries == 0:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    @app.task(name="single", unique=True)
    def single(key: str) -> str:
        return key

    @app.task(name="single_and_silent", unique=True, ignore_result=True)
    def single_and_silent(key: str) -> str:
        return key

    @app.task(name="several", batch=(10, "0.1s"))
    def several(calls: Sequence[Any]) -> list[Any]:
        return [call.args[0] * 2 for call in calls]

    @app.task(name="parks", bind=True)
    def parks(self: Any, n: int, key: str) -> int:
        first = self.step("first", lambda: mark(f"step {key}") or n + 1)
        return int(first + self.wait_for_event(f"go-{key}", timeout=600))

    @app.task(name="sleeps", bind=True)
    def sleeps(self: Any) -> str:
        self.sleep(0.05)
        return "slept"

    @app.task(name="remembers", bind=True)
    def remembers(self: Any, key: str) -> int:
        return int(self.step("only", lambda: mark(f"step {key}") or 5))

    @app.task(name="forgets", bind=True, ignore_result=True)
    def forgets(self: Any, key: str) -> int:
        return int(self.step("only", lambda: mark(f"step {key}") or 5))

    @app.task(name="splits", bind=True)
    def splits(self: Any, n: int) -> None:
        raise self.replace(group(add.s(n, each) for each in range(3)) | total.s())

    @app.task(name="grows", bind=True)
    def grows(self: Any, n: int) -> int:
        self.add_to_chord(add.s(n, 10))
        return n

    return app


# -- a process that ends between two steps -----------------------------------------------------------------


class Struck:
    """Ends the process, or its connections, as soon as a step is done for the first time."""

    def __init__(self, step: str, how: str) -> None:
        self._name, self._how, self._is_over = step, how, False

    def watch(self, link: Link, connection: Connection) -> None:
        """Replace the step in this process by one that strikes."""
        opened = connection._opened
        assert opened is not None
        owner, name = {
            "nothing": (type(link.backend), "record"),
            "record": (type(link.backend), "record"),
            "advance": (type(link.backend.workflows), "advance"),
            "publish": (type(link.broker), "publish"),
            "published": (type(link.backend.workflows), "published"),
            "end": (type(link.backend.journal), "end"),
            "park": (type(link.backend.journal), "park"),
            "send": (Tap, "acknowledge"),  # what a settlement publishes is with the server, and it is not acknowledged
            "settle": (type(opened.consumer), "settle"),
            "release": (type(link.backend.claims), "release"),
        }[self._name]
        taken = getattr(owner, name)

        async def step(*args: Any, **kwargs: Any) -> Any:
            answer = await taken(*args, **kwargs)
            self._strike()
            return answer

        def struck(*args: Any, **kwargs: Any) -> Any:
            self._strike()
            return taken(*args, **kwargs)

        if self._name != "nothing":
            setattr(owner, name, struck if self._name == "send" else step)

    def strike_before(self) -> None:
        if self._name == "nothing":
            self._strike()

    def _strike(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        error = BrokerUnavailable if self._name in ("publish", "send", "settle") else BackendUnavailable
        raise error("the connection was cut")


async def complete_struck(app: Faena, folder: Path, queue: str, count: int, struck: Struck) -> None:
    """Do as a worker's process does with `count` messages that end together."""
    link = app.links.connect("asyncio")
    await link.broker.open()
    holder = await link.broker.leases.open_holder("struck", 600.0)
    (folder / f"holder-{queue}").write_text(holder)

    async def nothing(_: Link) -> None:
        """There are no orders."""

    connection = Connection(app.links, holder, [queue], on_open=nothing)
    runner = Runner(app.tasks, app.codecs, hostname="struck")
    completer = Completer(app.codecs, app.sender, app.rules("struck"), app.tasks)
    batch: list[Delivery] = []
    while len(batch) < count:
        got = await connection.with_inputs(await connection.receive(count - len(batch), 5.0))
        batch += [item for item in got if isinstance(item, Delivery)]
    completions = _run_all(app, runner, completer, batch)
    struck.watch(await connection.link(), connection)
    struck.strike_before()
    await connection.complete(completions)
    await connection.close()
    await link.broker.close()


def _run_all(app: Faena, runner: Runner, completer: Completer, batch: Sequence[Delivery]) -> list[Completion]:
    completions = []
    together = [item for item in batch if app.tasks[item.message.task].batch is not None]
    for item in batch:
        if item in together:
            continue
        begun = runner.begin(item)
        outcome = begun.outcome if isinstance(begun, Ended) else runner.run(begun)
        completions.append(completer.complete(begun, outcome)[0])
    if together:
        run = BatchRun(runner, [runner.begin(item) for item in together])
        assert isinstance(run.whole, Attempt)
        completions += [completer.complete(*each)[0] for each in run.outcomes(runner.run(run.whole))]
    return completions


def main(broker: str, backend: str, folder: Path, cases: Sequence[str]) -> None:
    """Fork a process for each case; say how each has ended."""
    app = make_app(broker, backend, folder)
    running: dict[int, str] = {}
    for case in cases:
        if len(running) >= AT_ONCE:
            _wait(running)
        pid = os.fork()
        if pid:
            running[pid] = case
            continue
        queue, count, step, how = case.split(":")
        try:
            asyncio.run(complete_struck(app, folder, queue, int(count), Struck(step, how)))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    while running:
        _wait(running)


def _wait(running: dict[int, str]) -> None:
    pid, status = os.wait()
    sys.stdout.write(f"{running.pop(pid)} {os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
