"""Many calls in one run, by real workers: what is gathered, what is given back, what a crash does."""

import os
import signal
from collections import Counter

import pytest

from faena import chord
from faena.errors import SoftTimeLimitExceeded, TaskRevokedError, WorkerLostError

APP = """
@app.task(batch=(100, "0.4s"))
def count(calls):
    mark(f"count {len(calls)}")
    return [call.args[0] for call in calls]

@app.task(batch=(100, "0.4s"))
async def acount(calls):
    mark(f"acount {len(calls)}")
    await asyncio.sleep(0.01)
    return [call.args[0] for call in calls]

@app.task(batch=(50, "0.2s"))
def poisoned(calls):
    mark(f"poisoned {len(calls)}")
    if any(call.args[0] == 7 for call in calls):
        mark("poison")
        os._exit(9)
    return [call.args[0] for call in calls]

@app.task(batch=(50, "60s"))
def patient(calls):
    return [call.args[0] for call in calls]

@app.task(batch=(20, "0.1s"), max_retries=3, default_retry_delay=0)
def picky(calls):
    for call in calls:
        if call.args[0] % 3 == 0:
            call.fail(ValueError(f"three {call.args[0]}"))
        elif call.args[0] % 3 == 1 and call.retries < 2:
            call.retry()
    return [call.retries for call in calls]

@app.task(batch=(5, "0.1s"), soft_time_limit=0.2)
def slow(calls):
    time.sleep(10)

@app.task(batch=(5, "0.1s"))
def stuck(calls):
    mark("stuck")
    while not os.path.exists("go"):
        time.sleep(0.01)
    return [call.args[0] for call in calls]

@app.task
def stubborn(n):
    mark("stubborn")
    while True:
        try:
            time.sleep(10)
        except BaseException:
            pass

@app.task(batch=(5, "60s"))
def held(calls):
    mark(f"held {len(calls)}")
    while len(calls) > 1 and not os.path.exists("go"):
        time.sleep(0.01)
    return [call.args[0] for call in calls]

@app.task
def total(numbers):
    return sum(numbers)

@app.task
def work(n):
    return n
"""


@pytest.fixture
def app(site):
    site.app(APP)


def sizes(site, name):
    found = Counter()
    for text, times in site.marks().items():
        if text.startswith(f"{name} "):
            found[int(text.split()[1])] += times
    return found


def test_calls_are_gathered_and_each_ends_in_its_own_way(site, app):
    """One worker for all of it: it takes longer to start than to do that."""
    client = site.client
    counted = {name: site.send_all(name, range(250)) for name in ("count", "acount")}
    worker = site.worker("-c", "1")
    for name, results in counted.items():
        assert [each.get(timeout=20) for each in results] == list(range(250))
        assert sizes(site, name) == {100: 2, 50: 1}

    results = site.send_all("picky", range(60))
    ended = [each.get(timeout=20, propagate=False) for each in results]
    assert [str(each) if isinstance(each, Exception) else each for each in ended] == [
        f"three {n}" if n % 3 == 0 else 2 if n % 3 == 1 else 0 for n in range(60)
    ]
    assert len(site.dead()) == 20

    header = [client.signature("app.count", (n,)) for n in range(30)]
    assert chord(header, client.signature("app.total"), app=client).delay().get(timeout=20) == sum(range(30))

    results = site.send_all("slow", range(5))  # a time limit is that of the run
    assert {type(each.get(timeout=20, propagate=False)) for each in results} == {SoftTimeLimitExceeded}
    assert worker.stop() == 0


def test_a_call_that_kills_its_process_takes_no_other_along(site, app):
    results = site.send_all("poisoned", range(20))
    others = site.send_all("work", range(20))
    site.worker("-c", "2")
    with pytest.raises(WorkerLostError):
        results[7].get(timeout=30)
    assert [each.get(timeout=20) for n, each in enumerate(results) if n != 7] == [n for n in range(20) if n != 7]
    assert [each.get(timeout=20) for each in others] == list(range(20))
    assert [letter.message.id for letter in site.dead()] == [results[7].id]
    assert site.marks()["poison"] in (3, 4)  # with the others, where the crash may be counted for another; then alone


def test_what_waits_for_company_blocks_nobody_and_is_given_back_at_the_end(site, app):
    waits = site.send_all("patient", range(10))
    worker = site.worker("-c", "1")
    others = site.send_all("work", range(100))
    assert [each.get(timeout=10) for each in others] == list(range(100))
    assert site.queue().held == 10
    assert worker.stop() == 0
    assert (site.queue().waiting, site.queue().held) == (10, 0)
    site.worker("-c", "1")
    more = site.send_all("patient", range(10, 50))
    assert [each.get(timeout=10) for each in [*waits, *more]] == list(range(50))


def test_a_process_that_is_killed_in_the_middle_of_a_batch_loses_no_call(site, app):
    results = site.send_all("stuck", range(5))
    worker = site.worker("-c", "1")
    site.until_marked("stuck")
    (site.folder / "go").touch()
    for pid in worker.processes():
        os.kill(pid, signal.SIGKILL)
    assert [each.get(timeout=20) for each in results] == list(range(5))


def test_a_batch_is_not_stopped_for_one_of_its_calls(site, app):
    results = site.send_all("held", range(5))
    worker = site.worker("-c", "1")
    site.until_marked("held 5")
    site.worker("-c", "1", "-n", "other")
    (stubborn,) = site.send_all("stubborn", range(1))
    site.until_marked("stubborn")
    for each in results:
        site.client.control.revoke(each.id, terminate=True, signal="SIGKILL")
    site.client.control.revoke(stubborn.id, terminate=True, signal="SIGKILL")
    with pytest.raises(TaskRevokedError):  # so that the others were heard of before
        stubborn.get(timeout=20)
    (site.folder / "go").touch()
    assert [each.get(timeout=20) for each in results] == list(range(5))
    assert sizes(site, "held") == {5: 1}
    assert worker.stop() == 0


def test_a_batch_beside_a_task_that_is_terminated_goes_back_at_once_and_counts_no_crash(site):
    site.app(APP, "task_crash_limit=1")
    results = site.send_all("held", range(5))
    (stubborn,) = site.send_all("stubborn", range(1))
    site.worker("-c", "1", "--threads", "2")
    site.until_marked("held 5")
    site.until_marked("stubborn")
    site.client.control.revoke(stubborn.id, terminate=True, signal="SIGKILL")
    with pytest.raises(TaskRevokedError):
        stubborn.get(timeout=20)
    assert [each.get(timeout=20) for each in results] == list(range(5))
    assert sizes(site, "held") == {5: 1, 1: 5}
    assert site.dead() == []
