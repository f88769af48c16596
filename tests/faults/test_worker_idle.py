"""A worker that waits: what it costs, and how punctual it is. FAENA_TEST_DELAYED=100000 is the long form."""

import os
import time

import pytest

APP = """
@app.task
def late(due):
    mark(int((time.time() - due) * 1000))

@app.task
def work(n):
    return n
"""
DELAYED = int(os.environ.get("FAENA_TEST_DELAYED", "40000"))


def cpu_s(pids):
    """Return the CPU time that processes have used so far."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_kib(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm") as file:
            total += int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    return total


def test_a_waiting_worker_uses_less_than_a_hundredth_of_a_core(site, until):
    site.app(APP)
    worker = site.worker("-c", "2")
    until(lambda: len(worker.processes()) == 2)
    assert [result.get(timeout=10) for result in site.send_all("work", range(50))] == list(range(50))
    time.sleep(2)  # for the end of the work; what is measured is the rest
    pids = [worker.pid, *worker.processes()]
    before_s, began_s = cpu_s(pids), time.monotonic()
    time.sleep(6)  # what is measured is waiting
    share = (cpu_s(pids) - before_s) / (time.monotonic() - began_s)
    print(f"idle: {share:.4f} of a core, for a supervisor and two processes")
    assert share < 0.01


@pytest.mark.parametrize(
    ("delayed", "due_soon"), [pytest.param(5_000, 100), pytest.param(DELAYED, 300, marks=pytest.mark.slow)]
)
def test_delayed_tasks_wait_in_the_file_and_run_within_a_second_of_their_time(site, until, delayed, due_soon):
    site.app(APP)
    worker = site.worker("-c", "2", "--log-tasks", "none")
    until(lambda: len(worker.processes()) == 2)
    assert site.send("work", 1).get(timeout=10) == 1
    pids = [worker.pid, *worker.processes()]
    before_kib = rss_kib(pids)
    client = site.client
    for at in range(0, delayed, 1000):
        client.send_many(client.signature("app.work", (n,), countdown=86_400 + n) for n in range(at, at + 1000))
    first_s = time.time() + 1.0
    for n in range(due_soon):
        due_s = first_s + n * 5.0 / due_soon
        site.send("late", due_s, countdown=due_s - time.time())
    until(lambda: sum(site.marks().values()) == due_soon, 15, site.logs)
    late_ms = sorted(int(line) for line, count in site.marks().items() for _ in range(count))
    grown_kib = rss_kib(pids) - before_kib
    print(f"{delayed} delayed: worker grew {grown_kib} KiB; late by p50 {late_ms[len(late_ms) // 2]} ms, "
          f"most {late_ms[-1]} ms")  # fmt: skip
    assert late_ms[0] >= 0
    assert late_ms[-1] < 1000
    assert grown_kib < 20_000
    assert worker.processes() == pids[1:]
    assert site.queue().delayed == delayed
