"""One application on every store: only its two URLs differ. Where a broker cannot do something, its capabilities say so,
and whoever asks for it is refused with the reason."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.conformance.rabbitmq_places import remove_all
from tests.conftest import WorkerProcess, wait_until

from faena import Faena
from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.drivers.rabbitmq.location import locate
from faena.errors import ChordError, DuplicateCall, NotSupported, TaskRevokedError
from faena.model.workflow import WorkflowState
from faena.tasks.canvas import Chain, Chord, Group
from faena.tasks.unique import Unique
from faena.testing.redis_server import RedisServer, redis_server_binary
from faena.testing.worker import InProcessWorker

RABBITMQ = os.environ.get("FAENA_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
STORES = ["memory", "sqlite", "redis", "rabbitmq and redis", "rabbitmq and a file", "redis and a file"]
QUEUES = "default,other,dead"
PATIENCE_S = 30.0

APP = """
import asyncio, os, time
from pathlib import Path
from faena import Faena, group

app = Faena("anywhere", broker={broker!r}, backend={backend!r}, set_as_current=False)
FOLDER = Path({folder!r})

def mark(text):
    descriptor = os.open(FOLDER / "marks", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, (text + "\\n").encode())
    os.close(descriptor)

@app.task
def add(a, b=1):
    return a + b

@app.task
async def aadd(a, b=1):
    await asyncio.sleep(0)
    return a + b

@app.task
def same(value):
    return value

@app.task
def total(numbers, more=0):
    return sum(numbers) + more

@app.task
def boom(*_):
    raise ValueError("boom")

@app.task
def note(*given, key):
    mark(f"{{key}} {{given}}")

@app.task(bind=True, max_retries=3)
def flaky(self, until=2):
    if self.request.retries < until:
        raise self.retry(countdown=0)
    return self.request.retries

@app.task(autoretry_for=(ValueError,), max_retries=1, retry_backoff=False, default_retry_delay=0)
def gives_up(key):
    mark(key)
    raise ValueError("for good")

@app.task(bind=True)
def split(self, n):
    raise self.replace(group(add.s(n, each) for each in range(3)) | total.s())

@app.task(bind=True)
def grow(self, n):
    self.add_to_chord(add.s(n, 10))
    return n

@app.task(bind=True)
def steps(self, key):
    first = self.step("first", lambda: mark(f"step {{key}}") or 1)
    self.sleep(0.05)
    return first + self.wait_for_event(f"go-{{key}}", timeout=60)

@app.task(bind=True)
def shows(self, key):
    self.progress(3, 4, "nearly")
    while not (FOLDER / key).exists():
        time.sleep(0.005)
    return "shown"

@app.task(dead_letter=True)
def letter(key):
    if not (FOLDER / key).exists():
        raise ValueError("not yet")
    return "delivered"

@app.task(unique=True)
def single(key):
    while not (FOLDER / key).exists():
        time.sleep(0.005)
    return key

@app.task(batch=(10, "0.05s"))
def doubled(calls):
    return [call.args[0] * 2 for call in calls]

@app.task(ignore_result=True)
def silent(key):
    mark(key)
    return "nobody hears it"

@app.task
def from_schedule(key):
    mark(key)
"""


class Shop:
    """The application on one store, and what a test needs to know of it."""

    def __init__(self, module: ModuleType, folder: Path, worker: WorkerProcess | None) -> None:
        self.module, self.folder, self.worker = module, folder, worker
        self.app: Faena = module.app
        self.able = self.app.connection().broker.capabilities

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def marks(self) -> list[str]:
        try:
            return (self.folder / "marks").read_text().splitlines()
        except FileNotFoundError:
            return []

    def until_marked(self, text: str, count: int = 1) -> None:
        wait_until(lambda: self.marks().count(text) >= count, PATIENCE_S, lambda: (text, self.marks()))

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a command."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("FAENA_")}
        return subprocess.Popen(
            [os.path.join(os.path.dirname(sys.executable), "faena"), "-A", "app", *words],
            cwd=self.folder, env={**environ, "NO_COLOR": "1"}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def commands(self) -> None:
        if self.worker is None:
            pytest.skip("nobody else sees what is in the memory of this process")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if redis_server_binary() is None:
        pytest.skip("no redis-server or valkey-server on this machine")
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def rabbitmq_prefix() -> Iterator[Callable[[], str]]:
    """Return prefixes of names, which are taken away in the end."""
    node = locate(RABBITMQ, {}).nodes[0]
    try:
        socket.create_connection((node.host, node.port), 2).close()
    except OSError as error:
        pytest.skip(f"no RabbitMQ at {node.host}:{node.port} ({error}); FAENA_TEST_RABBITMQ_URL names another")
    prefixes: list[str] = []

    def another() -> str:
        prefixes.append(f"anywhere-{new_id()[-12:]}.")
        return prefixes[-1]

    yield another
    for prefix in prefixes:
        asyncio.run(remove_all(RABBITMQ, {"prefix": prefix}))


def urls_of(store: str, folder: Path, request: pytest.FixtureRequest) -> tuple[str, str]:
    names = {word: f"sqlite:///{folder}/{word}.db" for word in ("sqlite", "file")}
    names["memory"] = f"memory://{new_id()}"
    if "redis" in store:
        names["redis"] = f"{request.getfixturevalue('redis_url')}?prefix={new_id()}"
    if "rabbitmq" in store:  # each kind of queues once
        prefix = request.getfixturevalue("rabbitmq_prefix")()
        queue_type = "classic" if "file" in store else "quorum"
        names["rabbitmq"] = f"{RABBITMQ}?prefix={prefix}&queue_type={queue_type}"
    words = [word for word in store.split() if word in names]
    return names[words[0]], names[words[-1]]


def load(folder: Path) -> ModuleType:
    """Load the app as the worker does: its tasks are called `app.add` and so on."""
    spec = importlib.util.spec_from_file_location("app", folder / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=STORES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("anywhere")
    broker, backend = urls_of(request.param, folder, request)
    (folder / "app.py").write_text(APP.format(broker=broker, backend=backend, folder=str(folder)))
    module = load(folder)
    with module.app:
        if request.param == "memory":
            with InProcessWorker(module.app, queues=QUEUES.split(","), threads=2):
                yield Shop(module, folder, None)
        else:
            worker = WorkerProcess(Here(folder), ["-c", "1", "-Q", QUEUES, "-n", "one@here"], environ_of())
            try:
                yield Shop(module, folder, worker.until_ready())
                assert worker.stop() == 0, worker.text()
            finally:
                worker.end()
        statuses = run(module.app.connection().broker.queues.status())
        assert [each for each in statuses if each.waiting or each.held] == []  # nothing is left
        assert list(run(module.app.connection().backend.workflows.unpublished(time.time() + 60, 10))) == []
        module.app.close()


class Here:
    """What a worker's process has to know of its place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[WorkerProcess] = []


def environ_of() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FAENA_")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}


def refused(call: Callable[[], Any]) -> bool:
    """Say whether a call is refused as what this broker cannot do, with a reason."""
    with pytest.raises(NotSupported) as caught:
        call()
    return ":" in str(caught.value) or ";" in str(caught.value) or "(" in str(caught.value)


# -- tasks and results -------------------------------------------------------------------------------------


def test_values_of_every_kind_come_back(shop):
    values = [
        None,
        True,
        7,
        2.5,
        "ñ",
        [1, [2]],
        {"a": {"b": []}},
        datetime(2026, 1, 2, tzinfo=UTC),
        b"\0\xff",
        "x" * 300_000,
    ]
    sent = [shop.same.delay(value) for value in values]
    assert [each.get(timeout=PATIENCE_S) for each in sent] == values
    assert shop.aadd.delay(1, 2).get(timeout=PATIENCE_S) == 3
    assert shop.app.send_many(shop.add.s(n) for n in range(50)).get(timeout=PATIENCE_S) == list(range(1, 51))
    with pytest.raises(ValueError, match="boom"):
        shop.boom.delay().get(timeout=PATIENCE_S)
    assert shop.boom.delay().get(timeout=PATIENCE_S, propagate=False).args == ("boom",)


def test_results_are_awaited_and_can_be_done_without(shop):
    async def work() -> Any:
        sent = await shop.add.adelay(20, 22)
        value = await sent.aget(timeout=PATIENCE_S)
        await shop.app.links.aclose()
        return value

    assert asyncio.run(work()) == 42
    result = shop.silent.delay("silent")
    shop.until_marked("silent")
    assert result.record is None


def test_calls_are_collected_and_run_together(shop):
    with shop.app.buffered():
        sent = [shop.doubled.delay(n) for n in range(7)]
    assert [each.get(timeout=PATIENCE_S) for each in sent] == [2 * n for n in range(7)]


def test_retries_and_links(shop):
    assert shop.flaky.delay().get(timeout=PATIENCE_S) == 2
    with pytest.raises(ValueError, match="for good"):
        shop.gives_up.delay("gives up").get(timeout=PATIENCE_S)
    assert shop.marks().count("gives up") == 2
    shop.add.apply_async((1, 2), link=shop.note.s(key="linked"), link_error=shop.note.s(key="not this"))
    failed = shop.boom.apply_async(link=shop.note.s(key="nor this"), link_error=shop.note.s(key="failed"))
    shop.until_marked("linked (3,)")
    shop.until_marked(f"failed ('{failed.id}',)")
    assert not [line for line in shop.marks() if line.startswith(("not this", "nor this"))]


def test_delays_and_expiry(shop):
    begun_s = time.time()
    later = shop.add.apply_async((1,), countdown=0.3)
    at = shop.add.apply_async((2,), eta=datetime.now(UTC) + timedelta(seconds=0.3))
    late = shop.add.apply_async((3,), countdown=0.3, expires=0.1)
    assert [later.get(timeout=PATIENCE_S), at.get(timeout=PATIENCE_S)] == [2, 3]
    assert time.time() - begun_s >= 0.3
    with pytest.raises(TaskRevokedError, match="expired"):
        late.get(timeout=PATIENCE_S)


def test_progress_is_seen_while_a_task_runs(shop):
    result = shop.shows.delay("progress")
    wait_until(lambda: result.state == "PROGRESS", PATIENCE_S)
    assert result.progress == {"current": 3, "total": 4, "text": "nearly"}
    (shop.folder / "progress").touch()
    assert result.get(timeout=PATIENCE_S) == "shown"


# -- workflows ---------------------------------------------------------------------------------------------


def test_workflows_of_every_shape(shop):
    add, total = shop.add, shop.total
    inner = Group(add.s(), Chain(add.s(), shop.aadd.s()), Chord([add.s()], total.s()))
    flows = {
        "chain": (Chain(add.s(1), add.s(), shop.aadd.s(5)), 8),
        "group": (Group(add.s(n) for n in range(4)), [1, 2, 3, 4]),
        "chord": (Chord([add.s(n) for n in range(20)], total.s(more=1)), 211),
        "nested": (add.s(1) | inner | total.s() | add.s(), (3 + 4 + 3) + 1),
        "starmap": (add.starmap([(1, 2), (3, 4)]), [3, 7]),
        "chunks": (add.chunks([(n, n) for n in range(5)], 2), [[0, 2], [4, 6], [8]]),
        "replaced": (add.s(0) | shop.split.s() | add.s(), 1 + 2 + 3 + 1),
        "grown": (Chord([shop.grow.s(1), shop.grow.s(2)], total.s()), 1 + 2 + 11 + 12),
        "skipped": (Group(add.s(1), shop.boom.s().if_fails("skip"), add.s(2)) | total.s(), 5),
        "retried": (Chord([shop.flaky.s(), add.s(1)], total.s()), 4),
    }
    sent = {name: flow.delay() for name, (flow, _) in flows.items()}
    assert {name: each.get(timeout=PATIENCE_S) for name, each in sent.items()} == {
        name: end for name, (_, end) in flows.items()
    }
    assert sent["chord"].workflow.state is WorkflowState.SUCCESS


def test_failures_spread_and_an_errback_runs_once(shop):
    flow = (Group(shop.boom.s(), shop.boom.s(), shop.add.s(1)) | shop.total.s()).on_error(shop.note.s(key="hook"))
    with pytest.raises(ChordError, match="boom"):
        flow.delay().get(timeout=PATIENCE_S)
    wait_until(lambda: [line for line in shop.marks() if line.startswith("hook")], PATIENCE_S)
    broken = (shop.add.s(1) | shop.letter.si("later") | shop.add.s(1)).delay()
    with pytest.raises(ValueError, match="not yet"):
        broken.get(timeout=PATIENCE_S)
    assert len([line for line in shop.marks() if line.startswith("hook")]) == 1


def test_a_workflow_is_cancelled_and_runs_again_from_where_it_failed(shop):
    held = Chain(shop.add.s(1).set(countdown=600), shop.add.s()).delay()
    held.workflow.cancel()
    with pytest.raises(TaskRevokedError):
        held.get(timeout=PATIENCE_S)
    flow = Chain(shop.add.s(1), shop.letter.si("again"), shop.same.s()).delay()
    with pytest.raises(ValueError, match="not yet"):
        flow.get(timeout=PATIENCE_S)
    (shop.folder / "again").touch()
    flow.workflow.retry()
    assert shop.app.AsyncResult(flow.id).get(timeout=PATIENCE_S) == "delivered"


def test_a_task_goes_on_after_its_steps_when_an_event_happens(shop):
    sent = [shop.steps.delay("alone"), Chain(shop.steps.si("node"), shop.add.s(10)).delay()]
    for key, value in (("alone", 40), ("node", 50)):
        shop.until_marked(f"step {key}")
        shop.app.signal_event(f"go-{key}", value)
    assert [each.get(timeout=PATIENCE_S) for each in sent] == [41, 61]
    assert [shop.marks().count(f"step {key}") for key in ("alone", "node")] == [1, 1]


# -- what depends on the broker ----------------------------------------------------------------------------


def test_what_is_more_urgent_comes_first_where_there_are_priorities(shop):
    shop.commands()
    sent = [shop.add.apply_async((n,), queue="ranked", priority=priority) for n, priority in enumerate((1, 5, 9))]
    assert {shop.app.AsyncResult(each.id).state for each in sent} == {"PENDING"}
    shop.app.control.add_consumer("ranked")
    values = [each.get(timeout=PATIENCE_S) for each in sent]
    shop.app.control.cancel_consumer("ranked")
    assert values == [1, 2, 3]
    began = [each.record.started_at_s for each in sent]
    assert began == sorted(began, reverse=shop.able.priority_levels > 1)


def test_unique_tasks_and_what_takes_the_place_of_a_waiting_one(shop):
    first, second = shop.single.delay("one key"), shop.single.delay("one key")
    assert (second.id, second.is_duplicate) == (first.id, True)
    with pytest.raises(DuplicateCall):
        shop.single.apply_async(("one key",), unique=Unique(on_conflict="error"))
    (shop.folder / "one key").touch()
    assert first.get(timeout=PATIENCE_S) == "one key"
    wait_until(lambda: not shop.single.delay("one key").is_duplicate, PATIENCE_S)

    def debounced() -> Any:
        return shop.add.apply_async((1, 2), debounce=0.2)

    if shop.able.cancels:
        handles = [debounced() for _ in range(3)]
        assert len({each.id for each in handles}) == 1
        assert handles[0].get(timeout=PATIENCE_S) == 3
    else:
        assert refused(debounced)


def test_revoked_tasks_do_not_run(shop):
    waiting = shop.note.apply_async(kwargs={"key": "never"}, countdown=0.3)
    waiting.revoke()
    with pytest.raises(TaskRevokedError):
        waiting.get(timeout=PATIENCE_S)
    running = shop.shows.delay("terminated")
    wait_until(lambda: running.state == "PROGRESS", PATIENCE_S)
    if shop.worker is None:  # threads cannot be killed
        (shop.folder / "terminated").touch()
        assert running.get(timeout=PATIENCE_S) == "shown"
    else:
        running.revoke(terminate=True)
        with pytest.raises(TaskRevokedError):
            running.get(timeout=PATIENCE_S)
    assert not [line for line in shop.marks() if line.startswith("never")]


def test_dead_letters_are_put_back(shop):
    result = shop.letter.apply_async(("dead",), queue="dead")
    with pytest.raises(ValueError, match="not yet"):
        result.get(timeout=PATIENCE_S)
    letter = wait_until(lambda: shop.app.dead_letters.find(result.id), PATIENCE_S)
    assert (letter.queue, letter.reason, letter.message.task) == ("dead", "failed", "app.letter")
    assert result.id in [each.message.id for each in shop.app.dead_letters.list(queue="dead")]
    (shop.folder / "dead").touch()
    assert shop.app.dead_letters.requeue(ids=[result.id]).count == 1
    assert shop.app.AsyncResult(result.id).get(timeout=PATIENCE_S) == "delivered"
    assert shop.app.dead_letters.find(result.id) is None


def test_schedules_send(shop):
    shop.app.schedules.add("often", "app.from_schedule", 0.2, args=["tick"])
    shop.until_marked("tick", 2)
    shop.app.schedules.remove("often")
    assert "often" not in [each.schedule.name for each in shop.app.schedules.list()]


def test_queues_are_paused_and_limited_or_that_is_refused(shop):
    def limit() -> Any:
        return shop.app.control.rate_limit("app.add", "1000/s")

    shop.app.control.pause_queue("other")  # the broker does it, or the backend keeps it in mind
    result = shop.add.apply_async((1,), queue="other")
    if shop.able.locates:
        assert shop.app.explain(result.id).why == "queue-paused"
    assert not result.ready()
    shop.app.control.resume_queue("other")
    assert result.get(timeout=PATIENCE_S) == 2
    if shop.able.limits:
        limit()
        assert shop.add.delay(1).get(timeout=PATIENCE_S) == 2
        shop.app.control.rate_limit("app.add", None)
    else:
        assert refused(limit)


# -- looking, and the command line -------------------------------------------------------------------------


def test_workers_answer(shop):
    shop.commands()
    control = shop.app.control
    wait_until(control.workers, PATIENCE_S)
    assert control.ping() == {"one@here": {"ok": "pong"}}
    running = shop.shows.delay("asked")
    wait_until(lambda: running.state == "PROGRESS", PATIENCE_S)
    assert [task["id"] for task in control.inspect().active()["one@here"]] == [running.id]
    assert "app.add" in control.inspect().registered()["one@here"]
    assert shop.app.explain(running.id).why == "running"
    (shop.folder / "asked").touch()
    assert running.get(timeout=PATIENCE_S) == "shown"


def test_the_command_line_does_its_work(shop):
    link = shop.app.connection()
    if link.backend.joint(link.broker, "") is not None:
        pytest.skip("where both are one store it is tried at length in tests/scenarios/command_line")
    flow = (shop.add.s(1) | shop.add.s(2)).delay()
    assert flow.get(timeout=PATIENCE_S) == 4
    begun = {
        "call": shop.begin("call", "app.add", "1", "2", "--wait", "--quiet"),
        "result": shop.begin("result", flow.id, "--json"),
        "queues": shop.begin("queues", "--json"),
        "workflow": shop.begin("workflow", "list"),
        "ping": shop.begin("inspect", "ping", "--timeout", "10"),
        "dead": shop.begin("dead", "list"),
        "pause": shop.begin("queues", "pause", "aside"),
    }
    said = {name: (*process.communicate(timeout=60), process.returncode) for name, process in begun.items()}
    assert said["call"][0] == "3\n"
    assert json.loads(said["result"][0])["result"] == 4
    assert "default" in said["queues"][0]
    assert "app.add" in said["workflow"][0]
    assert "one@here" in said["ping"][0]
    codes = {name: code for name, (_, _, code) in said.items()}
    assert set(codes.values()) == {0}, said
