"""Repid over a Redis stream. It keeps no results: the task keeps its own, with one SET. One command for each process."""

import asyncio
import json
import sys
import uuid

import redis.asyncio
from repid import RedisServer, Repid, Router

from benchmarks.redis import bodies
from benchmarks.redis.bodies import COROUTINES, THREADS
from benchmarks.redis.side import KIND, PORT, TTL_S, URL, LoopSide

AT_ONCE = {"coroutines": COROUTINES, "threads": THREADS}.get(KIND, 1000)
app = Repid(title="bench", version="1.0.0")
app.servers.register_server("default", RedisServer(URL, claim_interval=30.0, batch_size=100), is_default=True)
router = Router()
results = redis.asyncio.Redis(port=PORT)


async def keep(identity, value):
    await results.set(f"result:{identity}", json.dumps(value), ex=TTL_S)


@router.actor
async def echo(identity: str, number: int) -> None:
    await keep(identity, await bodies.echo_coroutine(number))


@router.actor
async def sleep_coroutine(identity: str) -> None:
    await keep(identity, await bodies.sleep_coroutine())


app.include_router(router)


class Side(LoopSide):
    async def aopen(self):
        self.connection = app.servers.default.connection()
        await self.connection.__aenter__()

    async def publish(self, name, **arguments):
        identity = uuid.uuid4().hex
        await app.send_message_json(channel="default", payload={"identity": identity, **arguments}, headers={"topic": name})
        return identity

    async def asend(self, numbers):
        return [await self.publish("echo", number=number) for number in numbers]

    async def asend_sleeps(self, kind, count):
        return [await self.publish("sleep_coroutine") for _ in range(count)]

    async def aresult(self, handle):
        while (raw := await results.get(f"result:{handle}")) is None:
            await asyncio.sleep(0.0005)
        return json.loads(raw)

    async def aread(self, handles):
        values = []
        for start in range(0, len(handles), 1000):
            raws = await results.mget([f"result:{handle}" for handle in handles[start : start + 1000]])
            values += [None if raw is None else json.loads(raw) for raw in raws]
        return values

    def commands(self, kind, processes):
        return [["env", f"BENCH_KIND={kind}", sys.executable, "-m", "benchmarks.redis.peers.repid_peer"]] * processes


async def run_worker():
    async with app.servers.default.connection():
        await app.run_worker(tasks_limit=AT_ONCE)


if __name__ == "__main__":
    asyncio.run(run_worker())
