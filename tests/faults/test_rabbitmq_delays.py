"""Delayed tasks on RabbitMQ: each runs at its time, not before, however many there are, and workers stay small.

2,000 in the suite, over some seconds; 100,000 over four minutes by hand:

    FAENA_TEST_CHAOS=full pytest -s tests/faults/test_rabbitmq_delays.py
"""

import asyncio
import os
import random
import statistics
import time
from datetime import UTC, datetime

import pytest
from tests.conformance.rabbitmq_places import prepare

from faena._lib.ids import new_id

IS_FULL = os.environ.get("FAENA_TEST_CHAOS") == "full"
TASKS, LONGEST_S, BATCH = (100_000, 240.0, 500) if IS_FULL else (2_000, 4.0, 500)
WITHIN_S = 1.0
BUSY_S = 2.0  # so much later where other tests have the processors, too
GROWS_KIB = 8 * 1024

APP = """
@app.task(ignore_result=True)
def note(due_s):
    mark(f"{time.time() - due_s:.3f}")
"""


def rss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


@pytest.mark.slow
def test_delayed_tasks_run_at_their_time_and_workers_stay_small(rabbit, site, until):
    random_ = random.Random(7)
    prefix = f"{new_id()[-8:]}."
    site.url, site.backend = f"{rabbit.url}?prefix={prefix}", f"sqlite:///{site.folder}/results.db"
    asyncio.run(prepare(rabbit.url, {"prefix": prefix}))
    site.app(APP)
    worker = site.worker(FAENA_WORKER_LOG_TASKS="none")
    began_s = time.time()
    for first in range(0, TASKS, BATCH):
        # the last are sent with the first still on the ladder; none is due before it could have been sent
        due_s = [time.time() + 1.0 + random_.uniform(0.0, LONGEST_S) for _ in range(first, min(first + BATCH, TASKS))]
        site.client.send_many(
            [site.client.signature("app.note", (each,), eta=datetime.fromtimestamp(each, UTC)) for each in due_s]
        )
    sent_s = time.time()
    sizes = []

    def is_done():
        sizes.append([rss_kib(pid) for pid in worker.processes()])
        time.sleep(0.2)
        return sum(site.marks().values()) >= TASKS

    until(is_done, LONGEST_S + 120.0, lambda: f"{sum(site.marks().values())} have run\n{site.logs()}")
    took_s = time.time() - sent_s
    late = sorted(float(text) for text in site.marks().elements())
    steps = statistics.quantiles(late, n=1000)
    told = (
        f"{TASKS} sent in {sent_s - began_s:.1f} s, all run {took_s:.1f} s later; late by (s): least {late[0]:.3f}, half "
        f"{steps[499]:.3f}, 99 % {steps[989]:.3f}, 99.9 % {steps[998]:.3f}, most {late[-1]:.3f}; "
        f"over {WITHIN_S:g} s: {sum(each > WITHIN_S for each in late)}"
    )
    middle = len(sizes) // 3  # everything has been loaded by then
    grown_kib = max(max(each) for each in sizes[middle:]) - max(sizes[middle])
    print(f"{told}; PSS of a process {max(sizes[middle])} KiB, grown by {grown_kib} KiB at most")
    assert len(late) == TASKS
    assert late[0] >= -0.001, told
    assert late[-1] <= (WITHIN_S if IS_FULL else WITHIN_S + BUSY_S), told
    assert grown_kib <= GROWS_KIB
    until(lambda: not any(rabbit.queues(prefix).values()))
    assert worker.stop() == 0
