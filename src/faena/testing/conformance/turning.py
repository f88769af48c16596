"""Conformance of a broker: priorities, messages that rise, and the order of a consumer's queues."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from faena.broker import Broker, Consumer
from faena.model.delivery import Ack, Release
from faena.model.turns import Taking
from faena.testing.conformance.stage import Stage, ids, message, messages, nothing_more, staged, take


class Turning:
    @staged
    async def test_every_priority_goes_before_those_below_it(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        if broker.capabilities.priority_levels < 10:
            pytest.skip("this broker has fewer priorities")
        await broker.publish(
            [message(id=f"{priority}{turn}", priority=priority) for turn in "ab" for priority in range(10)]
        )
        assert ids(await take(consumer, 20)) == [f"{priority}{turn}" for priority in reversed(range(10)) for turn in "ab"]

    @staged
    async def test_messages_rise_by_one_priority_for_each_time_that_they_have_waited(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer = await aging(stage, broker, 0.2)
        await broker.publish([message(id="low", priority=0, sent_at_s=time.time())])
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + 0.65:  # it counts as 3 from 0.6 s on, as 9 from 1.8 s on
            await stage.turn()
        await broker.publish([message(id=str(n), priority=n, sent_at_s=time.time()) for n in (2, 9)])
        assert ids(await take(consumer, 3)) == ["9", "low", "2"]

    @staged
    async def test_among_equals_what_has_waited_longest_comes_first(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer = await aging(stage, broker, 0.005)
        for n in range(30):
            await broker.publish([message(id=f"{n:02}", priority=n % 10, sent_at_s=time.time())])
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + 0.06:  # all are at the highest by then
            await stage.turn()
        first = await take(consumer, 7)
        assert ids(first) + ids(await take(consumer, 23)) == [f"{n:02}" for n in range(30)]
        assert await nothing_more(consumer)

    @staged
    async def test_a_queue_that_rises_gives_back_and_passes_over_like_any_other(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer = await aging(stage, broker, 600.0)
        await broker.publish([message(id=str(n), priority=n, sent_at_s=time.time()) for n in range(6)])
        await broker.cancel(["5", "3"])
        first, second = await take(consumer, 2)
        assert ids([first, second]) == ["4", "2"]
        assert list(await consumer.settle([Release(first), Ack(second)])) == [True, True]
        assert ids(await take(consumer, 3)) == ["4", "1", "0"]
        assert await nothing_more(consumer)

    @staged
    async def test_in_strict_order_a_queue_is_looked_at_when_those_before_it_are_empty(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer = await ordered(stage, broker, Taking("strict"), "c", "a", "b")
        for queue in ("a", "b", "c"):
            await broker.publish(messages(7, queue=queue))
        found = "".join([each.message.queue for _ in range(6) for each in await take(consumer, 3)])
        assert found == "c" * 7 + "a" * 7 + "b" * 4
        await broker.publish(messages(1, queue="c"))
        assert [each.message.queue for each in await take(consumer, 2)] == ["c", "b"]

    @staged
    async def test_in_weighted_order_full_queues_get_their_shares(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer = await ordered(
            stage, broker, Taking("weighted", {"high": 3, "middle": 2, "low": 1}), "low", "middle", "high"
        )
        for queue in ("high", "middle", "low"):
            await broker.publish(messages(150, queue=queue))
        found: Counter[str] = Counter()
        for limit in (1, 4, 2, 5) * 20:
            found.update(each.message.queue for each in await take(consumer, limit))
        assert sum(found.values()) == 240
        assert abs(found["high"] - 120) <= 6
        assert abs(found["middle"] - 80) <= 6
        assert abs(found["low"] - 40) <= 6

    @staged
    async def test_no_order_leaves_messages_lying(self, stage: Stage) -> None:
        broker = await stage.broker()
        for order in ("fair", "strict", "weighted"):
            consumer = await ordered(stage, broker, Taking(order, {"a": 5}), "a", "b")
            await broker.publish([*messages(3, queue="a"), *messages(9, queue="b")])
            assert len(await take(consumer, 12)) == 12
            assert await nothing_more(consumer)


async def ordered(stage: Stage, broker: Broker, taking: Taking, *queues: str) -> Consumer:
    if taking.order != "fair" and not broker.capabilities.orders:
        pytest.skip("this broker hands out messages as they come")
    return await consumer_with(stage, broker, taking, *queues)


async def aging(stage: Stage, broker: Broker, ageing_s: float) -> Consumer:
    if not broker.capabilities.ages:
        pytest.skip("this broker cannot choose among the messages that wait")
    return await consumer_with(stage, broker, Taking(ageing_s={"default": ageing_s}), "default")


async def consumer_with(stage: Stage, broker: Broker, taking: Taking, *queues: str) -> Consumer:
    holder = await broker.leases.open_holder("conformance", 600.0)
    return stage.consumer_of(broker, holder, *queues, taking=taking)
