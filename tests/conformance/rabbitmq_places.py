"""Places on a RabbitMQ server for tests: made ready before, and taken away after."""

from contextlib import suppress

from faena.drivers.rabbitmq import topology
from faena.drivers.rabbitmq.declaring import ensure_dead, ensure_ladder, ensure_queue, registered
from faena.drivers.rabbitmq.location import locate
from faena.drivers.rabbitmq.publisher import Publisher
from faena.errors import BrokerError


async def prepare(url, options, *, dead=False):
    """Build the ladder of delays, which takes longer than the delays of the tests."""
    publisher = Publisher(locate(url, options), "preparing")
    try:
        await ensure_queue(await publisher.session(), "default")
        await ensure_ladder(await publisher.session(), "default")
        if dead:
            await ensure_dead(await publisher.session(), "default")
    finally:
        await publisher.close()


async def publish_raw(url, options, row):
    publisher = Publisher(locate(url, options), "corrupting")
    try:
        await publisher.publish([row])
    finally:
        await publisher.close()


async def remove_all(url, options):
    """Delete every queue and exchange of this prefix."""
    location = locate(url, options)
    publisher = Publisher(location, "cleaning")
    try:
        session = await publisher.session()
        names, _ = await registered(session)
        levels = [topology.level_name(location, level) for level in range(topology.LEVELS)]
        queues = [topology.queue_name(location, name) for name in names]
        queues += [topology.dead_name(location, name) for name in names]
        channel = await session.channel()
        for queue in [*queues, *levels, topology.registry_name(location)]:
            with suppress(BrokerError):
                async with session.translating():
                    await channel.queue_delete(queue)
        for exchange in [*levels, topology.due_exchange(location)]:
            with suppress(BrokerError):
                async with session.translating():
                    await channel.exchange_delete(exchange)
    finally:
        await publisher.close()
