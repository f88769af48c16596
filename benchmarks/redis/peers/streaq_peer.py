"""streaQ: coroutines and threads, sixteen at once in each process as by default; bulk is one pipeline."""

from streaq import Worker

from benchmarks.redis import bodies
from benchmarks.redis.bodies import COROUTINES, THREADS
from benchmarks.redis.side import KIND, TTL_S, URL, WAIT_S, LoopSide

AT_ONCE = {"coroutines": COROUTINES, "threads": THREADS}.get(KIND, 16)
worker = Worker(redis_url=URL, concurrency=AT_ONCE, sync_concurrency=AT_ONCE)

echo = worker.task(ttl=TTL_S, silent=True)(bodies.echo_coroutine)
sleep = worker.task(ttl=TTL_S, silent=True)(bodies.sleep)
sleep_coroutine = worker.task(ttl=TTL_S, silent=True)(bodies.sleep_coroutine)


class Side(LoopSide):
    def open(self):
        self.loop.run_until_complete(worker.__aenter__())

    async def asend(self, numbers):
        return [await echo.enqueue(number) for number in numbers]

    async def asend_bulk(self, numbers, chunk):
        handles = []
        for start in range(0, len(numbers), chunk):
            tasks = [echo.enqueue(number) for number in numbers[start : start + chunk]]
            await worker.enqueue_many(tasks)
            handles += tasks
        return handles

    async def asend_sleeps(self, kind, count):
        task = sleep_coroutine if kind == "coroutines" else sleep
        tasks = [task.enqueue() for _ in range(count)]
        await worker.enqueue_many(tasks)
        return tasks

    async def aresult(self, handle):
        return (await handle.result(timeout=WAIT_S)).result

    async def aread(self, handles):
        values = []
        for start in range(0, len(handles), 1000):
            keys = [worker.results_key + handle.id for handle in handles[start : start + 1000]]
            raws = await worker.redis.mget(keys)
            values += [None if raw is None else (await worker.deserialize(raw))["r"] for raw in raws]
        return values

    def commands(self, kind, processes):
        return [self.command(kind, "streaq", "run", "benchmarks.redis.peers.streaq_peer:worker", "-w", str(processes))]
