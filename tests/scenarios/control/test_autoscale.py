"""A worker whose number of processes follows the work."""

from __future__ import annotations

import os

import pytest

from .conftest import faena, let_go, present

APP = """
@app.task
def work(n):
    until = time.monotonic() + 60
    while not os.path.exists("go-all") and time.monotonic() < until:
        time.sleep(0.01)
    mark(f"done {n}")
"""


@pytest.mark.parametrize("any_site", ["sqlite", pytest.param("redis", marks=pytest.mark.slow)], indirect=True)
def test_a_worker_grows_while_tasks_wait_and_shrinks_when_there_is_nothing_to_do(any_site, until):
    site = any_site
    site.app(APP, "worker_autoscale_target_age=0.3, worker_autoscale_cooldown=1")
    worker = present(site, until, "--autoscale", "3,1", "-c", "7")
    control = site.client.control

    def processes():
        (stats,) = control.inspect(timeout=5).stats().values()
        return [each["state"] for each in stats["processes"]].count("working")

    assert len(worker.processes()) == 1
    site.send_all("work", range(30))
    until(lambda: processes() == 3, 30)
    let_go(site, "all")
    until(lambda: len([mark for mark in site.marks() if mark.startswith("done")]) == 30, 30)
    until(lambda: processes() == 1, 30)
    assert worker.text().count("processes instead of") >= 2
    assert set(site.marks().values()) == {1}

    name = f"faena@{os.uname().nodename}"
    assert control.pool_grow(1) == {name: {"ok": "scales between 2 and 4 processes instead of 1 and 3"}}
    until(lambda: processes() == 2)
    assert faena(site, "control", "autoscale", "off").stdout == f"{name}: scales no more; 2 processes\n"
    assert control.pool_grow(1) == {name: {"ok": "3 processes instead of 2"}}
    assert control.autoscale(max=2, min=1) == {name: {"ok": "scales between 1 and 2 processes"}}
    assert control.autoscale(max=0) == {name: {"ok": "scales no more; 2 processes"}}
    (answer,) = control.autoscale(2, 5).values()
    assert answer == {"error": "the fewest are 1 or more, and the most no fewer than that, not 5 and 2"}


def test_a_pool_of_one_process_cannot_scale(site):
    site.app(APP)
    worker = site.worker("--autoscale", "3", "-P", "threads", ready=False)
    assert worker.until_ended() == 1
    assert worker.text() == (
        "faena: worker_autoscale_max is set, and the pool is 'threads', which is one process; "
        "scale a pool of processes, or none\n"
    )


def test_more_processes_than_a_machine_can_bear_are_refused(site, until):
    site.app(APP)
    worker = present(site, until, "-c", "1")
    name = f"faena@{os.uname().nodename}"
    too_many = "a worker has 1024 processes at most, not 100000; for more, start workers on other machines"
    assert site.client.control.pool_grow(99_999) == {name: {"error": too_many}}
    assert site.client.control.autoscale(100_000, 1) == {name: {"error": too_many}}
    refused = faena(site, "control", "autoscale", "100000,1")
    assert (refused.returncode, "1024 at most" in refused.stderr) == (2, True)
    assert len(worker.processes()) == 1


def test_a_worker_answers_and_stops_while_it_starts_many_processes(site, until):
    site.app(APP)
    worker = present(site, until, "-c", "1")
    name = f"faena@{os.uname().nodename}"
    assert site.client.control.pool_grow(40, timeout=10.0) == {name: {"ok": "41 processes instead of 1"}}
    assert site.client.control.ping(timeout=10.0) == {name: {"ok": "pong"}}
    assert site.client.control.pool_shrink(40, timeout=10.0) == {name: {"ok": "1 process instead of 41"}}
    until(lambda: len(worker.processes()) == 1, 30)
    assert site.client.control.pool_grow(40, timeout=10.0) == {name: {"ok": "41 processes instead of 1"}}
    assert worker.stop() == 0
