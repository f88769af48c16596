"""Stop workers in all ways, under load and without: no task is failed for it, and none runs twice to its end."""

import os
import signal
import time

import pytest

APP = """
@app.task
def work(n):
    mark(f"begin {n}")
    time.sleep(0.02)
    mark(f"end {n}")
    return n

@app.task
async def await_work(n):
    mark(f"begin {n}")
    await asyncio.sleep(0.05)
    mark(f"end {n}")
    return n

@app.task
def sleep(n, seconds=60):
    mark(f"begin {n}")
    time.sleep(seconds)
    mark(f"end {n}")
    return n

@app.task
async def await_sleep(n, seconds=60):
    mark(f"begin {n}")
    await asyncio.sleep(seconds)
    mark(f"end {n}")
    return n

@app.task
def stuck_once(n):
    mark(f"begin {n}")
    if once(f"stuck {n}"):
        time.sleep(60)
    return n

@app.task
def stubborn(n):
    mark(f"begin {n}")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            time.sleep(1)
        except BaseException:
            mark(f"swallowed {n}")
    mark(f"end {n}")
"""


SLOW_S = 2.0  # what a busy machine may add; what is kept from happening takes a minute


@pytest.fixture
def app(site):
    site.app(APP)


def ends(site):
    return {line: count for line, count in site.marks().items() if line.startswith("end ")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_stop_under_load_fails_no_task_and_ends_none_twice(site, app, number):
    results = [*site.send_all("work", range(150)), *site.send_all("await_work", range(150, 450))]
    worker = site.worker()
    site.until_marked("end 3")
    began_s = time.monotonic()
    worker.signal(number)
    assert worker.until_ended() == 0
    assert time.monotonic() - began_s < 1 + SLOW_S
    done = len(ends(site))
    assert 0 < done < 450
    assert site.queue().held == 0, "what was not begun went back at once"
    assert site.queue().waiting == 450 - done
    site.worker()
    assert [result.get(timeout=30) for result in results] == list(range(450))
    assert set(ends(site).values()) == {1}
    assert site.dead() == []


@pytest.mark.parametrize("name", ["sleep", "await_sleep"])
def test_what_does_not_finish_in_time_is_interrupted_and_handed_back(site, app, name):
    result = site.send(name, 1)
    worker = site.worker("--shutdown-timeout", "2")
    site.until_marked("begin 1")
    began_s = time.monotonic()
    assert worker.stop() == 0
    took_s = time.monotonic() - began_s
    assert 1.5 < took_s < 2.0 + SLOW_S, "it is asked to stop after four fifths of that"
    assert result.state == "PENDING"
    assert site.queue().waiting == 1
    site.worker("-n", "second")
    site.until_marked("begin 1", count=2)
    assert ends(site) == {}


def test_what_ignores_the_stop_is_killed_within_the_budget_and_handed_back_without_a_crash(site, app):
    result = site.send("stubborn", 1)
    worker = site.worker("--shutdown-timeout", "2")
    site.until_marked("begin 1")
    began_s = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began_s < 2.0 + SLOW_S
    assert site.marks()["swallowed 1"] == 1
    assert result.state == "PENDING"
    [(_, message)] = browse(site)
    assert message.id == result.id
    assert worker.session() == []


def browse(site):
    from faena._lib.drive import run

    return run(site.client.connection().broker.queues.browse("default", 10))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_second_signal_stops_at_once_and_hands_back(site, app, number):
    result = site.send("sleep", 1)
    worker = site.worker()
    site.until_marked("begin 1")
    worker.signal(number)
    worker.until_logged("once more to stop at once")
    began_s = time.monotonic()
    worker.signal(number)
    assert worker.until_ended() == 128 + number
    assert time.monotonic() - began_s < 1 + SLOW_S
    assert result.state == "PENDING"
    assert (site.queue().waiting, site.queue().held) == (1, 0)
    assert worker.session() == []


def test_a_worker_with_nothing_to_do_stops_at_once(site, app, until):
    worker = site.worker()
    assert site.send("work", 1).get(timeout=10) == 1
    began_s = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began_s < 1 + SLOW_S


@pytest.mark.parametrize("delay_s", [0.2, 0.5, 0.8])
def test_a_stop_while_it_starts_leaves_nothing_behind(site, app, until, delay_s):
    results = site.send_all("work", range(20))
    worker = site.worker(ready=False)
    time.sleep(delay_s)  # not for an event: the moment is what is tried
    began_s = time.monotonic()
    assert worker.stop() in (0, -signal.SIGTERM)
    assert time.monotonic() - began_s < 1 + SLOW_S
    assert worker.session() == []
    assert site.queue() is None or site.queue().held == 0
    assert len(ends(site)) + site.queue().waiting == len(results)


def test_a_stop_while_a_module_is_imported_for_long_is_fast(site):
    site.app("mark('importing')\ntime.sleep(60)")
    worker = site.worker(ready=False)
    site.until_marked("importing")
    began_s = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began_s < 1 + SLOW_S
    assert worker.session() == []


def test_a_stop_does_not_wait_for_the_pause_before_a_process_is_started_again(site, app, until):
    site.app(APP + "\nif not once('boot'):\n    os._exit(7)\n")
    worker = site.worker(ready=False)
    worker.until_logged("is started again in [24]")
    began_s = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began_s < 2


def test_sighup_replaces_the_processes_and_loses_nothing(site, app, until):
    results = site.send_all("work", range(150))
    worker = site.worker()
    site.until_marked("end 3")
    before = set(worker.processes())
    worker.signal(signal.SIGHUP)
    assert [result.get(timeout=30) for result in results] == list(range(150))
    until(lambda: len(worker.processes()) == 2 and not before & set(worker.processes()))
    assert set(ends(site).values()) == {1}
    assert worker.stop() == 0


def test_when_the_supervisor_alone_is_killed_its_processes_finish_and_end(site, app, until):
    results = [site.send("sleep", n, 1.5) for n in range(2)]
    waiting = site.send_all("work", range(10, 60))
    worker = site.worker(FAENA_WORKER_LEASE="2")
    site.until_marked("begin 0")
    site.until_marked("begin 1")
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: worker.session() == [], 10, worker.text)
    assert [result.get(timeout=1) for result in results] == [0, 1]
    assert set(ends(site).values()) == {1}
    site.worker("-n", "second")
    assert [result.get(timeout=20) for result in waiting] == list(range(10, 60))
    assert set(ends(site).values()) == {1}


def test_when_the_whole_worker_is_killed_its_tasks_run_again_within_the_lease_and_five_seconds(site, app, until):
    lease_s = 3
    result = site.send("stuck_once", 1)
    worker = site.worker(FAENA_WORKER_LEASE=str(lease_s))
    site.until_marked("begin 1")
    second = site.worker("-n", "second", FAENA_WORKER_LEASE=str(lease_s))
    began_s = time.monotonic()
    for pid in [worker.pid, *worker.processes()]:
        os.kill(pid, signal.SIGKILL)
    site.until_marked("begin 1", count=2, within_s=lease_s + 5)
    print(f"ran again {time.monotonic() - began_s:.2f} s after the kill, lease {lease_s} s")
    assert result.get(timeout=10) == 1
    assert second.stop() == 0


def test_a_worker_that_is_started_later_takes_over_as_soon_as_the_lease_has_ended(site, app):
    lease_s = 4
    site.send("sleep", 1, 20)
    worker = site.worker(FAENA_WORKER_LEASE=str(lease_s))
    site.until_marked("begin 1")
    began_s = time.monotonic()
    for pid in [worker.pid, *worker.processes()]:
        os.kill(pid, signal.SIGKILL)
    time.sleep(2)  # as long as a container takes to be started again
    site.worker("-n", "second", FAENA_WORKER_LEASE=str(lease_s))
    site.until_marked("begin 1", count=2, within_s=began_s + lease_s + 3 - time.monotonic())


def test_a_killed_process_is_replaced_and_its_task_runs_again_within_three_seconds(site, app, until):
    result = site.send("sleep", 1, 0.7)
    worker = site.worker("-c", "1")
    site.until_marked("begin 1")
    [pid] = worker.processes()
    os.kill(pid, signal.SIGKILL)
    began_s = time.monotonic()
    site.until_marked("begin 1", count=2, within_s=3)
    print(f"ran again {time.monotonic() - began_s:.2f} s after the kill")
    assert result.get(timeout=5) == 1
    assert worker.until_logged(rf"pid {pid}\) killed by SIGKILL; it ran task {result.id}: killed by SIGKILL")
