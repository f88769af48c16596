"""A template that is not needed for now, its return from a supervisor that is at work, and what must not come with it.

On Redis: there the supervisor has no thread, so it can be forked. On SQLite the template stays
(test_worker_template.py).
"""

import os
import signal
from pathlib import Path

import pytest

APP = """
import asyncio, gc, random, warnings

@app.task
def work(n):
    return n

@app.task
def facts():
    def loop():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = asyncio.get_event_loop_policy().get_event_loop()
            except RuntimeError:
                return "none"
            said = "running" if found.is_running() else "closed" if found.is_closed() else "fresh"
            found.close()
            return said

    async def run():
        return await asyncio.to_thread(lambda: 7)

    opened = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    return {
        "argv": sys.argv[0],
        "path": sys.path,
        "main": sys.modules["__main__"].__file__,
        "cwd": os.getcwd(),
        "descriptors": sorted(os.path.basename(each).partition(":")[0] for each in opened if "/fd" not in each),
        "leads a group": os.getpgid(0) == os.getpid(),
        "signals": [repr(signal.getsignal(each)) for each in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGPIPE)],
        "stopping": [callable(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "wakes": signal.set_wakeup_fd(-1),
        "threads": sorted(each.name for each in threading.enumerate()),
        "collector": gc.isenabled(),
        "loop": loop(),
        "runs": asyncio.run(run()),
    }

@app.task
def chance():
    time.sleep(0.3)
    return os.getpid(), random.random()

@app.task
def ask_own_group_to_stop():
    os.killpg(0, signal.SIGTERM)
    return os.getpid()

@app.task
def end(how):
    os._exit(how)
"""


@pytest.fixture
def worker_of(site, redis_of, until):
    """A worker on Redis whose template has gone."""

    def start(*words, host="127.0.0.1"):
        site.url = redis_of().url.replace("127.0.0.1", host)
        site.app("import signal\n" + APP)
        worker = site.worker(*words)
        until(lambda: worker.templates() == [])
        return worker

    return start


def pss_kib(pids):
    rows = [line.split() for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(row[1]) for row in rows if row[0] == "Pss:")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # a name is looked up in a thread
def test_a_process_forked_from_a_supervisor_at_work_finds_what_the_first_one_found(site, worker_of, until, host):
    worker = worker_of("-c", "1", host=host)
    [first] = worker.processes()
    found = site.send("facts").get(timeout=10)
    os.kill(first, signal.SIGKILL)
    assert site.send("facts").get(timeout=15) == found
    [second] = until(worker.processes)
    assert Path(f"/proc/{second}/comm").read_text() == "faena:0\n", "a fork, no interpreter of its own"
    until(lambda: worker.templates() == [])
    assert "template" not in worker.text()
    assert site.send("ask_own_group_to_stop").get(timeout=10) == second
    assert site.send("work", 3).get(timeout=10) == 3, "and nobody has stopped"
    assert worker.stop() == 0
    assert worker.session() == []


def test_processes_that_were_replaced_share_their_memory_still(site, worker_of, until):
    worker = worker_of("-c", "2")

    def all_pss_kib():
        site.send_all("work", range(20))[-1].get(timeout=10)
        return pss_kib([worker.pid, *until(lambda: len(worker.processes()) == 2 and worker.processes())])

    pids = worker.processes()
    before = all_pss_kib()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        until(lambda gone=pid: len(worker.processes()) == 2 and gone not in worker.processes())
    drawn = [result.get(timeout=15) for result in [site.send("chance") for _ in range(6)]]
    assert not set(pids) & {pid for pid, _ in drawn}
    assert len({number for _, number in drawn}) == len(drawn)
    until(lambda: worker.templates() == [])
    after = all_pss_kib()
    print(f"{before / 1024:.1f} MiB, after both were replaced {after / 1024:.1f} MiB")
    assert after < 1.1 * before


def test_ends_of_processes_are_reported_exactly_by_a_supervisor_without_a_template(site, worker_of, until):
    worker = worker_of("-c", "1")
    result = site.send("end", 7)
    worker.until_logged(rf"process 0 \(pid \d+\) ended with exit code 7; it ran task {result.id}")
    until(lambda: result.state == "FAILURE")  # it was suspected of each crash, and has had its last
    until(lambda: worker.templates() == [])
    worker.signal(signal.SIGHUP)
    worker.until_logged("is replaced: restart")
    assert site.send("work", 3).get(timeout=15) == 3
    assert worker.stop() == 0
    assert worker.session() == []
