"""Kill processes and workers while unique tasks run and clients call: never two at a time, and no key is left behind."""

import os
import random
import signal
import time
from contextlib import suppress

import pytest

from faena import Faena

LEASE_S = 3
KEYS = 5

APP = """

def alone(key, seconds):
    "Say so where another living process runs the same."
    path = f"running-{key}"
    try:
        other = int(open(path).read() or 0)
        os.kill(other, 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        other = None
    if other is not None and other != os.getpid():
        mark(f"two at a time: {key}")
    with open(f"{path}.{os.getpid()}", "w") as file:
        file.write(str(os.getpid()))
    os.replace(f"{path}.{os.getpid()}", path)
    time.sleep(seconds)
    os.remove(path)

@app.task(unique=True, max_retries=1, default_retry_delay=0, bind=True)
def single(self, key):
    alone(key, 0.002 * (1 + key))
    if self.request.retries == 0 and key == 1:
        raise self.retry()
    if key == 2:
        raise ValueError("two")
    mark(f"done {key}")
"""


@pytest.mark.parametrize(
    ("stores", "kills", "seed"),
    [
        pytest.param("redis and a file", 6, 2),
        pytest.param("sqlite", 6, 1, marks=pytest.mark.slow),
        pytest.param(
            os.environ.get("FAENA_TEST_STORES", "redis"),
            int(os.environ.get("FAENA_TEST_KILLS", "10")),
            int(os.environ.get("FAENA_TEST_SEED", "3")),
            marks=pytest.mark.slow,
        ),
        pytest.param("a file and redis", 8, 4, marks=pytest.mark.slow),
    ],
)
def test_kills_let_no_two_run_at_a_time_and_leave_no_key_behind(request, site, until, stores, kills, seed):
    random_ = random.Random(seed)
    server = request.getfixturevalue("redis_of")("--appendonly", "yes") if "redis" in stores else None
    if stores.startswith("redis"):
        site.url = server.url
    backend = site.url
    if stores == "a file and redis":
        backend = server.url
    elif stores == "redis and a file":
        backend = f"sqlite:///{site.folder / 'backend.db'}"
    site.app(APP, f"backend={backend!r}, task_crash_limit=1000")
    settings = {"FAENA_WORKER_LEASE": str(LEASE_S)}
    workers = [site.worker("-n", f"w{number}", ready=False, **settings) for number in range(2)]
    client = site._client = Faena("client", broker=site.url, backend=backend, set_as_current=False)
    sent, duplicates = {}, 0
    for _ in range(kills):
        workers[0].until_ready()
        workers[1].until_ready()
        until_s = time.monotonic() + random_.uniform(0.05, 0.3)
        while time.monotonic() < until_s:
            key = random_.randrange(KEYS)
            handle = client.send_task("app.single", (key,), unique=True)
            sent[handle.id] = handle
            duplicates += handle.is_duplicate
        try:
            if random_.random() < 0.2:  # as when a machine goes
                at = random_.randrange(2)
                for pid in workers[at].session():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                workers[at].popen.wait()
                workers[at] = site.worker("-n", f"w{len(site.workers)}", ready=False, **settings)
            else:
                os.kill(random_.choice(until(random_.choice(workers).processes)), signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has just ended by itself
    site.until_drained(60)
    assert duplicates
    ended = {handle.id: handle.state for handle in sent.values()}
    assert {task_id: state for task_id, state in ended.items() if state not in ("SUCCESS", "FAILURE")} == {}
    assert [text for text in site.marks() if text.startswith("two")] == []
    assert not any(client.send_task("app.single", (key,), unique=True).is_duplicate for key in range(KEYS))
    site.until_drained(60)
    assert [worker.until_ready().stop() for worker in workers] == [0, 0]
