"""Looking at queues, and changing them as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from faena.drivers.redis.driver import Driver
from faena.drivers.redis.messages import message_of
from faena.model.delivery import Place, QueueStatus
from faena.model.message import Message


class RedisQueues:
    """See `faena.broker.Queues`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def status(self) -> Sequence[QueueStatus]:
        found = []
        for name, waiting, delayed, held, dead, paused, heads in await self._driver.run("queues", "status"):
            moments = [
                max(message.sent_at_s, message.due_at_s or 0.0)
                for value in heads
                if (message := message_of(value)) is not None
            ]
            found.append(QueueStatus(name.decode(), waiting, delayed, held, dead, bool(paused), min(moments, default=None)))
        return sorted(found, key=lambda each: each.name)

    async def browse(self, queue: str, limit: int, offset: int = 0) -> Sequence[tuple[Place, Message]]:
        values, waiting = await self._driver.run("queues", "browse", queue, limit, offset)
        return [
            (Place.WAITING if at < waiting else Place.DELAYED, message)
            for at, value in enumerate(values)
            if (message := message_of(value)) is not None
        ]

    async def purge(self, queue: str) -> int:
        total, goes_on = 0, 1
        while goes_on:
            purged, goes_on = await self._driver.run("queues", "purge", queue)
            total += int(purged)
        return total

    async def pause(self, queue: str) -> None:
        await self._driver.run("queues", "pause", queue)

    async def resume(self, queue: str) -> None:
        await self._driver.run("queues", "resume", queue)
