"""Soft and hard time limits for functions in the main thread and in threads, and for coroutines."""

import time

import pytest

APP = """
from faena.errors import SoftTimeLimitExceeded, TimeLimitExceeded

@app.task
def sleep(seconds=60):
    mark("begin")
    time.sleep(seconds)
    return "end"

@app.task
def nap(seconds=60):
    "Sleeps in small pieces, so that a thread can be interrupted."
    mark("begin")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.02)
    return "end"

@app.task
def receive():
    mark("begin")
    ours, theirs = socket.socketpair()
    ours.recv(1)

@app.task
def wait_for_lock():
    mark("begin")
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

@app.task
def tidy():
    mark("begin")
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            time.sleep(0.02)
    except SoftTimeLimitExceeded:
        mark("tidied")
        return "tidied"

@app.task
def swallow():
    mark("begin")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            while time.monotonic() < until:
                time.sleep(0.02)
        except BaseException as error:
            mark(f"swallowed {type(error).__name__}")

@app.task(soft_time_limit=0.3, time_limit=40)
def limited():
    mark("begin")
    time.sleep(60)

@app.task
async def await_sleep(seconds=60):
    mark("begin")
    await asyncio.sleep(seconds)
    return "end"

@app.task
def nap_at_first():
    return nap(60 if once("nap") else 0)

@app.task
async def await_at_first():
    return await await_sleep(60 if once("sleep") else 0)

@app.task
async def await_tidy():
    mark("begin")
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded:
        mark("tidied")
        await asyncio.sleep(0.05)
        return "tidied"

@app.task
async def await_swallow():
    mark("begin")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            await asyncio.sleep(60)
        except BaseException as error:
            mark(f"swallowed {type(error).__name__}")

@app.task
async def await_group():
    mark("begin")
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        group.create_task(asyncio.sleep(60))

@app.task
async def block():
    "A coroutine that blocks the loop: only the supervisor can end it."
    mark("begin")
    time.sleep(60)

@app.task(autoretry_for=(SoftTimeLimitExceeded,), retry_backoff=0.01, max_retries=2)
def retried():
    mark("begin")
    time.sleep(60)

@app.task
def exact(n, seconds):
    mark(n)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return n

@app.task
async def await_exact(n, seconds):
    mark(n)
    await asyncio.sleep(seconds)
    return n

@app.task
def work(n):
    return n
"""

POOLS = {"process": ("-c", "1"), "threads": ("-P", "threads", "-c", "3")}


@pytest.fixture
def app(site):
    site.app(APP)


@pytest.mark.parametrize(
    ("pool", "names"),
    [("process", ("sleep", "receive", "wait_for_lock", "await_sleep", "await_group")), ("threads", ("nap",))],
)
def test_a_soft_limit_interrupts_also_what_blocks(site, app, pool, names):
    from faena.errors import SoftTimeLimitExceeded

    worker = site.worker(*POOLS[pool])
    pids = worker.processes()
    for name in names:
        result = site.send(name, soft_time_limit=0.4)
        with pytest.raises(SoftTimeLimitExceeded, match=rf"task 'app\.{name}' ran longer than its soft time limit"):
            result.get(timeout=5)
        assert 0.38 <= result.record.finished_at_s - result.record.started_at_s < 1.0
    assert site.send("work", 1).get(timeout=5) == 1
    assert worker.processes() == pids, "the process goes on"
    assert site.marks() == {"begin": len(names)}


@pytest.mark.parametrize(("pool", "name"), [("process", "tidy"), ("threads", "tidy"), ("process", "await_tidy")])
def test_a_task_can_tidy_up_at_its_soft_limit(site, app, pool, name):
    site.worker(*POOLS[pool])
    assert site.send(name, soft_time_limit=0.3, time_limit=5).get(timeout=4) == "tidied"


@pytest.mark.parametrize(
    ("pool", "names", "is_killed"),
    [
        ("process", ("sleep", "receive", "await_sleep"), False),
        ("threads", ("nap",), False),
        ("process", ("swallow", "await_swallow", "block"), True),
        ("threads", ("sleep", "receive"), None),  # killed unless the main thread, which a signal wakes, has taken it
        ("threads", ("swallow",), True),
    ],
    ids=["process that is asked", "thread that is asked", "process that is killed", "thread", "thread that is killed"],
)
def test_a_hard_limit_ends_every_task_and_only_that(site, app, pool, names, is_killed):
    from faena.errors import TimeLimitExceeded

    worker = site.worker(*POOLS[pool])
    for name in names:
        pids = worker.processes()
        began_s = time.monotonic()
        result = site.send(name, time_limit=0.5)
        with pytest.raises(TimeLimitExceeded, match=rf"task 'app\.{name}' ran longer than its time limit"):
            result.get(timeout=8)
        assert 0.5 <= time.monotonic() - began_s < (1.5 if is_killed is False else 4.5)
        assert site.send("work", 1).get(timeout=5) == 1
        assert is_killed is None or (worker.processes() != pids) == is_killed
        letter = site.dead()[0]
        assert (letter.message.id, letter.reason, letter.crashes) == (result.id, "failed", 0)
    assert site.marks()["begin"] == len(names), "a task over its limit has failed: it does not run again"


@pytest.mark.parametrize("name", ["swallow", "block"])
def test_killing_for_a_hard_limit_hands_the_neighbours_back_without_a_crash(site, app, name):
    from faena.errors import TimeLimitExceeded

    site.worker("-c", "1", "--threads", "3")
    neighbours = [site.send("nap_at_first"), site.send("await_at_first")]
    site.until_marked("begin", count=2)
    with pytest.raises(TimeLimitExceeded):
        site.send(name, time_limit=0.5).get(timeout=8)
    assert [neighbour.get(timeout=12) for neighbour in neighbours] == ["end", "end"]
    assert site.marks()["begin"] == 5, "the neighbours have begun twice"
    assert len(site.dead()) == 1


def test_limits_of_the_call_go_before_those_of_the_task_and_those_before_the_settings(site, app):
    from faena.errors import SoftTimeLimitExceeded, TimeLimitExceeded

    site.worker("-c", "3", "--soft-time-limit", "1.2", "--time-limit", "30")
    results = [site.send("sleep"), site.send("limited"), site.send("limited", time_limit=0.9, soft_time_limit=0.7)]
    took = []
    for result in results:
        with pytest.raises((SoftTimeLimitExceeded, TimeLimitExceeded)):
            result.get(timeout=8)
        took.append(result.record.finished_at_s - result.record.started_at_s)
    assert 1.18 <= took[0] < 1.6
    assert 0.28 <= took[1] < 0.65
    assert 0.68 <= took[2] < 1.1


def test_a_task_may_be_retried_for_its_time_limit(site, app):
    from faena.errors import SoftTimeLimitExceeded

    site.worker("-c", "1")
    result = site.send("retried", soft_time_limit=0.3)
    with pytest.raises(SoftTimeLimitExceeded):
        result.get(timeout=8)
    assert site.marks() == {"begin": 3}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("-c", "2"), "exact"),
        (("-P", "threads", "-c", "4"), "exact"),
        (("-c", "1", "--coroutines", "20"), "await_exact"),
    ],
    ids=["main thread", "threads", "coroutines"],
)
def test_a_task_that_ends_just_at_its_limit_ends_once_one_way_or_the_other(site, app, words, name):
    """Interruptions that come too late hit nobody: neither the next task nor the process.

    The tasks end up to 50 ms before and after the limit, most of them close to it: it comes late on a busy machine.
    """
    count = 84  # four times each of 21 moments
    client = site.client
    sent = list(
        client.send_many(
            client.signature(f"app.{name}", (n, 0.1 + ((n % 21 - 10) / 10) ** 3 / 20), soft_time_limit=0.1, time_limit=0.2)
            for n in range(count)
        )
    )
    worker = site.worker(*words, FAENA_WORKER_LOG_TASKS="none")
    before = worker.processes()
    site.until_drained(25)
    states = {result.state for result in sent}
    assert states <= {"SUCCESS", "FAILURE"}
    if name == "exact" and len(before) == 2:
        assert len(states) == 2, "the limit was not where the tasks end"
    assert worker.processes() == before
    assert set(site.marks().values()) == {1}
    assert site.send("work", 1).get(timeout=5) == 1
