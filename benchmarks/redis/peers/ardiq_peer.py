"""ArdiQ: its Rust core takes and settles, Python runs; its settings as by default, results kept for an hour."""

from ardiq import Ardiq

from benchmarks.redis import bodies
from benchmarks.redis.bodies import COROUTINES, THREADS
from benchmarks.redis.side import KIND, TTL_S, URL, WAIT_S, LoopSide

AT_ONCE = {"coroutines": COROUTINES, "threads": THREADS}.get(KIND)
app = Ardiq(URL, result_ttl_ms=TTL_S * 1000, **({"concurrency": AT_ONCE} if AT_ONCE else {}))

echo = app.task(bodies.echo_coroutine)
sleep = app.task(bodies.sleep)
sleep_coroutine = app.task(bodies.sleep_coroutine)


class Side(LoopSide):
    async def asend(self, numbers):
        return [await echo.enqueue(number) for number in numbers]

    async def asend_bulk(self, numbers, chunk):
        handles = []
        for start in range(0, len(numbers), chunk):
            handles += await app.enqueue_many([echo.prepare(number) for number in numbers[start : start + chunk]])
        return handles

    async def asend_sleeps(self, kind, count):
        task = sleep_coroutine if kind == "coroutines" else sleep
        return await app.enqueue_many([task.prepare() for _ in range(count)])

    async def aresult(self, handle):
        return (await handle.result(timeout=WAIT_S)).value

    async def aread(self, handles):
        found = [await handle.result() for handle in handles]
        return [None if each is None else each.value for each in found]

    def commands(self, kind, processes):
        return [self.command(kind, "ardiq", "run", "-q", "benchmarks.redis.peers.ardiq_peer:app", "-w", str(processes))]
