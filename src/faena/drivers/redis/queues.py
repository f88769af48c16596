"""Looking at queues, and changing them as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from faena._lib.ids import new_id
from faena.broker import Holder
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.messages import deliveries_of, message_of
from faena.model.delivery import Delivery, Malformed, Place, QueueStatus
from faena.model.message import HIGHEST_PRIORITY, Message

_MOST = 1000  # in one script: nobody else is served meanwhile


class RedisQueues:
    """See `faena.broker.Queues`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def status(self) -> Sequence[QueueStatus]:
        found = []
        for name, waiting, delayed, held, dead, paused, heads, limited in await self._driver.run("queues", "status"):
            moments = [
                max(message.sent_at_s, message.due_at_s or 0.0)
                for value in heads
                if (message := message_of(value)) is not None
            ]
            oldest_s = min(moments, default=None)
            found.append(QueueStatus(name.decode(), waiting, delayed, held, dead, bool(paused), oldest_s, limited=limited))
        return sorted(found, key=lambda each: each.name)

    async def browse(self, queue: str, limit: int, offset: int = 0) -> Sequence[tuple[Place, Message]]:
        values, waiting, limited = await self._driver.run("queues", "browse", queue, limit, offset)
        return [
            (Place.WAITING if at < waiting else Place.LIMITED if at < waiting + limited else Place.DELAYED, message)
            for at, value in enumerate(values)
            if (message := message_of(value)) is not None
        ]

    async def purge(self, queue: str) -> int:
        total, goes_on = 0, 1
        while goes_on:
            purged, goes_on = await self._driver.run("queues", "purge", queue)
            total += int(purged)
        return total

    async def take_oldest(self, holder: Holder, queue: str, limit: int) -> Sequence[Delivery | Malformed]:
        prefix, claim = self._driver.prefix, new_id()
        keys = [prefix, f"{prefix}h:{holder}", *(f"{prefix}q:{rank}:{queue}" for rank in range(HIGHEST_PRIORITY + 1))]
        reply = await self._driver.run_on("oldest", keys, (holder, claim, min(limit, _MOST)))
        return deliveries_of(claim.encode(), reply)

    async def pause(self, queue: str) -> None:
        await self._driver.run("queues", "pause", queue)

    async def resume(self, queue: str) -> None:
        await self._driver.run("queues", "resume", queue)
