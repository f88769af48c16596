"""Revoke tasks wherever they are: waiting, delayed, reserved, running; also before any worker is there."""

import time

import pytest

from faena import chain

APP = """
@app.task
def sleep(n, seconds=60):
    mark(f"begin {n}")
    time.sleep(seconds)
    mark(f"end {n}")
    return n

@app.task
def nap(n):
    mark(f"begin {n}")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.02)

@app.task
async def await_sleep(n):
    mark(f"begin {n}")
    await asyncio.sleep(60)

@app.task
def swallow(n):
    mark(f"begin {n}")
    while True:
        try:
            time.sleep(60)
        except BaseException:
            mark(f"swallowed {n}")

@app.task(bind=True)
def waits(self, n):
    mark(f"begin {n}")
    until = time.monotonic() + 60
    while not os.path.exists(f"go-{n}") and time.monotonic() < until:
        time.sleep(0.01)
    return self.wait_for_event("never")

@app.task
def parent(n):
    import subprocess
    mark(f"begin {n}")
    process = subprocess.Popen(["sleep", "300"])
    mark(f"child {process.pid}")
    process.wait()
"""


@pytest.fixture
def app(site):
    site.app(APP)


def check_revoked(result, within_s=5.0):
    from faena.errors import TaskRevokedError

    with pytest.raises(TaskRevokedError):
        result.get(timeout=within_s)
    assert result.state == "REVOKED"


def test_a_waiting_and_a_delayed_task_are_revoked_at_once_without_a_worker(site, app):
    waiting, delayed = site.send("sleep", 1), site.send("sleep", 2, countdown=3600)
    site.client.control.revoke([waiting.id, delayed.id])
    check_revoked(waiting, 0.5)
    check_revoked(delayed, 0.5)
    assert site.unfinished() == 0


def test_a_revocation_stands_for_a_worker_that_is_started_later_and_for_a_task_that_is_sent_later(site, app):
    site.client.control.revoke("known-in-advance")
    site.worker("-c", "1")
    result = site.send("sleep", 1, 0, task_id="known-in-advance")
    check_revoked(result)
    assert site.marks() == {}


def test_a_reserved_task_is_revoked_and_the_one_that_runs_goes_on(site, app):
    running, reserved = site.send("sleep", 1, 1), site.send("sleep", 2, 0)
    site.worker("-c", "1", "--prefetch-multiplier", "4")
    site.until_marked("begin 1")
    assert site.queue().held == 2
    site.client.control.revoke(reserved.id)
    assert running.get(timeout=5) == 1
    check_revoked(reserved)
    assert site.marks() == {"begin 1": 1, "end 1": 1}


def test_a_running_task_is_not_ended_without_terminate(site, app):
    result = site.send("sleep", 1, 1)
    site.worker("-c", "1")
    site.until_marked("begin 1")
    site.client.control.revoke(result.id)
    assert result.get(timeout=5) == 1


@pytest.mark.parametrize(
    ("words", "name"),
    [(("-c", "1"), "sleep"), (("-P", "threads", "-c", "2"), "nap"), (("-c", "1"), "await_sleep")],
    ids=["plain", "thread", "coroutine"],
)
def test_a_running_task_is_terminated(site, app, words, name):
    result = site.send(name, 1)
    worker = site.worker(*words)
    pids = worker.processes()
    site.until_marked("begin 1")
    site.client.control.revoke(result.id, terminate=True)
    check_revoked(result, 4.5)  # before it would be killed
    assert site.send("sleep", 2, 0).get(timeout=5) == 2
    assert worker.processes() == pids
    assert site.marks()["begin 1"] == 1
    assert site.dead() == []


def test_what_does_not_end_when_it_is_terminated_is_killed_some_seconds_later(site, app):
    kinds = {"swallow": ("-c", "1"), "sleep": ("-P", "threads", "-c", "2")}  # what blocks in a thread cannot be asked
    results = {name: site.send(name, name, queue=name) for name in kinds}
    workers = {name: site.worker("-n", name, "-Q", name, *words) for name, words in kinds.items()}
    pids = {name: worker.processes() for name, worker in workers.items()}
    for name in kinds:
        site.until_marked(f"begin {name}")
    site.client.control.revoke([result.id for result in results.values()], terminate=True)
    for name, result in results.items():
        check_revoked(result, 10)
        assert site.send("sleep", f"{name} again", 0, queue=name).get(timeout=10) == f"{name} again"
        assert workers[name].processes() != pids[name]
        assert site.marks()[f"begin {name}"] == 1
    assert site.dead() == []


def test_a_running_task_is_terminated_with_a_signal_and_its_neighbours_run_again(site, app):
    names = ["SIGKILL", "SIGTERM", "SIGUSR1", "SIGQUIT"]
    results = {name: site.send("sleep", name, queue=name) for name in names}
    neighbours = {name: site.send("nap", f"beside {name}", queue=name) for name in names}
    for name in names:
        site.worker("-n", name, "-Q", name, "-P", "threads", "-c", "2", ready=False)
    for name in names:
        site.until_marked(f"begin {name}")
        site.until_marked(f"begin beside {name}")
        site.client.control.revoke(results[name].id, terminate=True, signal=name)
    for name in names:
        check_revoked(results[name], 10)
        site.until_marked(f"begin beside {name}", count=2)
        assert site.marks()[f"begin {name}"] == 1
        assert neighbours[name].state == "PENDING"


def test_processes_that_a_terminated_task_has_started_are_ended_with_it(site, app, until):
    result = site.send("parent", 1)
    worker = site.worker("-c", "1")
    site.until_marked("begin 1")
    until(lambda: any(line.startswith("child ") for line in site.marks()))
    site.client.control.terminate(result.id)
    check_revoked(result, 8)
    child = next(int(line.split()[1]) for line in site.marks() if line.startswith("child "))
    until(lambda: child not in worker.session(), 5)


def test_a_revocation_while_a_process_boots_does_not_end_it(site, until):
    site.app("time.sleep(0 if once('boot') else 2)\n@app.task\ndef work(n):\n    return n\n")
    worker = site.worker("-c", "2")
    pids = until(lambda: len(worker.processes()) == 2 and worker.processes())
    site.client.control.revoke("somebody")
    time.sleep(2.5)  # until the slower one has booted; nothing tells of it
    assert worker.processes() == pids
    assert "ended with" not in worker.text()


def test_a_task_that_was_revoked_while_it_ran_does_not_wait_for_an_event(site, app):
    result = site.send("waits", 1)
    site.worker("-c", "1")
    site.until_marked("begin 1")
    site.client.control.revoke(result.id)
    (site.folder / "go-1").touch()
    check_revoked(result)


def test_a_task_of_a_workflow_that_was_cancelled_while_it_ran_is_not_kept_for_an_event(site, app, until):
    from faena._lib.drive import run

    result = chain(site.client.signature("app.waits", (1,)), site.client.signature("app.sleep", (0,))).delay()
    site.worker("-c", "1")
    site.until_marked("begin 1")
    result.workflow.cancel()
    (site.folder / "go-1").touch()
    until(lambda: site.unfinished() == 0)
    assert list(run(site.client.connection().backend.journal.unpark([result.parent.id]))) == []
    check_revoked(result)
