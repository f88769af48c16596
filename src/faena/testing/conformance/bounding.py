"""Conformance of a broker: queues with a bound, for those who mind it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from faena.broker import Broker
from faena.errors import LeaseLost
from faena.model.delivery import Ack, Release
from faena.model.limit import Terms, lane_of
from faena.model.message import Message
from faena.testing.conformance.stage import Stage, delivered, ids, message, messages, nothing_more, staged, take


def numbered(*numbers: int, queue: str = "default", **fields: Any) -> list[Message]:
    return [message(id=str(number), queue=queue, sent_at_s=time.time(), **fields) for number in numbers]


class Bounding:
    @staged
    async def test_a_full_queue_takes_no_more_of_what_is_offered(self, stage: Stage) -> None:
        broker = await bounding(stage)
        consumer, _ = await stage.consumer(broker, "default", "other")
        bounds = {"default": 3}
        assert list(await broker.offer(numbered(1, 2), bounds, whole=False)) == []
        assert list(await broker.offer([*numbered(3, 4), *numbered(5, queue="other")], bounds, whole=False)) == ["4"]
        assert list(await broker.offer(numbered(6), bounds, whole=True)) == ["6"]
        assert sorted(ids(await take(consumer, 4))) == ["1", "2", "3", "5"]
        assert await nothing_more(consumer)

    @staged
    async def test_all_or_none_is_taken_where_that_is_wanted(self, stage: Stage) -> None:
        broker = await bounding(stage)
        consumer, _ = await stage.consumer(broker, "default", "other")
        mixed = [*numbered(0, queue="other"), *numbered(1, 2, 3)]
        assert list(await broker.offer(mixed, {"default": 2}, whole=True)) == ["3"]
        assert await nothing_more(consumer)
        assert list(await broker.offer(mixed, {"default": 3}, whole=True)) == []
        assert sorted(ids(await take(consumer, 4))) == ["0", "1", "2", "3"]

    @staged
    async def test_what_is_held_or_delayed_takes_no_room(self, stage: Stage) -> None:
        broker = await bounding(stage)
        consumer, _ = await stage.consumer(broker)
        bounds = {"default": 2}
        later = numbered(7, 8, 9, due_at_s=time.time() + 60)
        assert list(await broker.offer([*later, *numbered(1, 2)], bounds, whole=True)) == []
        first, second = await take(consumer, 2)
        assert list(await broker.offer(numbered(3, 4), bounds, whole=True)) == []
        await consumer.settle([Release(first), Ack(second)])  # it comes back although there is no room: it was here before
        assert list(await broker.offer(numbered(5), bounds, whole=True)) == ["5"]
        assert sorted(ids(await take(consumer, 3))) == ["1", "3", "4"]
        assert list(await broker.offer(numbered(5), bounds, whole=True)) == []

    @staged
    async def test_what_limits_hold_back_takes_room_and_is_not_dropped(self, stage: Stage) -> None:
        broker = await bounding(stage)
        if not broker.capabilities.limits:
            pytest.skip("it holds nothing back: see its capabilities")
        await broker.limits.declare({"task:t": Terms(concurrency=1)})
        consumer, holder = await stage.consumer(broker)
        for number in range(3):
            await broker.publish([message(id=str(number), lane=lane_of(("task:t",)))])
        assert ids(await take(consumer, 1)) == ["0"]
        assert list(await broker.offer(numbered(7), {"default": 2}, whole=True)) == ["7"]
        assert list(await broker.offer(numbered(7), {"default": 3}, whole=True)) == []
        late = [message(id="8", lane=lane_of(("task:t",)))]
        assert list(await broker.offer(late, {"default": 3}, whole=True)) == ["8"]
        assert ids(await broker.queues.take_oldest(holder, "default", 9)) == ["7"]

    @staged
    async def test_publishing_minds_no_bound(self, stage: Stage) -> None:
        broker = await bounding(stage)
        await broker.offer(numbered(1), {"default": 1}, whole=True)
        await broker.publish(numbered(2, 3))
        (status,) = await broker.queues.status()
        assert status.waiting == 3

    @staged
    async def test_what_is_there_already_is_taken_and_takes_no_room(self, stage: Stage) -> None:
        broker = await bounding(stage)
        consumer, _ = await stage.consumer(broker)
        for _ in range(2):
            assert list(await broker.offer(numbered(1, 2), {"default": 2}, whole=True)) == []
        assert sorted(ids(await take(consumer, 2))) == ["1", "2"]
        assert list(await broker.offer(numbered(1, 2, 3), {"default": 1}, whole=True)) == []
        assert ids(await take(consumer, 1)) == ["3"]

    @staged
    async def test_what_was_cancelled_makes_room(self, stage: Stage) -> None:
        broker = await bounding(stage)
        await broker.offer(numbered(1, 2, 3), {"default": 3}, whole=True)
        await broker.cancel(["2", "1"])
        assert list(await broker.offer(numbered(4, 5, 6), {"default": 3}, whole=False)) == ["6"]

    @staged
    async def test_an_offer_wakes_one_who_waits(self, stage: Stage) -> None:
        broker, sender = await bounding(stage), await stage.broker()
        consumer, _ = await stage.consumer(broker)
        waiting = stage.beside(lambda: consumer.receive(1, 30))
        await stage.turn()
        await sender.offer(numbered(1), {"default": 1}, whole=True)
        assert ids(await waiting.outcome(5)) == ["1"]

    @staged
    async def test_many_are_counted_as_few_are(self, stage: Stage) -> None:
        broker = await bounding(stage)
        refused = await broker.offer(messages(2500), {"default": 2100}, whole=False)
        assert len(refused) == 400
        (status,) = await broker.queues.status()
        assert status.waiting == 2100

    @staged
    async def test_the_oldest_is_handed_out_whatever_its_priority(self, stage: Stage) -> None:
        broker = await bounding(stage)
        consumer, holder = await stage.consumer(broker)
        for number, priority in ((1, 0), (2, 9), (3, 4), (4, 9)):
            await broker.publish(numbered(number, priority=priority))
        await broker.cancel(["2"])
        await broker.queues.pause("default")
        oldest = delivered(await broker.queues.take_oldest(holder, "default", 2))
        assert ids(oldest) == ["1", "3"]
        assert list(await consumer.settle([Ack(oldest[0])])) == [True]
        assert await broker.leases.recover(holder, {}) == 1
        _, other = await stage.consumer(broker)
        assert ids(await broker.queues.take_oldest(other, "default", 9)) == ["3", "4"]
        assert list(await broker.queues.take_oldest(other, "default", 9)) == []
        assert list(await broker.queues.take_oldest(other, "unknown", 9)) == []
        with pytest.raises(LeaseLost):
            await broker.queues.take_oldest(holder, "default", 1)


async def bounding(stage: Stage) -> Broker:
    broker = await stage.broker()
    if not broker.capabilities.bounds:
        pytest.skip("this broker cannot count while it takes")
    return broker
