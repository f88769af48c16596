"""SAQ: coroutines, ten at once in each process as by default; a job that is lost is run again (`retries`).

Its first sweep is held off: it comes as a worker starts, and aborts jobs that were taken in that moment. It looks at a job
before it listens for its end, so that an end in between is never heard of: the look is repeated every now and then.
"""

import asyncio
from contextlib import suppress

from saq import Job, Queue

from benchmarks.redis import bodies
from benchmarks.redis.bodies import COROUTINES
from benchmarks.redis.side import KIND, TTL_S, URL, LoopSide

AGAIN_AFTER_S = 0.05
queue = Queue.from_url(URL)


async def echo(_context, *, number):
    return await bodies.echo_coroutine(number)


async def sleep_coroutine(_context):
    return await bodies.sleep_coroutine()


settings = {
    "queue": queue,
    "functions": [echo, sleep_coroutine],
    "concurrency": COROUTINES if KIND == "coroutines" else 10,
}


class Side(LoopSide):
    async def aopen(self):
        await queue.connect()
        await queue.redis.setex(queue.namespace("sweep"), TTL_S, 1)

    async def asend(self, numbers):
        return [await queue.enqueue(Job("echo", kwargs={"number": number}, ttl=TTL_S, retries=3)) for number in numbers]

    async def asend_sleeps(self, kind, count):
        return [await queue.enqueue(Job("sleep_coroutine", ttl=TTL_S, retries=3)) for _ in range(count)]

    async def aresult(self, handle):
        while not handle.completed:
            with suppress(asyncio.TimeoutError):
                await handle.refresh(until_complete=AGAIN_AFTER_S)
        return handle.result

    async def aread(self, handles):
        values = []
        for start in range(0, len(handles), 1000):
            jobs = await queue.jobs([handle.key for handle in handles[start : start + 1000]])
            values += [None if job is None or not job.completed else job.result for job in jobs]
        return values

    def commands(self, kind, processes):
        return [
            self.command(kind, "saq", "benchmarks.redis.peers.saq_peer.settings", "--workers", str(processes), "--quiet")
        ]
