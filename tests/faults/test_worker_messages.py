"""Bad messages, bad results, bad manners: each ends with a clear error of its own, and the worker goes on."""

import os
import signal
import time

import pytest

from faena.errors import MessageTooLarge, WorkerLostError
from faena.model.delivery import DeadReason

APP = r"""
import sys

@app.task
def work(n):
    return n

@app.task
def unencodable():
    return object()

@app.task
def generator():
    yield 1

@app.task
def large(mib):
    return "x" * (mib * 1024 * 1024)

@app.task
def holds_itself():
    value = []
    value.append(value)
    return value

class Odd(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")

class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")
    __repr__ = __str__

@app.task
def fail(kind):
    if kind == "odd":
        raise Odd(1, 2)
    if kind == "unprintable":
        raise Unprintable()
    if kind == "unencodable":
        raise ValueError(object())
    if kind == "surrogates":
        raise ValueError("not \udcff text")
    if kind == "base":
        class Mine(BaseException):
            pass
        raise Mine("mine")
    if kind == "exit":
        sys.exit(3)
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "recursion":
        def deeper():
            return deeper()
        deeper()
    if kind == "generator exit":
        raise GeneratorExit
    if kind == "group":
        raise ExceptionGroup("two", [ValueError(1), KeyError(2)])
    if kind == "long":
        raise ValueError("x" * 5_000_000)
    if kind == "memory":
        raise MemoryError

@app.task
async def await_fail(kind):
    await asyncio.sleep(0)
    if kind == "cancelled":
        raise asyncio.CancelledError
    if kind == "cancels itself":
        asyncio.current_task().cancel()
        await asyncio.sleep(1)
    fail.function(kind)

@app.task
def surrogates():
    return "not \udcff text"

@app.task(bind=True)
def rejects(self):
    from faena.signals import Reject
    raise Reject("not \udcff wanted", requeue=False)

@app.task(bind=True, max_retries=2)
def grows(self, text):
    raise self.retry(args=["x" * 70_000_000], countdown=0)

class Hooked(app.Task):
    def on_success(self, *args):
        mark("hook")
        sys.exit(1)

@app.task(base=Hooked)
def hooked():
    return "hooked"

@app.task
def prints():
    print("grüße, 世界 \udcff".encode("utf-8", "backslashreplace").decode(), flush=True)
    import logging
    logging.getLogger("mine").warning("grüße, 世界 \udcff")
    return "ñ"

@app.task
def forks(how):
    pid = os.fork()
    if pid == 0:
        if how == "returns":
            return "copy"
        if how == "raises":
            raise ValueError("copy")
        os._exit(0)
    os.waitpid(pid, 0)
    return "parent"

@app.task
def uses_multiprocessing():
    import multiprocessing
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        return pool.map(abs, [-1, 2, -3])

@app.task
def starts_thread():
    thread = threading.Thread(target=time.sleep, args=(300,))
    thread.start()
    return thread.daemon

@app.task
def starts_program():
    import subprocess
    process = subprocess.Popen(["sleep", "60"])
    process.terminate()
    return process.wait(5)

@app.task
def closes_output():
    sys.stdout.close()
    os.close(1)

@app.task
def changes_folder():
    os.chdir("/")

@app.task
def changes_handlers():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, lambda *_: None)
    signal.alarm(1)

@app.task
def changes_limits():
    sys.setrecursionlimit(200)
    import locale, gc
    gc.disable()

@app.task
def gets():
    return work.delay(1).get(timeout=5)

@app.task(acks_late=False)
def early(n):
    mark(f"early {n}")
    time.sleep(30 if n else 0)
    return n

@app.task(acks_late=False)
async def await_early(n):
    mark(f"early {n}")
    return n
"""


@pytest.fixture
def app(site):
    site.app(APP)


@pytest.fixture
def worker(site, app):
    worker = site.worker("-c", "1")
    pids = worker.processes()
    yield worker
    assert site.send("work", 7).get(timeout=10) == 7, worker.text()
    assert worker.processes() == pids, f"the process was replaced:\n{worker.text()}"
    assert worker.stop() == 0


def error_of(result, within_s=10):
    return result.get(timeout=within_s, propagate=False)


def test_an_unknown_task_is_a_dead_letter_that_names_its_neighbour(site, worker):
    from faena.errors import NotRegistered

    error = error_of(site.client.send_task("app.wrok", (1,)))
    assert isinstance(error, NotRegistered)
    assert "did you mean 'app.work'" in str(error)
    assert site.dead()[0].reason == "unknown-task"


def test_a_malformed_body_is_a_dead_letter(site, worker):
    from faena._lib.drive import run
    from faena.model.message import Message

    bodies = [b"", b"{", b"3", b"[1]", b'[{"a":1},[]]', b"[[1],{},3]", b"\xff", b"null", b'[["a"],{"b":2}]']
    messages = [Message(f"bad-{index}", "app.work", "default", body) for index, body in enumerate(bodies)]
    messages.append(Message("bad-codec", "app.work", "default", b"x", content="yaml"))
    messages.append(Message("bad-pickle", "app.work", "default", b"x", content="pickle"))
    run(site.client.connection().broker.publish(messages))
    for message in messages:
        assert isinstance(error_of(site.client.AsyncResult(message.id)), Exception)
    assert {letter.message.id for letter in site.dead()} == {message.id for message in messages}


def test_a_message_that_is_none_is_buried(site, worker, until):
    import sqlite3

    held = site.send("work", 1, countdown=1.5)
    with sqlite3.connect(site.database) as connection:
        connection.execute("UPDATE messages SET body = x'c1ffff' WHERE id = ?", (held.id,))
    connection.close()
    assert until(lambda: site.dead())[0].reason == "malformed"


def test_wrong_arguments_fail_clearly(site, worker):
    for error in (error_of(site.send("work")), error_of(site.send("work", 1, 2))):
        assert isinstance(error, TypeError)
        assert "app.work" in str(error)


@pytest.mark.parametrize("name", ["unencodable", "generator", "holds_itself", "surrogates"])
def test_a_result_that_cannot_travel_fails_the_task(site, worker, name):
    from faena.errors import EncodeError

    error = error_of(site.send(name))
    assert isinstance(error, EncodeError), error


def test_a_result_of_50_mib_arrives(site, worker):
    assert len(site.send("large", 50).get(timeout=20)) == 50 * 1024 * 1024


@pytest.mark.parametrize("name", ["fail", "await_fail"])
def test_exceptions_of_every_kind_are_failures_and_nothing_more(site, worker, name):
    kinds = {
        "odd": "1 and 2", "unprintable": "unprintable", "unencodable": "object object", "surrogates": "udcff",
        "base": "mine", "exit": "3", "interrupt": "", "recursion": "recursion", "generator exit": "", "group": "two",
        "long": "xxxx", "memory": "",
    }  # fmt: skip
    if name == "await_fail":
        kinds |= {"cancelled": "", "cancels itself": ""}
    results = {kind: site.send(name, kind) for kind in kinds}
    for kind, text in kinds.items():
        error = error_of(results[kind])
        assert text in str(error), (kind, error)
        assert results[kind].state == "FAILURE"
        assert results[kind].traceback, kind
    assert len(site.dead()) == len(kinds)


def test_a_reason_that_is_no_text_is_kept_readable(site, worker):
    site.send("rejects")
    site.until_drained(5)
    assert "udcff" in site.dead()[0].detail


def test_a_retry_that_has_grown_too_large_fails_its_own_task_only(site, worker):
    from faena.errors import FaenaError

    neighbours = site.send_all("work", range(5))
    result = site.send("grows", "x")
    error = error_of(result, 20)
    assert isinstance(error, FaenaError), error
    assert [neighbour.get(timeout=5) for neighbour in neighbours] == list(range(5))


def test_a_hook_that_ends_the_interpreter_changes_nothing(site, worker):
    assert site.send("hooked").get(timeout=10) == "hooked"
    assert site.marks() == {"hook": 1}


@pytest.mark.parametrize("how", ["returns", "raises", "exits"])
def test_a_task_that_forks_runs_once_and_leaves_no_copy(site, worker, until, how):
    """The copy must not go on as a worker: it would run what its parent has in hand."""
    neighbours = site.send_all("work", range(20))
    result = site.send("forks", how)
    later = site.send_all("work", range(20))
    assert result.get(timeout=10) == "parent"
    assert [each.get(timeout=10) for each in (*neighbours, *later)] == [*range(20), *range(20)]
    until(lambda: len(worker.session()) == 3, 5, worker.session)  # the supervisor, its template, its process


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prints", "ñ"),
        ("uses_multiprocessing", [1, 2, 3]),
        ("starts_thread", False),
        ("starts_program", -15),
        ("closes_output", None),
        ("changes_folder", None),
        ("changes_handlers", None),
        ("changes_limits", None),
    ],
)
def test_bad_manners_harm_nobody_else(site, worker, name, value):
    assert site.send(name).get(timeout=10) == value
    assert [result.get(timeout=10) for result in site.send_all("work", range(10))] == list(range(10))


def test_output_in_a_poor_locale_harms_nobody(site, app):
    worker = site.worker("-c", "1", LC_ALL="C", PYTHONIOENCODING="ascii:backslashreplace", PYTHONUTF8="0")
    assert site.send("prints").get(timeout=10) == "ñ"
    assert site.send("work", 1).get(timeout=10) == 1
    assert worker.stop() == 0


def test_waiting_for_a_result_inside_a_task_is_refused(site, worker):
    error = error_of(site.send("gets"))
    assert isinstance(error, RuntimeError), error
    assert "a task must not wait for the result of another" in str(error)


def test_a_task_that_is_not_acknowledged_late_runs_once_at_most_and_keeps_the_result(site, app):
    worker = site.worker("-c", "1")
    assert site.send("early", 0).get(timeout=5) == 0
    assert site.send("await_early", 0).get(timeout=5) == 0
    lost = site.send("early", 1)
    site.until_marked("early 1")
    os.kill(worker.processes()[0], signal.SIGKILL)
    assert site.send("early", 0).get(timeout=10) == 0
    error = error_of(lost)
    assert isinstance(error, WorkerLostError)
    assert "task 'app.early' is to run once at most, and did not end: killed by SIGKILL" in str(error)
    assert site.marks()["early 1"] == 1
    assert [(letter.message.id, letter.reason) for letter in site.dead()] == [(lost.id, DeadReason.CRASHED)]
    assert site.unfinished() == 0


def test_what_was_to_run_once_at_most_is_not_run_by_another_worker_when_its_own_is_gone(site, app):
    settings = {"FAENA_WORKER_LEASE": "1"}
    worker = site.worker("-c", "1", **settings)
    lost = site.send("early", 1)
    site.until_marked("early 1")
    worker.end()
    site.worker("-c", "1", **settings)
    error = error_of(lost)
    assert isinstance(error, WorkerLostError)
    assert "did not end: its worker is gone" in str(error)
    assert site.marks()["early 1"] == 1


EARLY = """
@app.task(bind=True, acks_late=False)
def waits(self, event):
    return self.wait_for_event(event)

@app.task(bind=True, acks_late=False)
async def awaits(self, event):
    return await self.await_for_event(event)

@app.task(bind=True, acks_late=False, max_retries=2)
def grows(self, text):
    raise self.retry(args=[os.urandom(200_000).hex()], countdown=0)

@app.task
def work(n):
    return n
"""


@pytest.mark.parametrize("name", ["waits", "awaits"])
def test_early_acknowledgement_keeps_what_waits_for_an_event(site, until, name):
    site.app(EARLY)
    site.worker("-c", "1")
    result = site.send(name, "approved")
    until(lambda: result.state == "WAITING")
    site.client.signal_event("approved", "by Ana")
    assert result.get(timeout=10) == "by Ana"
    assert site.send(name, "approved").get(timeout=10) == "by Ana"  # it has happened already


def test_early_acknowledgement_of_what_cannot_be_written_fails_its_own_task_only(site):
    site.app(EARLY, "broker_transport_options={'largest_message_bytes': 100_000}")
    worker = site.worker("-c", "1")
    pids = worker.processes()
    result = site.send("grows", "x")
    neighbours = site.send_all("work", range(5))
    assert isinstance(error_of(result), MessageTooLarge)
    assert [neighbour.get(timeout=5) for neighbour in neighbours] == list(range(5))
    assert worker.processes() == pids, worker.text()


def test_a_task_that_has_expired_does_not_run(site, app):
    from faena.errors import TaskRevokedError

    result = site.send("early", 0, expires=0.1)
    time.sleep(0.2)  # until it has expired; nothing tells of it
    site.worker("-c", "1")
    with pytest.raises(TaskRevokedError, match="expired before it began"):
        result.get(timeout=10)
    assert site.marks() == {}


def test_programs_started_by_tasks_hold_nothing_of_the_worker(site, app):
    """A daemon that a task leaves behind must not keep a stop waiting."""
    site.app(
        """
        import subprocess

        @app.task
        def daemon():
            return subprocess.Popen(["sleep", "300"], start_new_session=True).pid
        """
    )
    worker = site.worker("-c", "1")
    pid = site.send("daemon").get(timeout=10)
    try:
        began_s = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - began_s < 1
    finally:
        os.kill(pid, signal.SIGKILL)
