"""A process ends between any two steps of a completion, on every pair of stores: nothing is lost, and nothing ends twice.

Where broker and backend are two stores, the end of a task is several steps (`faena.engine.completion`). Here processes are
killed after each of them, and their connections cut, with tasks that end in every way: all in one batch, or, with
FAENA_TEST_CHAOS=full, each alone. Then one worker lives, and everything comes to its one right end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.rabbitmq_places import remove_all
from tests.faults.between_steps import LIVE, make_app

from faena import Faena
from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.drivers.rabbitmq.location import locate
from faena.engine.attempt import Ended
from faena.engine.completion import Completer, conclude
from faena.engine.outcome import Failed
from faena.errors import ChordError
from faena.model.delivery import Delivery
from faena.model.event import EventKind
from faena.scheduler.loop import ROLE, do_duties
from faena.tasks.canvas import Chain, Chord, Group
from faena.testing.worker import InProcessWorker, run_pending

RABBITMQ = os.environ.get("FAENA_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
IS_FULL = os.environ.get("FAENA_TEST_CHAOS") == "full"
PATIENCE_S = 60.0

PLAIN = ("value", "linked", "fails", "retries", "unique", "silent", "batch", "parks", "sleeps", "remembers", "forgets")
FLOWS = ("chain", "chord", "split", "starts", "hooked", "grown", "waits", "linked node", "retried node")
ALONE = ["nothing", "record", "publish", "end", "park", "send", "settle", "release"]
IN_FLOWS = ["nothing", "advance", "publish", "published", "end", "park", "send", "settle"]


class Sent:
    """What was sent for one case, and what must come of it."""

    def __init__(self, app: Faena, queue: str) -> None:
        self._app, self.queue = app, queue
        self.count = 0  # messages that the struck process has to take
        self.results: list[tuple[str, Any, Any]] = []  # kind, handle, what must come out: a value, or the class of an error
        self.notes: list[str] = []  # what must have followed
        self.dead: list[str] = []
        self.events: list[str] = []
        self.steps: list[str] = []
        self.silent: list[str] = []
        self.bodies: list[Any] = []

    def _s(self, name: str, *args: Any, here: bool = False, **kwargs: Any) -> Any:
        made = self._app.signature(name, args, kwargs)
        return made.set(queue=self.queue) if here else made

    def send(self, kind: str) -> None:
        getattr(self, "_" + kind.replace(" ", "_"))(f"{self.queue}-{kind.replace(' ', '-')}")

    def _took(self, kind: str, handle: Any, expected: Any, count: int = 1) -> Any:
        self.results.append((kind, handle, expected))
        self.count += count
        return handle

    def _note(self, key: str) -> Any:
        self.notes.append(key)
        return self._s("note", key=key)

    # -- tasks that belong to no workflow ------------------------------------------------------------------

    def _value(self, _: str) -> None:
        self._took("value", self._s("add", 1, here=True).delay(), 2)

    def _linked(self, key: str) -> None:
        self._took("linked", self._s("add", 2, here=True).apply_async(link=self._note(key)), 3)

    def _fails(self, key: str) -> None:
        handle = self._s("boom", here=True).apply_async(link_error=self._note(key))
        self.dead.append(self._took("fails", handle, ValueError).id)

    def _retries(self, _: str) -> None:
        self._took("retries", self._s("flaky", here=True).delay(), 1)

    def _unique(self, key: str) -> None:
        self._took("unique", self._s("single", key, here=True).delay(), key)

    def _silent(self, key: str) -> None:
        self.silent.append(key)
        self._s("single_and_silent", key, here=True).apply_async(link=self._note(key))
        self.count += 1

    def _batch(self, _: str) -> None:
        for n in (4, 5):
            self._took("batch", self._s("several", n, here=True).delay(), 2 * n)

    def _parks(self, key: str) -> None:
        self.events.append(key)
        self.steps.append(key)
        self._took("parks", self._s("parks", 1, key, here=True).delay(), 1 + 1 + 1000)

    def _sleeps(self, _: str) -> None:
        self._took("sleeps", self._s("sleeps", here=True).delay(), "slept")

    def _remembers(self, key: str) -> None:
        self.steps.append(key)
        self._took("remembers", self._s("remembers", key, here=True).delay(), 5)

    def _forgets(self, key: str) -> None:
        """Nothing is recorded of it: that it has run shows by what follows."""
        self.steps.append(key)
        self._s("forgets", key, here=True).apply_async(link=self._note(key))
        self.count += 1

    # -- workflows -----------------------------------------------------------------------------------------

    def _chain(self, _: str) -> None:
        self._took("chain", Chain(self._s("add", 1, here=True), self._s("add"), self._s("add")).delay(), 4)

    def _chord(self, _: str) -> None:
        header = [self._s("add", n, here=True) for n in range(3)]
        self.bodies.append(self._took("chord", Chord(header, self._s("total")).delay(), [6, ...], 3))

    def _split(self, _: str) -> None:
        flow = Chain(self._s("splits", 1, here=True), self._s("after"))
        self._took("split", flow.delay(), [[6, ...], "after"])

    def _starts(self, _: str) -> None:
        self._took("starts", self._s("splits", 2, here=True).delay(), [9, ...])

    def _hooked(self, key: str) -> None:
        members = Group(self._s("boom", here=True), self._s("add", 1, here=True))
        flow = (members | self._s("total")).on_error(self._note(key))
        self._took("hooked", flow.delay(), ChordError, 2)

    def _grown(self, _: str) -> None:
        header = [self._s("grows", n, here=True) for n in (1, 2)]
        self.bodies.append(self._took("grown", Chord(header, self._s("total")).delay(), [1 + 11 + 2 + 12, ...], 2))

    def _waits(self, key: str) -> None:
        self.events.append(key)
        self.steps.append(key)
        self._took("waits", Chain(self._s("parks", 1, key, here=True), self._s("add")).delay(), 1003)

    def _linked_node(self, key: str) -> None:
        first = self._s("add", 5, here=True)
        first.link(self._note(key))
        self._took("linked node", Chain(first, self._s("add")).delay(), 7)

    def _retried_node(self, _: str) -> None:
        self._took("retried node", Chain(self._s("flaky", here=True), self._s("add")).delay(), 2)


def is_as(found: Any, expected: Any) -> bool:
    """Compare; `...` stands for a token that a run has drawn."""
    if isinstance(expected, type):
        return isinstance(found, expected)
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(each is ... or is_as(own, each) for own, each in zip(found, expected, strict=True))
        )
    return bool(found == expected)


# -- stores ------------------------------------------------------------------------------------------------


@pytest.fixture
def rabbitmq() -> Iterator[str]:
    node = locate(RABBITMQ, {}).nodes[0]
    try:
        socket.create_connection((node.host, node.port), 2).close()
    except OSError as error:
        pytest.skip(f"no RabbitMQ at {node.host}:{node.port} ({error}); FAENA_TEST_RABBITMQ_URL names another")
    prefix = f"steps-{new_id()[-12:]}."
    yield f"{RABBITMQ}?prefix={prefix}&queue_type=classic"
    asyncio.run(remove_all(RABBITMQ, {"prefix": prefix}))


@pytest.fixture(
    params=[
        "rabbitmq and redis",
        "rabbitmq and a file",
        "redis and a file",
        "two files",
        pytest.param("a file and redis", marks=pytest.mark.slow),
        pytest.param("two redis", marks=pytest.mark.slow),
    ]
)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The URLs of a broker and a backend that are two stores."""
    redis = request.getfixturevalue("redis_of")().url if "redis" in request.param else ""
    rabbitmq = request.getfixturevalue("rabbitmq") if "rabbitmq" in request.param else ""
    one, two = f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/two.db"
    return {
        "rabbitmq and redis": (rabbitmq, redis),
        "rabbitmq and a file": (rabbitmq, two),
        "redis and a file": (redis, two),
        "a file and redis": (one, redis),
        "two files": (one, two),
        "two redis": (redis, f"{redis.rstrip('/0')}/1" if redis.endswith("/0") else f"{redis}/1"),
    }[request.param]


@pytest.fixture
def app(pair: tuple[str, str], tmp_path: Path) -> Iterator[Faena]:
    app = make_app(*pair, tmp_path)
    with app:
        yield app
        app.close()


# -- the test ----------------------------------------------------------------------------------------------


def cases_of(app: Faena) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Return queue, step, how, and the kinds of tasks that end together there."""
    found = []
    is_bound = app.connection().broker.capabilities.lease == "connection"
    for name, kinds, steps in (("plain", PLAIN, ALONE), ("flows", FLOWS, IN_FLOWS)):
        for kinds_of_one in [(kind,) for kind in kinds] if IS_FULL else [kinds]:
            for step in steps:
                if step == "send" and not is_bound:
                    continue  # there a settlement is one step
                for how in ("kill", "cut") if step not in ("nothing", "release") else ("kill",):
                    own = "" if not IS_FULL else kinds_of_one[0].replace(" ", "-") + "-"
                    found.append((f"{name}-{own}{step}-{how}", step, how, kinds_of_one))
    return found


def strike(app: Faena, folder: Path, sent: list[tuple[Sent, str, str]]) -> dict[str, int]:
    """Let a process take the messages of each case and be struck; return how each has ended."""
    words = [f"{each.queue}:{each.count}:{step}:{how}" for each, step, how in sent]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.between_steps", *app.links.urls(), str(folder), *words],
        capture_output=True, text=True, timeout=240, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ended = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert ended.keys() == set(words), done.stderr
    broker = app.connection().broker
    for each, _, _ in sent:  # as their supervisor does at once
        run(broker.leases.recover((folder / f"holder-{each.queue}").read_text(), {}))
    codes = {each.queue: int(ended[word]) for (each, _, _), word in zip(sent, words, strict=True)}
    assert 1 not in codes.values(), done.stderr
    return codes


def test_what_is_struck_between_two_steps_comes_to_its_one_right_end(
    app: Faena, tmp_path: Path, until: Callable[..., Any]
) -> None:
    sent: list[tuple[Sent, str, str]] = []
    for queue, step, how, kinds in cases_of(app):
        each = Sent(app, queue)
        for kind in kinds:
            each.send(kind)
        sent.append((each, step, how))
    codes = strike(app, tmp_path, sent)
    if not IS_FULL:  # where one kind is alone it does not come by each step
        assert codes == {each.queue: -signal.SIGKILL if how == "kill" else 0 for each, _, how in sent}
    # nobody repairs: what the struck processes have left is sent by those who are handed their messages
    assert run(app.connection().backend.lead(ROLE, "the test", 3600.0))
    with InProcessWorker(app, queues=[LIVE, *(each.queue for each, _, _ in sent)], threads=2):
        for each, _, _ in sent:
            for key in each.events:
                app.signal_event(f"go-{key}", 1000)
        first = {}
        wrong = []
        for each, _, _ in sent:
            for kind, handle, expected in each.results:
                found = handle.get(timeout=PATIENCE_S, propagate=False)
                first[handle.id] = found
                if not is_as(found, expected):
                    wrong.append((each.queue, kind, expected, found))
        assert not wrong
        notes = {key for each, _, _ in sent for key in each.notes}
        until(lambda: notes <= noted(tmp_path), PATIENCE_S, lambda: notes - noted(tmp_path))
        until(lambda: at_rest(app), PATIENCE_S)
        until(lambda: waiting(app) == 0, PATIENCE_S)
    for each, _, _ in sent:
        for kind, handle, expected in each.results:
            if not isinstance(expected, type):
                assert handle.get(timeout=5) == first[handle.id], (each.queue, kind)  # the first one stands
        for body in each.bodies:
            assert body.state == "SUCCESS"
    nothing_is_left(app, [each for each, _, _ in sent], tmp_path)


def test_a_task_that_was_woken_is_sent_once_however_long_it_runs(app: Faena) -> None:
    result = app.tasks["parks"].delay(1, "long")
    run_pending(app)
    assert result.state == "WAITING"
    app.signal_event("go-long", 40)
    run(do_duties(app.connection(), grace_s=-1.0))  # as if it had been handed out for long
    events = run_pending(app)
    assert [event.kind for event in events] == [EventKind.TASK_SUCCEEDED]
    assert result.get(timeout=5) == 42
    assert not run(app.connection().backend.journal.waiting(None, 10))


def test_a_step_that_failed_runs_again_although_its_worker_has_still_to_let_go_of_it(app: Faena) -> None:
    flow = Chain(app.signature("boom"), app.signature("add")).delay()
    link = app.connection()
    consumer = link.broker.consumer(run(link.broker.leases.open_holder("failing", 600.0)), [LIVE])
    (delivery,) = run(consumer.receive(1, 10.0))
    assert isinstance(delivery, Delivery)
    outcome = Failed(ValueError("boom"))
    completer = Completer(app.codecs, app.sender, app.rules("failing"), app.tasks)
    completion, _ = completer.complete(Ended(delivery, outcome, app.tasks["boom"]), outcome)
    run(conclude(link.broker, link.backend, [completion]))
    with pytest.raises(ValueError, match="boom"):  # whoever waits knows of it, and may act upon that
        flow.get(timeout=10)
    again = threading.Thread(target=flow.workflow.retry)
    again.start()
    again.join(0.1)  # where it need not wait it is done now
    assert list(run(consumer.settle([completion.settlement]))) == [True]
    again.join(10)
    assert not again.is_alive()
    run(consumer.close())
    assert [event.kind for event in run_pending(app)] == [EventKind.TASK_FAILED]


def lines(folder: Path) -> Counter[str]:
    return Counter((folder / "marks").read_text().splitlines())


def noted(folder: Path) -> set[str]:
    return {line.split(" ")[1] for line in lines(folder) if line.startswith("note ")}


def at_rest(app: Faena) -> bool:
    return all(status.active == 0 for status in app.workflows.latest(10_000))


def waiting(app: Faena) -> int:
    statuses = run(app.connection().broker.queues.status())
    return sum(status.waiting + (status.delayed or 0) + (status.held or 0) + status.limited for status in statuses)


def nothing_is_left(app: Faena, sent: list[Sent], folder: Path) -> None:
    """Look into both stores: what is there is results, and letters of what has failed."""
    broker, backend = app.connection().broker, app.connection().backend
    assert list(run(backend.workflows.unpublished(time.time() + 60, 10))) == []
    assert list(run(backend.journal.waiting(None, 10))) == []
    flows = [status.workflow.id for status in app.workflows.latest(10_000)]
    assert not any(run(backend.journal.parked([handle.id for each in sent for _, handle, _ in each.results])))
    assert flows or not any(kind in FLOWS for each in sent for kind, _, _ in each.results)
    letters = run(broker.dead_letters.list(None, 1000))
    died = {letter.message.id for letter in letters if letter.message is not None and letter.message.member is None}
    assert died == {task_id for each in sent for task_id in each.dead}
    if broker.capabilities.deduplicates:
        assert len({letter.message.id for letter in letters if letter.message}) == len(letters)
    did = {line.removeprefix("step "): count for line, count in lines(folder).items() if line.startswith("step ")}
    assert did == {key: 1 for each in sent for key in each.steps}  # a step that was remembered is not done again
    for each in sent:
        for key in each.silent:
            assert not app.signature("single_and_silent", (key,)).delay().is_duplicate, key
        for kind, handle, expected in each.results:
            if kind == "unique":
                again = app.signature("single", (expected,)).delay()
                assert not again.is_duplicate, each.queue
            if kind in ("remembers", "parks") and broker.capabilities.deduplicates:  # else it is kept until it expires
                assert list(run(backend.journal.read(handle.id))) == [], each.queue
