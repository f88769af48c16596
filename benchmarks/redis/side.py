"""What the sides have in common: the verbs, and how each is timed. Standard library only: the peers' environments run it.

A side is asked `python -m benchmarks.redis.side MODULE VERB JSON` in an empty folder, and answers with one line of JSON.
The module has a class `Side`, a `BlockingSide` or a `LoopSide` (whose methods are coroutines):

    open()                        connect, and declare what has to be there before a message
    send(numbers)                 send `echo` once for each number, one call each; return handles
    send_bulk(numbers, chunk)     the same, `chunk` of them in one call; None where it has no such call
    send_sleeps(kind, count)      send `count` sleeps ("coroutines" or "threads"); return handles
    result(handle)                wait for one result, as tightly as the side can, and return it
    read(handles)                 all the values, in order, without waiting; None for what is not there yet
    commands(kind, processes)     the commands that start its worker; kind may be "plain", too
    stop_signal                   what makes that worker stop in peace
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import signal
import sys
import time
from contextlib import nullcontext
from os.path import dirname, join

from benchmarks.redis.bodies import COROUTINES, SLEEP_S, THREADS
from benchmarks.redis.workers import Workers, cpu_s, monitor, pss_bytes, server_stat

PORT = int(os.environ.get("BENCH_REDIS_PORT", "0"))
URL = f"redis://127.0.0.1:{PORT}/0"
BROKER = os.environ.get("BENCH_BROKER_URL", URL)  # where it is another server than the one for results
KIND = os.environ.get("BENCH_KIND", "plain")  # of the worker that this process is
TTL_S = 3600  # of results
WAIT_S = 30
WINDOW = 500  # of the last results that are looked at while a drain ends


class BlockingSide:
    """A side whose client blocks."""

    stop_signal = signal.SIGTERM

    def open(self):
        pass

    def send_bulk(self, numbers, chunk):
        return None

    def round_trip(self, number):
        return self.result(self.send([number])[0])

    def watched(self, kind):
        return nullcontext({})

    def command(self, kind, *words):
        """Return a command of its environment; its module sees `KIND`."""
        return ["env", f"BENCH_KIND={kind}", join(dirname(sys.executable), words[0]), *words[1:]]


class LoopSide:
    """A side whose client lives on an event loop: `a` before the name of each method that is a coroutine."""

    stop_signal = signal.SIGTERM
    command, watched = BlockingSide.command, BlockingSide.watched

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    async def aopen(self):
        pass

    async def asend_bulk(self, numbers, chunk):
        return None

    async def around_trip(self, number):
        return await self.aresult((await self.asend([number]))[0])

    def __getattr__(self, name):
        method = getattr(type(self), f"a{name}")
        return lambda *args: self.loop.run_until_complete(method(self, *args))


def enqueue(side, count, chunk):
    """Time the sending of `count` tasks with no worker there; `chunk` 1 sends one by one, 0 likewise in a block."""
    side.send(range(20))  # connects
    before, began_cpu, began = server_stat(PORT), time.process_time(), time.perf_counter()
    if chunk == 0:
        handles = side.send_buffered(range(count))
    else:
        handles = side.send(range(count)) if chunk == 1 else side.send_bulk(range(count), chunk)
    elapsed, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    server_s = server_stat(PORT)["cpu_s"] - before["cpu_s"]
    assert len(handles) == count
    return {"per_s": count / elapsed, "cpu_us": cpu / count * 1e6, "server_us": server_s / count * 1e6}


def drain(side, count, processes, kind="plain"):
    """Do as `drain_unwatched`, with whoever watches the worker, if its kind says that somebody shall."""
    with side.watched(kind) as seen:
        sample = drain_unwatched(side, count, processes, kind)
    assert not seen or seen["heard"]["task-succeeded"] >= count, f"events are missing: {seen}"
    return {**sample, **seen}


def drain_unwatched(side, count, processes, kind):
    """Time a worker on `count` waiting tasks: from the moment the first tenth is done until the last results are kept.

    The tasks run in the order of their sending, but for those that the processes hold at the same time; so it is enough
    to wait for one at the start and for the last few hundred at the end (huge waits would measure the waiting). Should
    others not be there by then, the clock runs on until they are.
    """
    handles = side.send_bulk(range(count), 500) or side.send(range(count))
    head = count // 10
    worker = Workers(side.commands(kind, processes), side.stop_signal)
    try:
        side.result(handles[head])
        pids = worker.pids
        before, began_cpu, began = server_stat(PORT), cpu_s(pids), time.perf_counter()
        last = handles[-min(count - head - 1, WINDOW) :]
        side.result(last[-1])
        while None in side.read(last):
            worker.check()
        elapsed, cpu, after = time.perf_counter() - began, cpu_s(pids) - began_cpu, server_stat(PORT)
        values = side.read(handles)
        if None in values:
            for handle, value in zip(handles, values, strict=True):
                if value is None:
                    side.result(handle)
            elapsed, cpu, after = time.perf_counter() - began, cpu_s(pids) - began_cpu, server_stat(PORT)
            values = side.read(handles)
        assert values == list(range(count)), "results are wrong"
    finally:
        worker.stop()
    rest = count - head
    return {
        "per_s": rest / elapsed,
        "cpu_us": cpu / rest * 1e6,
        "server_us": (after["cpu_s"] - before["cpu_s"]) / rest * 1e6,
        "processes": len(pids),
    }


def sleeps(side, kind, count, processes):
    """Have `count` sleeps run; the time from the first beginning to the last end, as the tasks saw it, over the ideal.

    They all wait before the worker starts: sending costs nothing here, but that its processes do not start together does.
    """
    handles = side.send_sleeps(kind, count)
    worker = Workers(side.commands(kind, processes), side.stop_signal)
    try:
        side.result(handles[-1])
        while None in (values := side.read(handles)):
            worker.check()
            time.sleep(0.1)
    finally:
        worker.stop()
    at_once = processes * (COROUTINES if kind == "coroutines" else THREADS)
    elapsed = max(end for _, end in values) - min(begin for begin, _ in values)
    ideal = count * SLEEP_S / at_once
    return {"elapsed_s": elapsed, "ideal_s": ideal, "ratio": elapsed / ideal, "at_once": at_once}


def live(side, round_trips, idle_s, tasks, processes):
    """Follow one worker through its life: cold start, round trips, idleness, memory."""
    first = side.send([0])[0]
    worker = Workers(side.commands("plain", processes), side.stop_signal)
    try:
        side.result(first)
        cold_start_s = time.perf_counter() - worker.started
        side.round_trip(0)
        time.sleep(1.0)  # the others of its processes are there, too
        trips = []
        draw = random.Random(1)
        for number in range(round_trips + 10):
            time.sleep(draw.uniform(0.002, 0.02))  # so that the worker has gone idle
            began = time.perf_counter()
            value = side.round_trip(number)
            trips.append((time.perf_counter() - began) * 1e3)
            assert value == number
        time.sleep(0.5)
        pids = worker.pids
        pss_idle = pss_bytes(pids)
        idle = _idle(pids, idle_s)
        handles = side.send_bulk(range(tasks), 500) or side.send(range(tasks))
        for handle in handles[-50:]:
            side.result(handle)
        while None in side.read(handles):
            worker.check()
        time.sleep(0.5)
        pss_after = pss_bytes(worker.pids)
        worker.check()
    finally:
        worker.stop()
    return {
        "cold_start_s": cold_start_s,
        "trips_ms": sorted(trips[10:]),
        "pss_idle_mib": pss_idle / 2**20,
        "pss_after_mib": pss_after / 2**20,
        "processes": len(pids),
        **idle,
    }


def wait_on_queues(side, idle_s):
    """See what one process that waits on ten queues of ten priorities costs the server."""
    worker = Workers(side.commands("ten queues", 1), side.stop_signal)
    try:
        time.sleep(2.0)
        return _idle(worker.pids, idle_s)
    finally:
        worker.stop()


def _idle(pids, idle_s):
    with monitor(PORT) as seen:
        began_cpu, began = cpu_s(pids), time.perf_counter()
        time.sleep(idle_s)
        elapsed = time.perf_counter() - began
        cpu = cpu_s(pids) - began_cpu
        sent, inside = seen()
    return {
        "idle_cpu_percent": cpu / elapsed * 100,
        "commands_per_s": sent / elapsed,
        "inside_scripts_per_s": inside / elapsed,
    }


VERBS = {"enqueue": enqueue, "drain": drain, "sleeps": sleeps, "live": live, "wait_on_queues": wait_on_queues}


def main():
    module, verb, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    side = importlib.import_module(module).Side()
    side.open()
    print(json.dumps(VERBS[verb](side, **arguments)))
    sys.stdout.flush()
    os._exit(0)  # a client's own closing is not what is measured


if __name__ == "__main__":
    main()
