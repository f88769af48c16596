"""Being given back is no fault of a message: a server of version 4 is told not to throw away what was returned often."""

from __future__ import annotations

import asyncio

from faena.brokers.rabbitmq import RabbitmqBroker
from faena.model.delivery import Ack, Release
from faena.testing.conformance.stage import message, take

_OFTEN = 30  # the limit of quorum queues that were told nothing is 20


def test_what_was_given_back_thirty_times_is_still_handed_out(bare_site):
    async def whole():
        broker = RabbitmqBroker.connect(bare_site.url, io="asyncio")
        await broker.open()
        consumer = broker.consumer(await broker.leases.open_holder("returning", 60.0), ["default"])
        try:
            await broker.publish([message(id="often")])
            for _ in range(_OFTEN):
                (delivery,) = await take(consumer, 1)
                assert list(await consumer.settle([Release(delivery)])) == [True]
            (delivery,) = await take(consumer, 1)
            assert delivery.deliveries > 1  # how often is told by some versions only
            assert list(await consumer.settle([Ack(delivery)])) == [True]
        finally:
            await consumer.close()
            await broker.close()

    asyncio.run(whole())
