"""Tasks that end their process: three times and they are dead letters, with the cause; their neighbours are unharmed."""

import os
import signal
import time

import pytest

APP = """
import ctypes

@app.task
def leave(n):
    mark(f"crash {n}")
    os._exit(23)

@app.task
def segfault(n):
    mark(f"crash {n}")
    ctypes.string_at(0)

@app.task
def abort(n):
    mark(f"crash {n}")
    os.abort()

@app.task
def kill_self(n):
    mark(f"crash {n}")
    os.kill(os.getpid(), signal.SIGKILL)

@app.task
async def await_leave(n):
    mark(f"crash {n}")
    await asyncio.sleep(0.01)
    os._exit(23)

@app.task
def leave_once(n):
    mark(f"crash {n}")
    if once(f"leave-{n}"):
        os._exit(23)
    return n

@app.task
def grow(mib):
    mark("grow")
    kept = []
    for _ in range(mib):
        kept.append(os.urandom(1024 * 1024))
        time.sleep(0.002)
    time.sleep(10)

@app.task
def leak(n):
    leaked.append(os.urandom(1024 * 1024))
    time.sleep(0.04)  # so that its supervisor sees it grow over the limit before it has grown far over
    mark(f"leak {os.getpid()}")
    return n

leaked = []

@app.task
def work(n):
    mark(f"begin {n}")
    time.sleep(0.05)
    return n

@app.task
async def await_work(n):
    mark(f"begin {n}")
    await asyncio.sleep(0.05)
    return n
"""


@pytest.fixture
def app(site):
    site.app(APP)


def test_tasks_that_end_their_process_three_times_are_dead_letters_with_the_cause(site, app):
    from faena.errors import WorkerLostError

    causes = {
        "leave": "ended with exit code 23",
        "segfault": "killed by SIGSEGV",
        "abort": "killed by SIGABRT",
        "kill_self": "killed by SIGKILL",
    }
    results = {name: site.send(name, name) for name in causes}
    neighbours = site.send_all("work", range(30))
    worker = site.worker()
    for name, cause in causes.items():
        with pytest.raises(WorkerLostError, match=f"died 3 times, the last time {cause}"):
            results[name].get(timeout=20)
        assert site.marks()[f"crash {name}"] == 3
    letters = {letter.message.id: letter for letter in site.dead()}
    assert len(letters) == len(causes)
    for name, cause in causes.items():
        letter = letters[results[name].id]
        assert (letter.reason, letter.crashes) == ("crashed", 3)
        assert cause in letter.detail
    assert [neighbour.get(timeout=20) for neighbour in neighbours] == list(range(30))
    assert worker.stop() == 0


@pytest.mark.parametrize("words", [("-c", "1", "--threads", "4"), ("-P", "threads", "-c", "4")], ids=" ".join)
def test_neighbours_in_threads_and_coroutines_of_the_same_process_are_unharmed(site, app, words):
    crashing = [site.send("leave", 0), site.send("leave", 1), site.send("await_leave", 2)]
    neighbours = [*site.send_all("work", range(40)), *site.send_all("await_work", range(40, 80))]
    site.worker(*words)
    assert [neighbour.get(timeout=25) for neighbour in neighbours] == list(range(80))
    site.until_drained()
    assert {letter.message.id for letter in site.dead()} == {result.id for result in crashing}
    # the first crash may be counted for those that ran beside the one that did it; from then on each runs alone
    assert {site.marks()[f"crash {n}"] for n in range(3)} <= {2, 3}


def test_a_suspect_runs_alone_although_other_work_waits(site, app):
    """In a process with room for many, what may have crashed it has no neighbours until it has proved itself."""
    site.app(
        """
        running = set()

        @app.task
        async def suspect():
            mark(f"suspect beside {sorted(running)}")
            if once("first"):
                os._exit(1)
            for _ in range(50):
                await asyncio.sleep(0.01)
                if running:
                    mark("not alone")

        @app.task
        async def neighbour(n):
            running.add(n)
            try:
                await asyncio.sleep(0.05)
            finally:
                running.discard(n)
            return n
        """
    )
    result = site.send("suspect")
    site.worker("-c", "1")
    site.until_marked("suspect beside []", count=2)
    neighbours = site.send_all("neighbour", range(50))
    assert result.get(timeout=10) is None
    assert [neighbour.get(timeout=10) for neighbour in neighbours] == list(range(50))
    assert "not alone" not in site.marks()


def test_a_task_that_crashes_once_succeeds_afterwards(site, app):
    results = [site.send("leave_once", n) for n in range(5)]
    site.worker()
    assert [result.get(timeout=20) for result in results] == list(range(5))
    assert [site.marks()[f"crash {n}"] for n in range(5)] == [2] * 5
    assert site.dead() == []


def test_many_crashing_tasks_do_not_slow_their_neighbours_down(site, app):
    site.send_all("leave", range(5))
    neighbours = site.send_all("work", range(20))
    site.worker("-c", "1")
    assert [neighbour.get(timeout=25) for neighbour in neighbours] == list(range(20))
    site.until_drained(25)
    assert len(site.dead()) == 5


def test_a_task_that_takes_too_much_memory_is_killed_while_it_runs(site, app):
    from faena.errors import WorkerLostError

    result = site.send("grow", 400)
    neighbours = site.send_all("work", range(10))
    site.worker("--max-memory-per-child", "120000")
    with pytest.raises(WorkerLostError, match=r"died 3 times, the last time memory: [\d,]+ KiB, far over"):
        result.get(timeout=25)
    assert site.dead()[0].reason == "crashed"
    assert [neighbour.get(timeout=10) for neighbour in neighbours] == list(range(10))


def test_a_process_that_has_grown_is_replaced_between_tasks_and_nothing_runs_twice(site, app):
    results = site.send_all("leak", range(60))
    worker = site.worker("-c", "1", "--max-memory-per-child", "64000", "--prefetch-multiplier", "1")
    assert [result.get(timeout=25) for result in results] == list(range(60))
    assert sum(site.marks().values()) == 60
    worker.until_logged("over max_memory_per_child")


def test_a_process_that_cannot_boot_again_is_tried_with_growing_pauses(site, app):
    site.app("if not once('boot'):\n    os._exit(7)\n@app.task\ndef work(n):\n    return n\n")
    worker = site.worker(ready=False)
    worker.until_logged(r"process \d is started again in 2\.0 s")
    assert site.send("work", 5).get(timeout=5) == 5, "the other process works"


def test_a_process_killed_by_hand_while_idle_is_replaced_at_once(site, app, until):
    worker = site.worker()
    for pid in worker.processes():
        os.kill(pid, signal.SIGKILL)
    began_s = time.monotonic()
    result = site.send("work", 1)
    assert result.get(timeout=3) == 1
    assert time.monotonic() - began_s < 3


def test_a_process_whose_io_thread_hangs_is_replaced(site, until):
    """A signal handler of user code that never returns, or a library that deadlocks: the watchdog sees no beat."""
    site.app(
        """
        @app.task
        def hang():
            for thread in threading.enumerate() if once("hang") else ():
                if thread.name == "faena-io":
                    import ctypes
                    loop = [value for frame in [sys._current_frames()[thread.ident]] for value in walk(frame)][0]
                    loop.call_soon_threadsafe(time.sleep, 1000)
            return "hung"

        def walk(frame):
            while frame is not None:
                for value in frame.f_locals.values():
                    if isinstance(value, asyncio.AbstractEventLoop):
                        yield value
                    elif isinstance(value, asyncio.Runner):
                        yield value.get_loop()
                frame = frame.f_back

        @app.task
        def work(n):
            return n
        """
    )
    worker = site.worker("-c", "1", FAENA_WORKER_WATCHDOG_TIMEOUT="2")
    [pid] = worker.processes()
    site.send("hang")
    worker.until_logged(rf"pid {pid}\) killed by SIGKILL \(no progress for", 15)
    assert site.send("work", 3).get(timeout=10) == 3


def test_a_coroutine_that_holds_up_the_loop_is_told_of_and_may_finish(site):
    site.app("@app.task\nasync def block():\n    time.sleep(4)\n    return 'done'\n")
    worker = site.worker("-c", "1", FAENA_WORKER_WATCHDOG_TIMEOUT="1")
    [pid] = worker.processes()
    result = site.send("block")
    worker.until_logged(rf"\(pid {pid}\) settles nothing: a task has held up its event loop .* it runs {result.id}")
    assert result.get(timeout=10) == "done"
    assert worker.processes() == [pid]


def test_a_supervisor_that_can_start_no_process_tries_again(site, app, until):
    import resource

    worker = site.worker("-c", "1")
    [pid] = worker.processes()
    limits = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (4, limits[1]))
    os.kill(pid, signal.SIGKILL)
    worker.until_logged("process 0 cannot be started: ")
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, limits)
    assert site.send("work", 1).get(timeout=15) == 1
    assert worker.stop() == 0
