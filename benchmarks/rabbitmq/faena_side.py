"""faena on RabbitMQ, through what its users have: an app, its tasks, and the command `faena worker`."""

import asyncio

from benchmarks.rabbitmq.faena_app import app, echo, mark
from benchmarks.redis.side import WAIT_S, BlockingSide

AT_ONCE = 100


class Side(BlockingSide):
    def send(self, numbers):
        return [echo.delay(number) for number in numbers]

    def send_buffered(self, numbers):
        with app.buffered():
            return [echo.delay(number) for number in numbers]

    def send_bulk(self, numbers, chunk):
        handles = []
        for start in range(0, len(numbers), chunk):
            handles += app.send_many([echo.s(number) for number in numbers[start : start + chunk]])
        return handles

    def send_marks(self, count):
        for start in range(0, count, 500):
            app.send_many([mark.s(number) for number in range(start, min(count, start + 500))])

    def send_at_once(self, numbers):
        asyncio.run(self._send_at_once(numbers))

    async def _send_at_once(self, numbers):
        numbers = iter(numbers)

        async def sender():
            for number in numbers:
                await echo.adelay(number)

        await asyncio.gather(*(sender() for _ in range(AT_ONCE)))

    def result(self, handle):
        return handle.get(timeout=WAIT_S)

    def read(self, handles):
        found = app.results_of([handle.id for handle in handles])  # read together
        return [handle.result for handle in found] if found.ready() else [None] * len(handles)

    def commands(self, kind, processes):
        return [self.command(kind, "faena", "worker", "-A", "benchmarks.rabbitmq.faena_app", "-c", str(processes))]
