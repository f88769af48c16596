"""Kill processes and supervisors at random moments while workflows of every shape run: each reaches its one right end.

`FAENA_TEST_WORKFLOWS=500 FAENA_TEST_KILLS=200` is the long form.
"""

import os
import random
import re
import signal
import time
from collections import Counter
from contextlib import suppress

import pytest

from faena import Faena
from faena._lib.drive import run
from faena.errors import ChordError
from faena.model.workflow import WorkflowState
from faena.tasks.canvas import Chain, Chord, Group

LEASE_S = 3

APP = """
from faena import group

def work(n=1):
    time.sleep(n % 5 / 2000)

@app.task
def inc(n):
    work(n)
    return n + 1

@app.task
async def ainc(n):
    await asyncio.sleep(n % 5 / 2000)
    return n + 1

@app.task
def total(numbers, more=0):
    work()
    return sum(numbers) + more

@app.task(bind=True)
def split(self, n):
    raise self.replace(group(inc.s(n + i) for i in range(3)) | total.s())

@app.task(bind=True, max_retries=3, default_retry_delay=0)
def flaky(self, n):
    if self.request.retries < 2:
        raise self.retry()
    return n + 1

@app.task
def boom(n):
    raise ValueError(f"boom {n}")

@app.task
def hook(task_id, name):
    mark(f"hook {name}")
    return name

@app.task(bind=True)
def steps(self, n):
    first = self.step("first", lambda: n + 1)
    self.sleep(0.05)
    second = self.step("second", lambda: first + 1)
    return second + self.wait_for_event(f"go-{n}", timeout=600)
"""


class Shapes:
    """Workflows with what must come of each, made from the client's side by name."""

    def __init__(self, client, seed):
        self.client, self.random = client, random.Random(seed)
        self.expected = {}  # number -> value, or the class of the error
        self.handles = {}
        self.bodies = []  # ids of bodies of chords that must succeed
        self.hooks = []
        self.events = []

    def s(self, name, *args, **kwargs):
        return self.client.signature(f"app.{name}", args, kwargs)

    def send(self, number):
        kind = self.random.choice(("chain", "chord", "nested", "split", "flaky", "broken", "skipping", "steps", "group"))
        canvas, expected = getattr(self, kind)(number)
        self.expected[number] = expected
        handle = self.handles[number] = canvas.apply_async()
        if kind in ("chord", "flaky"):
            self.bodies.append(handle.id)

    def chain(self, n):
        length = self.random.randint(2, 6)
        return Chain(self.s("inc", n), *(self.s("ainc" if i % 2 else "inc") for i in range(length - 1))), n + length

    def chord(self, n):
        size = self.random.randint(1, 8)
        header = [self.s(self.random.choice(("inc", "ainc")), n + i) for i in range(size)]
        return Chord(header, self.s("total", more=1)), sum(n + i + 1 for i in range(size)) + 1

    def nested(self, n):
        inner = Group(self.s("inc"), Chain(self.s("inc"), self.s("ainc")), Chord([self.s("inc")], self.s("total")))
        return self.s("inc", n) | inner | self.s("total") | self.s("inc"), (n + 2) + (n + 3) + (n + 2) + 1

    def split(self, n):
        return self.s("inc", n) | self.s("split") | self.s("inc"), sum(n + 1 + i + 1 for i in range(3)) + 1

    def flaky(self, n):
        return Chord([self.s("flaky", n), self.s("inc", n)], self.s("total")), 2 * n + 2

    def broken(self, n):
        self.hooks.append(f"h{n}")
        hook = self.s("hook", f"h{n}")
        return (Group(self.s("inc", n), self.s("boom", n)) | self.s("total")).on_error(hook), ChordError

    def skipping(self, n):
        members = (self.s("inc", n), self.s("boom", n).if_fails("skip"), self.s("ainc", n))
        return Group(*members) | self.s("total"), 2 * n + 2

    def steps(self, n):
        self.events.append(n)
        return self.s("steps", n) | self.s("inc"), n + 2 + 1000 + 1

    def group(self, n):
        return Group(self.s("inc", n + i) for i in range(4)), [n + i + 1 for i in range(4)]


def kill_one(random_, site, workers, until, settings):
    worker = random_.choice(workers)
    worker.until_ready()
    time.sleep(random_.uniform(0.0, 0.12))  # the moment of the kill is what is random here
    try:
        if random_.random() < 0.12:
            os.kill(worker.pid, signal.SIGKILL)
            worker.popen.wait()
            for pid in worker.session() if random_.random() < 0.5 else ():  # as when a machine goes
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            workers[workers.index(worker)] = site.worker("-n", f"w{len(site.workers)}", ready=False, **settings)
        else:
            os.kill(random_.choice(until(worker.processes, what=worker.text)), signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has just ended by itself


def succeeded_lines(site, pattern):
    """Return how often each task is logged as succeeded: once for each success that was taken."""
    lines = Counter()
    for worker in site.workers:
        lines.update(re.findall(rf"app\.{pattern}\[([^\]]+)\] succeeded", worker.text()))
    return lines


@pytest.mark.parametrize(
    ("stores", "workflows", "kills", "seed"),
    [
        pytest.param("one", 40, 10, 1),
        pytest.param("two", 80, 20, 2),
        pytest.param("redis", 80, 20, 3),
        pytest.param("redis and a file", 40, 8, 4),
        pytest.param("a file and redis", 60, 12, 5),
        pytest.param(
            os.environ.get("FAENA_TEST_STORES", "one"),
            int(os.environ.get("FAENA_TEST_WORKFLOWS", "150")),
            int(os.environ.get("FAENA_TEST_KILLS", "60")),
            int(os.environ.get("FAENA_TEST_SEED", "7")),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_killing_processes_loses_no_step_and_takes_none_twice(request, site, until, stores, workflows, kills, seed):
    random_ = random.Random(seed)
    server = request.getfixturevalue("redis_of")("--appendonly", "yes") if "redis" in stores else None
    if stores.startswith("redis"):
        site.url = server.url
    backend = site.url
    if stores == "a file and redis":  # two stores: every end of a task takes four steps instead of one
        backend = server.url
    elif stores in ("two", "redis and a file"):
        backend = f"sqlite:///{site.folder / 'backend.db'}"
    # the kills hit whom they will: nobody is suspected of them
    site.app(APP, f"backend={backend!r}, task_crash_limit=1000")
    settings = {"FAENA_WORKER_LEASE": str(LEASE_S), "FAENA_WORKER_LOG_TASKS": "all"}
    workers = [site.worker("-n", f"w{number}", ready=False, **settings) for number in range(2)]
    site._client = Faena("client", broker=site.url, backend=backend, set_as_current=False)
    shapes = Shapes(site.client, seed)
    for kill in range(kills):
        for number in range(kill * workflows // kills, (kill + 1) * workflows // kills):
            shapes.send(number)
        while shapes.events and random_.random() < 0.7:
            site.client.signal_event(f"go-{shapes.events.pop(0)}", 1000)
        kill_one(random_, site, workers, until, settings)
        if server is not None and random_.random() < 0.15:
            server.restart(signal.SIGKILL)
    for n in shapes.events:
        site.client.signal_event(f"go-{n}", 1000)

    statuses = site.client.workflows.latest

    def at_rest():
        return all(status.active == 0 for status in statuses(workflows + 10))

    until(at_rest, 240, lambda: [status for status in statuses(workflows) if status.active])
    found = {}
    for number, handle in shapes.handles.items():
        try:
            found[number] = handle.get(timeout=30)
        except ChordError:
            found[number] = ChordError
    assert found == shapes.expected
    states = {handle.workflow.state for handle in shapes.handles.values()}
    assert states <= {WorkflowState.SUCCESS, WorkflowState.FAILURE}

    totals = succeeded_lines(site, "total")
    assert {task_id: count for task_id, count in totals.items() if count > 1} == {}
    hooks = succeeded_lines(site, "hook")
    assert {task_id: count for task_id, count in hooks.items() if count > 1} == {}
    assert {f"hook {name}" for name in shapes.hooks} <= set(site.marks())
    site.until_drained(60)
    backend_ = site.client.connection().backend
    assert list(run(backend_.workflows.unpublished(time.time() + 60, 10))) == []
    assert {letter.reason.value for letter in site.dead()} <= {"failed"}
    assert [worker.until_ready().stop() for worker in workers] == [0, 0]
