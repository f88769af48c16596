"""The verbs of the sides on RabbitMQ: those of `benchmarks.redis.side`, and a drain of tasks whose results are ignored.

A side has, beside what is told there:

    send_marks(count)             send `mark` for 0, 1, ..., many in a call
    send_at_once(numbers)         send `echo` for each, one call each, many calls at once
"""

from __future__ import annotations

import importlib
import json
import mmap
import os
import sys
import time

from benchmarks.rabbitmq.bodies import MARKS
from benchmarks.redis.side import PORT, drain, enqueue
from benchmarks.redis.workers import Workers, cpu_s, server_stat


def enqueue_at_once(side, count):
    """Time the sending of `count` tasks, many calls at once."""
    side.send_at_once(range(20))  # connects
    began_cpu, began = time.process_time(), time.perf_counter()
    side.send_at_once(range(count))
    elapsed, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return {"per_s": count / elapsed, "cpu_us": cpu / count * 1e6}


def drain_marks(side, count, processes):
    """Time a worker on `count` waiting tasks without results: from the first tenth to the last; each has to run."""
    with open(MARKS, "wb") as file:
        file.write(bytes(count))
    side.send_marks(count)
    worker = Workers(side.commands("plain", processes), side.stop_signal)
    try:
        with open(MARKS, "r+b") as file, mmap.mmap(file.fileno(), 0) as ran:

            def left():
                return ran[:].count(0)

            while left() > count * 0.9:
                worker.check()
                time.sleep(0.001)
            pids = worker.pids
            before, began_cpu, began, rest = server_stat(PORT), cpu_s(pids), time.perf_counter(), left()
            while left():
                worker.check()
                time.sleep(0.001)
            elapsed, cpu, after = time.perf_counter() - began, cpu_s(pids) - began_cpu, server_stat(PORT)
    finally:
        worker.stop()
    return {
        "per_s": rest / elapsed,
        "cpu_us": cpu / rest * 1e6,
        "server_us": (after["cpu_s"] - before["cpu_s"]) / rest * 1e6,
        "processes": len(pids),
    }


VERBS = {"enqueue": enqueue, "enqueue_at_once": enqueue_at_once, "drain": drain, "drain_marks": drain_marks}


def main():
    module, verb, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    side = importlib.import_module(module).Side()
    side.open()
    print(json.dumps(VERBS[verb](side, **arguments)))
    sys.stdout.flush()
    os._exit(0)  # a client's own closing is not what is measured


if __name__ == "__main__":
    main()
