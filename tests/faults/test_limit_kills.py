"""Kill processes and supervisors while tasks run under limits: never more than allowed at once, and never stuck after.

The tasks see to that themselves: each takes one of the locks of its key, which the kernel takes from a process that dies.
"""

import os
import random
import signal
import time

import pytest

APP = """
import contextlib, fcntl

ALLOWED = 3

@contextlib.contextmanager
def one_of_those(key):
    opened = []
    try:
        for number in range(ALLOWED):
            opened.append(os.open(os.path.join(FOLDER, f"lock-{key}-{number}"), os.O_CREAT | os.O_RDWR))
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(opened[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        else:
            mark(f"too many of {key}")
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)

@app.task(concurrency=ALLOWED, limit_key="key", max_retries=3, default_retry_delay=0.05)
def work(key, number):
    with one_of_those(key):
        time.sleep(0.002 + number % 5 / 200)
        if number % 11 == 0 and work.request.retries == 0:
            raise work.retry()
        mark(f"{key}-{number}")

@app.task(concurrency=ALLOWED, limit_key="key", acks_late=False)
def work_once(key, number):
    with one_of_those(f"once-{key}"):  # the limits of another task are others
        time.sleep(0.002 + number % 5 / 200)
"""


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has just ended by itself


@pytest.mark.parametrize(
    ("keys", "each", "kills", "seed"),
    [
        pytest.param(8, 12, 5, 1),
        pytest.param(
            int(os.environ.get("FAENA_TEST_KEYS", "25")),
            int(os.environ.get("FAENA_TEST_EACH", "12")),
            int(os.environ.get("FAENA_TEST_KILLS", "6")),
            int(os.environ.get("FAENA_TEST_SEED", "7")),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_with_kills_no_more_run_at_once_than_are_allowed_and_all_run_in_the_end(
    site_anywhere, until, keys, each, kills, seed
):
    site, random_ = site_anywhere, random.Random(seed)
    site.app(APP.replace("FOLDER", repr(str(site.folder))))
    settings = {"FAENA_WORKER_LEASE": "3", "FAENA_WORKER_LOG_TASKS": "none", "FAENA_WORKER_THREADS": "2"}
    workers = [site.worker("-n", f"w{number}", ready=False, **settings) for number in range(2)]
    client, calls = site.client, []
    for victim in range(kills):
        worker = random_.choice(workers)
        worker.until_ready()
        part = [(f"k{key}", len(calls) + number) for number in range(each) for key in range(keys)]
        calls += part
        client.send_many([client.signature("app.work", call) for call in part])
        client.send_many([client.signature("app.work_once", call) for call in part[:keys]])
        time.sleep(random_.uniform(0.02, 0.15))  # the moment of the kill is what is random here
        if victim % 4 == 3:
            kill(worker.pid)
            worker.popen.wait()
            workers[workers.index(worker)] = site.worker("-n", f"w{len(site.workers)}", ready=False, **settings)
        else:
            kill(random_.choice(until(worker.processes, what=worker.text)))
    site.until_drained(90)
    marks = site.marks()
    assert [text for text in marks if text.startswith("too many")] == []
    assert [call for call in calls if not marks[f"{call[0]}-{call[1]}"]] == []
    lost = [letter for letter in site.dead() if letter.message is None or letter.message.task != "app.work_once"]
    assert lost == []  # what was to run once at most has ended with its process
    assert sum(status.running for status in client.limits.list()) == 0
    assert sum(status.waiting for status in client.limits.list()) == 0
    assert [worker.until_ready().stop() for worker in workers] == [0, 0]
