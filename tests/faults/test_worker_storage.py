"""The file under the worker: locked, full, deleted; and a supervisor that stands still for longer than its lease."""

import fcntl
import os
import signal
import sqlite3
import time
from contextlib import suppress

import pytest

APP = """
@app.task
def work(n):
    mark(n)
    time.sleep(0.01)
    return n

@app.task
def sleep(n, seconds):
    mark(f"begin {n}")
    time.sleep(seconds)
    mark(f"end {n}")
    return n

@app.task(acks_late=False)
def early(n):
    mark(n)
    return n

@app.task
def fill(mib):
    return "x" * (mib * 1024 * 1024)
"""


@pytest.fixture
def app(site):
    site.app(APP)


def test_a_file_that_another_program_locks_for_seconds_stops_nobody(site, app):
    results = site.send_all("work", range(100))
    early = site.send_all("early", range(100, 130))
    worker = site.worker("-c", "1", FAENA_BROKER_TRANSPORT_OPTIONS='{"busy_timeout_s": 0.3}')
    pids = worker.processes()
    site.until_marked("3")
    connection = sqlite3.connect(site.database, isolation_level=None, timeout=10)
    connection.execute("BEGIN IMMEDIATE")
    time.sleep(1.5)  # as long as it is locked
    connection.execute("ROLLBACK")
    connection.close()
    assert [result.get(timeout=20) for result in (*results, *early)] == list(range(130))
    assert set(site.marks().values()) == {1}
    assert worker.processes() == pids, worker.text()
    assert "trying again" in worker.text()
    assert worker.stop() == 0


def test_a_stop_while_the_file_is_locked_for_good_ends_within_the_budget(site, app):
    """As when another process was stopped in the middle of a step, and holds the lock of the writers."""
    site.send("sleep", 1, 0.5)
    worker = site.worker("--shutdown-timeout", "2")
    site.until_marked("begin 1")
    descriptor = os.open(f"{site.database}-lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        site.until_marked("end 1")
        began_s = time.monotonic()
        worker.signal(signal.SIGTERM)
        worker.until_ended(8)
        assert time.monotonic() - began_s < 5
        assert worker.session() == []
    finally:
        os.close(descriptor)
    second = site.worker("-n", "second")
    assert second.stop() == 0


def test_a_full_file_loses_nothing(site):
    """`max_pages` is the disk's end here: SQLite says the same of both."""
    site.app(APP)
    results = site.send_all("work", range(50))
    big = site.send("fill", 4)
    worker = site.worker(FAENA_BROKER_TRANSPORT_OPTIONS='{"max_pages": 600}', FAENA_WORKER_LEASE="2")
    worker.until_logged("no space is left")
    site.until_marked("49")
    worker.end()
    site.worker("-n", "second")
    assert [result.get(timeout=20) for result in results] == list(range(50))
    assert len(big.get(timeout=10)) == 4 * 1024 * 1024


def test_a_worker_goes_on_in_a_new_file_when_its_own_was_deleted(site, app, until):
    worker = site.worker()
    assert site.send("work", 1).get(timeout=5) == 1
    site.client.close()
    for name in os.listdir(site.folder):
        if name.startswith("site.db") and not name.endswith("-signals"):
            os.unlink(site.folder / name)
    assert site.send("work", 2).get(timeout=20) == 2
    assert worker.popen.poll() is None
    assert worker.stop() == 0


def test_a_supervisor_that_stood_still_for_longer_than_its_lease_records_no_second_success(site, app):
    lease_s = 2
    results = [site.send("sleep", n, 1.5) for n in range(6)]
    first = site.worker("-n", "first", FAENA_WORKER_LEASE=str(lease_s))
    site.until_marked("begin 0")
    os.kill(first.pid, signal.SIGSTOP)
    site.worker("-n", "second", FAENA_WORKER_LEASE=str(lease_s))
    time.sleep(2 * lease_s)  # the supervisor stands still, its processes do not
    os.kill(first.pid, signal.SIGCONT)
    assert [result.get(timeout=20) for result in results] == list(range(6))
    site.until_drained()
    assert site.send("sleep", 9, 0).get(timeout=10) == 9
    assert first.stop() == 0


def test_a_whole_worker_that_stood_still_drops_what_others_have_done_meanwhile(site, app, until):
    lease_s = 2
    result = site.send("sleep", 1, 1.0)
    first = site.worker("-n", "first", "-c", "1", FAENA_WORKER_LEASE=str(lease_s))
    site.until_marked("begin 1")
    pids = [first.pid, *first.processes()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    second = site.worker("-n", "second", FAENA_WORKER_LEASE=str(lease_s))
    assert result.get(timeout=lease_s + 6) == 1
    record = result.record
    for pid in pids:
        with suppress(ProcessLookupError):  # its supervisor, which goes on first, may have ended it already
            os.kill(pid, signal.SIGCONT)
    first.until_logged("lease")  # whether its function ends once more before its process does is chance
    until(lambda: first.processes() and first.processes()[0] not in pids, 10, first.text)
    assert second.stop() == 0
    assert site.send("sleep", 2, 0).get(timeout=10) == 2
    site.client.connection()
    assert site.client.AsyncResult(result.id).record == record, "the first success stands"
    assert record.worker.startswith("second")


def test_damage_to_the_file_is_said_clearly_and_the_file_is_left_alone(site, app):
    site.database.write_bytes(b"this is a letter to my grandmother, not a database at all. " * 40)
    worker = site.worker(ready=False)
    assert worker.until_ended(10) == 1
    assert "no database" in worker.text()
    assert "Traceback" not in worker.text()
    assert site.database.read_bytes().startswith(b"this is a letter")
