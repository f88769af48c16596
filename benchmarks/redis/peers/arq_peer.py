"""arq: coroutines, ten at once in each process as by default; one command for each process, for it has no other way."""

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.redis import bodies
from benchmarks.redis.bodies import COROUTINES
from benchmarks.redis.side import KIND, PORT, TTL_S, WAIT_S, LoopSide

REDIS = RedisSettings(host="127.0.0.1", port=PORT)


async def echo(_context, number):
    return await bodies.echo_coroutine(number)


async def sleep_coroutine(_context):
    return await bodies.sleep_coroutine()


class WorkerSettings:
    functions = (echo, sleep_coroutine)
    redis_settings = REDIS
    max_jobs = COROUTINES if KIND == "coroutines" else 10
    keep_result = TTL_S


class Side(LoopSide):
    async def aopen(self):
        self.pool = await create_pool(REDIS)

    async def asend(self, numbers):
        return [await self.pool.enqueue_job("echo", number) for number in numbers]

    async def asend_sleeps(self, kind, count):
        return [await self.pool.enqueue_job("sleep_coroutine") for _ in range(count)]

    async def aresult(self, handle):
        return await handle.result(timeout=WAIT_S, poll_delay=0.001)

    async def aread(self, handles):
        found = [await handle.result_info() for handle in handles]
        return [None if each is None else each.result for each in found]

    def commands(self, kind, processes):
        return [self.command(kind, "arq", "benchmarks.redis.peers.arq_peer.WorkerSettings")] * processes
