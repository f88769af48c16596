"""Look at queues, and purge them. What waits cannot be listed, and a pause needs a backend (see the capabilities)."""

from __future__ import annotations

from collections.abc import Sequence

from faena.broker import Holder
from faena.drivers.rabbitmq import topology
from faena.drivers.rabbitmq.declaring import close_quietly, message_count, registered
from faena.drivers.rabbitmq.location import Location
from faena.drivers.rabbitmq.publisher import Publisher
from faena.errors import NotSupported
from faena.model.delivery import Delivery, Malformed, Place, QueueStatus
from faena.model.message import Message


class RabbitQueues:
    """See `faena.broker.Queues`."""

    def __init__(self, location: Location, publisher: Publisher) -> None:
        self._location, self._publisher = location, publisher

    async def status(self) -> Sequence[QueueStatus]:
        session = await self._publisher.session()
        found: list[QueueStatus] = []
        names, with_dead = await registered(session)
        for queue in names:
            waiting = await message_count(session, topology.queue_name(self._location, queue))
            dead = await message_count(session, topology.dead_name(self._location, queue)) if queue in with_dead else 0
            if waiting is not None or dead is not None:
                found.append(QueueStatus(queue, waiting or 0, None, None, dead or 0, False, None))
        return found

    async def browse(self, queue: str, limit: int, offset: int = 0) -> Sequence[tuple[Place, Message]]:  # noqa: ARG002
        raise NotSupported(
            f"listing what waits in queue '{queue}'", self._location.shown, "RabbitMQ hands messages out, and shows none",
            "`faena queues` tells how many there are",
        )  # fmt: skip

    async def take_oldest(self, holder: Holder, queue: str, limit: int) -> Sequence[Delivery | Malformed]:  # noqa: ARG002
        raise NotSupported(
            f"making room in queue '{queue}'", self._location.shown, "RabbitMQ hands messages out to consumers only",
            "a policy of the server can bound queues (max-length)",
        )  # fmt: skip

    async def purge(self, queue: str) -> int:
        session = await self._publisher.session()
        name = topology.queue_name(self._location, queue)
        if await message_count(session, name) is None:
            return 0
        channel = await session.channel()
        try:
            async with session.translating():
                return int((await channel.queue_purge(name)).message_count or 0)
        finally:
            await close_quietly(channel)

    async def pause(self, queue: str) -> None:
        raise NotSupported(
            f"pausing queue '{queue}'", self._location.shown, "RabbitMQ has no such thing",
            "let an order in the backend tell workers to leave it out (faena queues pause)",
        )  # fmt: skip

    async def resume(self, queue: str) -> None:
        raise NotSupported(
            f"resuming queue '{queue}'", self._location.shown, "RabbitMQ cannot pause one", "there is nothing to resume"
        )
