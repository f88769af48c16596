"""Thousands of steps and ten thousands of members: what a step costs, and what clients and messages hold.

FAENA_TEST_CHAOS=full takes ten thousand steps and a hundred thousand members.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from faena import Faena
from faena._lib.drive import run
from faena.drivers.memory.messages import encode
from faena.tasks.canvas import Chain
from faena.testing import run_pending

STEPS, MEMBERS = (10_000, 100_000) if os.environ.get("FAENA_TEST_CHAOS") == "full" else (4_000, 30_000)

APP = """
@app.task
def double(n):
    return 2 * n

@app.task
def total(numbers):
    return [len(numbers), sum(numbers), numbers[:3]]
"""

CLIENT = """
import json, os, resource, sys
from app import app, double, total
from faena import chord

result = chord(double.s(n) for n in range(int(sys.argv[1])))(total.s())
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # on Linux that of what the process was started by, too
if os.path.exists("/proc/self/status"):
    with open("/proc/self/status") as status:
        (most,) = [int(line.split()[1]) for line in status if line.startswith("VmHWM:")]
print(json.dumps([result.id, most // 1024]))
"""


@pytest.mark.slow
def test_each_step_of_a_chain_of_thousands_costs_the_same(tmp_path):
    app = Faena("long", broker=f"sqlite:///{tmp_path}/long.db", set_as_current=False)

    costs = []  # by step: statements, and thousands of instructions of SQLite's virtual machine

    @app.task
    def count(total, more):
        costs.append((work["statements"], work["instructions"]))
        return total + more

    work = {"statements": 0, "instructions": 0}
    result = Chain([count.s(0, 1), *[count.s(1) for _ in range(STEPS - 1)]], app=app).apply_async()
    connection = app.links.blocking().backend.driver.database.read(lambda sql: sql)
    connection.set_trace_callback(lambda _: work.__setitem__("statements", work["statements"] + 1))
    connection.set_progress_handler(lambda: work.__setitem__("instructions", work["instructions"] + 1), 100)
    assert len(run_pending(app, most=STEPS + 1)) == STEPS
    connection.set_trace_callback(None)
    connection.set_progress_handler(None, 100)
    assert result.get(timeout=5) == STEPS
    first, last = _spent(costs, 100, 1100), _spent(costs, STEPS - 1001, STEPS - 1)
    assert last[0] == pytest.approx(first[0], rel=0.05), "statements"
    assert last[1] == pytest.approx(first[1], rel=0.3), "instructions"
    assert last[0] < 40 * 1000
    app.close()


def _spent(costs, begin, end):
    return costs[end][0] - costs[begin][0], costs[end][1] - costs[begin][1]


@pytest.mark.slow
def test_a_chord_of_ten_thousands_needs_little_memory_and_small_messages_and_its_body_has_every_result(site):
    site.app(APP)
    (site.folder / "client.py").write_text(CLIENT)
    sizes = {}
    for members in (10, MEMBERS):
        argv = [sys.executable, "client.py", str(members)]
        done = subprocess.run(argv, cwd=site.folder, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        task_id, memory_mb = json.loads(done.stdout)
        found = run(site.client.connection().broker.queues.browse("default", 20, max(0, members - 10)))
        sizes[members] = max(len(encode(message)) for _, message in found)
    print(f"{MEMBERS} members: {memory_mb} MB")
    assert memory_mb < 60 + MEMBERS / 100_000 * 240
    assert sizes[MEMBERS] <= sizes[10] + 32, sizes  # its numbers are longer
    assert sizes[MEMBERS] < 400
    site.worker("-c", "2")
    result = site.client.AsyncResult(task_id)
    assert result.get(timeout=240) == [MEMBERS, MEMBERS * (MEMBERS - 1), [0, 2, 4]]
