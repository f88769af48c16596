"""Kill processes and supervisors at random moments while tasks run: nothing is lost, nothing succeeds twice.

`FAENA_TEST_TASKS=20000 FAENA_TEST_KILLS=200` is the long form.
"""

import os
import random
import signal
import time

import pytest

LEASE_S = 3

APP = """
@app.task
def work(n):
    mark(n)
    time.sleep(n % 7 / 5000)
    return n * n

@app.task
async def await_work(n):
    mark(n)
    await asyncio.sleep(n % 7 / 5000)
    return n * n
"""


def terminal_records(site, results):
    """Return what is recorded, by task: the store keeps one record for each."""
    from faena._lib.drive import run

    backend = site.client.connection().backend
    return {record.id: record for record in run(backend.read([result.id for result in results])) if record is not None}


def check_all_succeeded_once(site, results, count):
    records = terminal_records(site, results)
    missing = [result.id for result in results if result.id not in records]
    assert missing == []
    states = {records[result.id].state for result in results}
    assert states == {"SUCCESS"}
    assert [result.get(timeout=1) for result in results] == [n * n for n in range(count)]
    marks = site.marks()
    never = [n for n in range(count) if not marks[str(n)]]
    assert never == []
    assert site.dead() == []
    return sum(marks.values()) - count  # executions that a kill has repeated


def kill_plan(random_, kills):
    """Return the victims: a process mostly, now and then a supervisor."""
    return ["supervisor" if random_.random() < 0.12 else "process" for _ in range(kills)]


def send_signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it has just ended by itself


@pytest.mark.parametrize(
    ("tasks", "kills", "seed"),
    [
        pytest.param(2_000, 12, 1),
        pytest.param(
            int(os.environ.get("FAENA_TEST_TASKS", "6000")),
            int(os.environ.get("FAENA_TEST_KILLS", "60")),
            int(os.environ.get("FAENA_TEST_SEED", "7")),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_killing_processes_and_supervisors_loses_nothing_and_records_each_success_once(
    site_anywhere, until, tasks, kills, seed
):
    site = site_anywhere
    random_ = random.Random(seed)
    site.app(APP)
    settings = {"FAENA_WORKER_LEASE": str(LEASE_S), "FAENA_WORKER_LOG_TASKS": "none"}
    workers = [site.worker("-n", f"w{number}", ready=False, **settings) for number in range(2)]
    results = []
    killed = {"process": 0, "supervisor": 0}
    per_kill = tasks // kills
    for victim in kill_plan(random_, kills):
        first = len(results)
        results += site.send_all(random_.choice(("work", "await_work")), range(first, first + per_kill))
        worker = random_.choice(workers)
        worker.until_ready()
        time.sleep(random_.uniform(0.0, 0.12))  # the moment of the kill is what is random here
        if victim == "supervisor":
            send_signal(worker.pid, signal.SIGKILL)
            worker.popen.wait()
            if random_.random() < 0.5:  # as when a machine goes: nobody is left to finish
                for pid in worker.session():
                    send_signal(pid, signal.SIGKILL)
            workers[workers.index(worker)] = site.worker("-n", f"w{len(site.workers)}", ready=False, **settings)
        else:
            pids = until(worker.processes, what=worker.text)
            send_signal(random_.choice(pids), signal.SIGKILL)
        killed[victim] += 1
    results += site.send_all("work", range(len(results), tasks))
    site.until_drained(60 if tasks < 10_000 else 240)
    repeated = check_all_succeeded_once(site, results, tasks)
    print(f"{tasks} tasks, killed {killed}, repeated executions {repeated}")
    assert repeated < tasks / 2
    assert [worker.until_ready().stop() for worker in workers] == [0, 0]
