"""Declare queues, the ladder and the registry: each once for each connection, and only what is not there.

Whoever finds a queue there needs no right to configure. Who has it declares the queue all the same, so that one that was
made otherwise is told of before it matters: by who sends, and by the worker that takes from it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp.commands import Basic

from faena.drivers.rabbitmq import topology
from faena.drivers.rabbitmq.faults import BROKEN, not_cancelled
from faena.drivers.rabbitmq.mismatch import mismatch_in
from faena.drivers.rabbitmq.session import Session, open_session
from faena.errors import ServerUnavailable

log = logging.getLogger("faena.brokers")

_PERSISTENT = 2
_READ_FOR_S, _QUIET_S = 3.0, 0.15
_REGISTRY = {"x-queue-type": "stream", "x-max-length-bytes": 20_000_000, "x-stream-max-segment-size-bytes": 1_000_000}
_REGISTRY_PREFETCH = 500
_QUEUE, _DEAD = "q ", "d "  # what an entry begins with
_TRIES, _PAUSE_S = 5, 0.1
_CLOSING_S = 1.0


async def ensure_queue(session: Session, queue: str) -> None:
    """Let a queue be there. Raises DeclaredOtherwise; ServerRefused: it may not be declared."""
    location = session.location
    name = topology.queue_name(location, queue)
    if name in session.declared:
        return
    if not await _exists(session, name):
        await _declare(session, name, topology.queue_arguments(location, session.server))
        await _register(session, _QUEUE + queue)
    else:
        await verify_queue(session, queue)
    session.declared.add(name)


async def verify_queue(session: Session, queue: str) -> None:
    """Compare a queue that is there with what is wanted, if this user may. Raises DeclaredOtherwise."""
    name, arguments = (
        topology.queue_name(session.location, queue),
        topology.queue_arguments(session.location, session.server),
    )
    channel = await session.channel()
    try:
        async with session.translating():
            try:
                await channel.queue_declare(name, durable=True, arguments=arguments)
            except ChannelAccessRefused:
                return  # this user may only use what is there
            except ChannelPreconditionFailed as error:
                mismatch = mismatch_in(str(error))
                if mismatch is None or not mismatch.is_of_version_3:
                    raise
                log.warning(
                    "queue '%s' was declared on RabbitMQ 3: it throws away what was returned 20 times, unless a policy "
                    "says otherwise (delivery-limit); or delete it once it is empty, and it is made anew",
                    name,
                )
    finally:
        await close_quietly(channel)


async def ensure_dead(session: Session, queue: str) -> None:
    name = topology.dead_name(session.location, queue)
    if name not in session.declared:
        if not await _exists(session, name):
            await _declare(session, name, topology.dead_arguments(session.location))
            await _register(session, _DEAD + queue)
        session.declared.add(name)


async def ensure_ladder(session: Session, queue: str) -> None:
    """Let the ladder of delays be there, and lead to the queue."""
    location = session.location
    due = topology.due_exchange(location)
    if due not in session.declared:
        top = topology.level_name(location, topology.LEVELS - 1)
        if not await _exists(session, top):  # made last: where it is, all is
            await _build_ladder(session)
        session.declared.add(due)
    binding = f"{due}>{queue}"
    if binding not in session.declared:
        channel = await session.channel()
        async with session.translating():
            name = topology.queue_name(location, queue)
            await channel.queue_bind(name, due, routing_key=f"#.{topology.digest(queue)}")
            await channel.close()
        session.declared.add(binding)


def forget(session: Session, queue: str) -> None:
    """Look again: somebody has deleted it."""
    location = session.location
    session.declared -= {
        topology.queue_name(location, queue),
        topology.dead_name(location, queue),
        f"{topology.due_exchange(location)}>{queue}",
    }


async def message_count(session: Session, name: str) -> int | None:
    """Return how many messages are ready in a queue; None: there is none of that name."""
    channel = await session.channel()
    try:
        async with session.translating():
            try:
                found = await channel.queue_declare(name, passive=True)
            except ChannelNotFoundEntity:
                return None
            return int(found.message_count or 0)
    finally:
        await close_quietly(channel)


async def registered(session: Session) -> tuple[list[str], frozenset[str]]:
    """Return the names of all queues that were ever declared here, sorted; and of those that have had dead letters."""
    name = topology.registry_name(session.location)
    if await message_count(session, name) is None:
        return [], frozenset()
    channel = await session.channel()
    found: set[str] = set()
    news = asyncio.Event()

    async def read(message: Any) -> None:
        found.add(message.body.decode(errors="replace"))
        news.set()
        await channel.basic_ack(message.delivery_tag)

    async with session.translating(_READ_FOR_S):
        await channel.basic_qos(prefetch_count=_REGISTRY_PREFETCH)
        await channel.basic_consume(name, read, arguments={"x-stream-offset": "first"})
        while True:
            try:
                await asyncio.wait_for(news.wait(), _QUIET_S)
            except TimeoutError:
                break
            news.clear()
        await channel.close()
    with_dead = frozenset(entry.removeprefix(_DEAD) for entry in found if entry.startswith(_DEAD))
    return sorted({entry.removeprefix(_QUEUE) for entry in found if entry.startswith(_QUEUE)} | with_dead), with_dead


async def close_quietly(channel: Any) -> None:
    with suppress(*BROKEN), not_cancelled():
        async with asyncio.timeout(_CLOSING_S):  # a server with an alarm does not even read that
            await channel.close()


# -- internals ---------------------------------------------------------------------------------------------


async def _exists(session: Session, name: str) -> bool:
    return await message_count(session, name) is not None


async def _declare(session: Session, name: str, arguments: dict[str, Any]) -> None:
    channel = await session.channel()
    try:
        async with session.translating():
            await channel.queue_declare(name, durable=True, arguments=arguments)
    finally:
        await close_quietly(channel)


async def _register(session: Session, entry: str) -> None:
    """Write a name down. Two that do so at once write it twice, which does no harm.

    On a connection of its own: a stream that is just being made may cost RabbitMQ 3.10 the connection that writes to it.
    """
    for left in range(_TRIES, -1, -1):
        own = await open_session(session.location, "faena, writing down a queue")
        try:
            await _write_down(own, entry)
            return
        except ServerUnavailable:
            if not left:
                raise
        finally:
            await own.close()
        await asyncio.sleep(_PAUSE_S)


async def _write_down(session: Session, entry: str) -> None:
    name = topology.registry_name(session.location)
    if not await _exists(session, name):
        await _declare(session, name, _REGISTRY)
    channel = await session.channel(confirms=True)
    async with session.translating():
        await channel.basic_publish(
            entry.encode(), routing_key=name, properties=Basic.Properties(delivery_mode=_PERSISTENT)
        )


async def _build_ladder(session: Session) -> None:
    location = session.location
    channel = await session.channel()
    try:
        async with session.translating(60.0):
            below = topology.due_exchange(location)
            await channel.exchange_declare(below, exchange_type="topic", durable=True)
            for level in range(topology.LEVELS):
                name = topology.level_name(location, level)
                waits, passes = topology.level_bindings(level)
                await channel.exchange_declare(name, exchange_type="topic", durable=True)
                await channel.exchange_bind(below, name, routing_key=passes)
                await channel.queue_declare(name, durable=True, arguments=topology.level_arguments(location, level))
                await channel.queue_bind(name, name, routing_key=waits)
                below = name
    finally:
        await close_quietly(channel)
