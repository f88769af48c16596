"""What the sides have in common: the verbs, and how each is timed. Standard library only: huey's environment runs it.

A side is asked `python -m benchmarks.embedded.side_x VERB JSON` in an empty folder, and answers with one line of JSON. It
hands `main` an object with:

    send(numbers)               send the task once for each number, one call each; returns handles
    send_bulk(numbers, chunk)   the same, `chunk` of them in one call; None where it has no such call
    result(handle)              wait for one result, as tightly as the side can, and return it
    read(handles)               all the values, in order, without waiting; None for what is not there yet
    worker_argv(processes)      the command that starts its worker
    stop_signal                 what makes that worker stop in peace
"""

from __future__ import annotations

import json
import os
import random
import sys
import time

from benchmarks.embedded.processes import Worker, cpu_s, pss_bytes


def enqueue(side, count, chunk):
    """Time the sending of `count` tasks with no worker there; `chunk` 1 sends one by one."""
    side.send(range(20))  # opens the connection, makes the tables
    began_cpu, began = time.process_time(), time.perf_counter()
    handles = side.send(range(count)) if chunk == 1 else side.send_bulk(range(count), chunk)
    elapsed, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    assert len(handles) == count
    return {"per_s": count / elapsed, "cpu_us": cpu / count * 1e6}


def drain(side, count, processes):
    """Time a worker on `count` waiting tasks: from the moment the first tenth is done until the last results are kept.

    The tasks run in the order of their sending, but for those that the processes hold at the same time; so it is enough
    to wait for one at the start and for the last few hundred at the end (huge waits would measure the waiting). Should
    others not be there by then, the clock runs on until they are.
    """
    handles = side.send_bulk(range(count), 500) or side.send(range(count))
    head = count // 10
    worker = Worker(side.worker_argv(processes), "worker.log", side.stop_signal)
    try:
        side.result(handles[head])
        pids = worker.pids
        began_cpu, began = cpu_s(pids), time.perf_counter()
        for handle in handles[-1 : -min(head, 300) : -1]:
            side.result(handle)
        elapsed, cpu = time.perf_counter() - began, cpu_s(pids) - began_cpu
        late = [handle for handle, value in zip(handles, side.read(handles), strict=True) if value is None]
        if late:
            for handle in late:
                side.result(handle)
            elapsed, cpu = time.perf_counter() - began, cpu_s(pids) - began_cpu
        assert side.read(handles) == list(range(count)), "results are wrong"
    finally:
        worker.stop()
    rest = count - head
    return {"per_s": rest / elapsed, "cpu_us": cpu / rest * 1e6, "processes": len(pids)}


def live(side, round_trips, idle_s, tasks):
    """Follow one worker of one process through its life: cold start, round trips, idleness, memory."""
    first = side.send([0])[0]
    worker = Worker(side.worker_argv(1), "worker.log", side.stop_signal)
    try:
        side.result(first)
        cold_start_s = time.perf_counter() - worker.started
        trips = []
        draw = random.Random(1)
        for number in range(round_trips + 10):
            time.sleep(draw.uniform(0.002, 0.02))  # so that the worker has gone idle
            began = time.perf_counter()
            value = side.result(side.send([number])[0])
            trips.append((time.perf_counter() - began) * 1e3)
            assert value == number
        time.sleep(0.5)
        pids = worker.pids
        pss_idle = pss_bytes(pids)
        began_cpu, began = cpu_s(pids), time.perf_counter()
        time.sleep(idle_s)
        idle = (cpu_s(pids) - began_cpu) / (time.perf_counter() - began)
        for handle in reversed(side.send_bulk(range(tasks), 500) or side.send(range(tasks))):
            side.result(handle)
        time.sleep(0.5)
        pss_after = pss_bytes(worker.pids)
        worker.check()
    finally:
        worker.stop()
    return {
        "cold_start_s": cold_start_s,
        "trips_ms": sorted(trips[10:]),
        "idle_cpu_percent": idle * 100,
        "pss_idle_mib": pss_idle / 2**20,
        "pss_after_mib": pss_after / 2**20,
        "processes": len(pids),
    }


VERBS = {"enqueue": enqueue, "drain": drain, "live": live}


def main(side):
    verb, arguments = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(VERBS[verb](side, **arguments)))
    sys.stdout.flush()
    os._exit(0)  # a client's own closing is not what is measured
