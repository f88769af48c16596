"""What can be known of a server by AMQP alone: its version and bounds, whether it takes messages, what this user may do.

Nothing that stays is changed: what is tried out is an exclusive queue, which goes with its connection, and a message that
no queue wants. For people who look after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiormq.exceptions import ChannelAccessRefused
from msgspec import Struct

from faena._lib.ids import new_id
from faena.drivers.rabbitmq import topology
from faena.drivers.rabbitmq.declaring import close_quietly, message_count, verify_queue
from faena.drivers.rabbitmq.location import Location
from faena.drivers.rabbitmq.session import Session, open_session
from faena.errors import DeclaredOtherwise, ServerUnavailable

LEAST = (3, 10)  # streams, at-least-once dead-lettering


class Health(Struct, frozen=True):
    """How it stands at one moment."""

    name: str
    version: tuple[int, ...]
    cluster: str
    most_channels: int  # 0: no bound
    may_declare: bool  # queues whose names begin with the prefix
    may_write: bool
    may_read: bool | None  # None: nothing was there to try it with
    trouble: str  # why it takes no messages; "" if it does
    missing: tuple[str, ...]  # queues that are not there
    otherwise: tuple[DeclaredOtherwise, ...]
    lacking_levels: tuple[str, ...] | None  # parts of the ladder of delays that are gone; None: it was not made yet


async def health_of(location: Location, queues: Sequence[str]) -> Health:
    """Look at the server, and at these queues. Raises ServerUnavailable, ServerRefused."""
    session = await open_session(location, "faena doctor")
    try:
        properties: dict[str, Any] = dict(getattr(session.connection, "server_properties", None) or {})
        names = {queue: topology.queue_name(location, queue) for queue in queues}
        there = {queue for queue, name in names.items() if await message_count(session, name) is not None}
        may_declare, may_read = await _try_a_queue(session)
        may_write, trouble = await _try_to_send(location)
        return Health(
            str(properties.get("product", "RabbitMQ")),
            tuple(int(part) for part in str(properties.get("version", "0")).split(".")[:3] if part.isdigit()),
            str(properties.get("cluster_name", "")),
            int(getattr(session.connection, "connection_tune").channel_max),  # noqa: B009 - of no contract
            may_declare,
            may_write,
            may_read,
            trouble,
            tuple(queue for queue in queues if queue not in there),
            tuple([found for queue in queues if queue in there and (found := await _otherwise(session, queue))]),
            await _lacking_levels(session),
        )
    finally:
        await session.close()


async def _otherwise(session: Session, queue: str) -> DeclaredOtherwise | None:
    try:
        await verify_queue(session, queue)
    except DeclaredOtherwise as error:
        return error
    return None


async def _try_a_queue(session: Session) -> tuple[bool, bool | None]:
    """Say whether this user may declare what begins with the prefix, and read from it."""
    channel = await session.channel()
    name = f"{session.location.prefix}faena.doctor.{new_id()}"
    may_declare = False
    try:
        async with session.translating():
            try:
                await channel.queue_declare(name, exclusive=True)
                may_declare = True
                await channel.basic_get(name)
            except ChannelAccessRefused:
                return may_declare, False if may_declare else None
    finally:
        await close_quietly(channel)
    return True, True


async def _try_to_send(location: Location) -> tuple[bool, str]:
    """Say whether this user may send, and why the server takes nothing if so.

    An alarm shows when one sends. The connection is read no more then, so it is one of its own.
    """
    session = await open_session(location, "faena doctor, sending")
    try:
        channel = await session.channel(confirms=True)
        async with session.translating():
            try:
                for _ in range(2):  # what comes first is taken in any case
                    await channel.basic_publish(b"", routing_key=f"{location.prefix}faena.doctor.{new_id()}")
            except ChannelAccessRefused:
                return False, ""
    except ServerUnavailable as error:
        return True, str(error)
    finally:
        await session.close()
    return True, ""


async def _lacking_levels(session: Session) -> tuple[str, ...] | None:
    names = [topology.level_name(session.location, level) for level in range(topology.LEVELS)]
    lacking = tuple([name for name in names if await message_count(session, name) is None])
    return None if len(lacking) == len(names) else lacking
