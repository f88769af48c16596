"""Conformance of a broker: what goes in, and in which order it comes out."""

from __future__ import annotations

import time

import pytest

from faena.model.delivery import Ack, Place
from faena.model.message import Link, Message
from faena.testing.conformance.stage import Stage, expect_places, ids, message, messages, nothing_more, staged, take

STRANGE_NAMES = ("añadir-日本-🦊", "with/slash and space", "line\nbreak", "quote'\"; DROP TABLE", "x" * 500, "..", "*")


class Publishing:
    MANY = 10_000  # less for a broker that takes its time

    @staged
    async def test_a_message_comes_out_as_it_went_in(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        sent = Message(
            id="an-id",
            task="shop.orders.bill",
            queue="default",
            body=bytes(range(256)),
            content="pickle",
            priority=7,
            sent_at_s=1_700_000_000.125,
            due_at_s=1_700_000_001.5,
            expires_at_s=9e9,
            retries=3,
            root_id="root",
            parent_id="parent",
            soft_time_limit_s=1.5,
            time_limit_s=2.5,
            ignore_result=True,
            headers={"trace": "00-1", "n": 1, "nested": {"list": [1, None, "é"]}},
            on_success=(Link("shop.next", b"[]", "json", True, {"queue": "q"}),),
            on_failure=(Link("shop.failed", b"[1]", "json"),),
            origin="1@host",
            result_expires_s=60.0,
        )
        await broker.publish([sent])
        (delivery,) = await take(consumer, 1)
        assert (delivery.message, delivery.deliveries, delivery.crashes, delivery.verdict) == (sent, 1, 0, None)

    @staged
    async def test_the_first_in_is_the_first_out(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        batches = [messages(3), messages(1), messages(4)]
        for batch in batches:
            await broker.publish(batch)
        assert ids(await take(consumer, 8)) == [each.id for batch in batches for each in batch]

    @staged
    async def test_publishing_nothing_does_nothing(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        await broker.publish([])
        assert await nothing_more(consumer)

    @staged
    async def test_an_id_that_waits_or_is_held_or_delayed_is_not_taken_twice(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.deduplicates:
            pytest.skip("this broker does not look for ids that it has already")
        consumer, _ = await stage.consumer(broker)
        waiting, held, delayed = message(), message(), message(due_at_s=time.time() + 600)
        await broker.publish([held, held])
        (delivery,) = await take(consumer, 1)
        await broker.publish([waiting, delayed])
        await broker.publish([waiting, held, delayed, message(id="another")])
        assert ids(await take(consumer, 2)) == [waiting.id, "another"]
        assert await nothing_more(consumer)
        assert await consumer.settle([Ack(delivery)]) == [True]
        await expect_places(broker, [held.id, delayed.id], [None, Place.DELAYED])

    @staged
    async def test_an_id_is_taken_again_after_it_was_settled(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        again = message()
        for _ in range(3):
            await broker.publish([again])
            (delivery,) = await take(consumer, 1)
            assert (delivery.message, delivery.deliveries) == (again, 1)
            assert await consumer.settle([Ack(delivery)]) == [True]

    @staged
    async def test_ten_thousand_messages_go_in_at_once_and_come_out_in_order(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        sent = messages(self.MANY)
        await broker.publish(sent)
        received = await take(consumer, len(sent))
        assert ids(received) == ids(sent)
        assert all(await consumer.settle([Ack(each) for each in received]))
        assert await nothing_more(consumer)

    @staged
    async def test_a_body_of_ten_megabytes_arrives_whole(self, stage: Stage) -> None:
        broker = await stage.broker()
        limit = broker.capabilities.largest_message_bytes
        size = 10_000_000 if limit is None else min(10_000_000, limit - 10_000)
        consumer, _ = await stage.consumer(broker)
        sent = message(body=bytes(range(250)) * (size // 250))
        await broker.publish([sent])
        assert (await take(consumer, 1))[0].message == sent

    @pytest.mark.parametrize("name", STRANGE_NAMES, ids=range(len(STRANGE_NAMES)))
    def test_ids_and_queues_may_be_any_text(self, stage: Stage, name: str) -> None:
        async def body() -> None:
            broker = await stage.broker()
            consumer, _ = await stage.consumer(broker, name)
            await broker.publish([message(id=name, queue=name), message(queue="default")])
            (delivery,) = await take(consumer, 1)
            assert (delivery.message.id, delivery.message.queue) == (name, name)
            await expect_places(broker, [name], [Place.HELD])
            assert await consumer.settle([Ack(delivery)]) == [True]
            await expect_places(broker, [name], [None])

        stage.play(body())

    # -- priorities ---------------------------------------------------------------------------------------

    @staged
    async def test_a_higher_priority_goes_first_and_equals_keep_their_order(self, stage: Stage) -> None:
        broker = await stage.broker()
        if broker.capabilities.priority_levels < 10:
            pytest.skip("this broker has fewer than ten priorities")
        consumer, _ = await stage.consumer(broker)
        sent = [message(priority=priority) for priority in (4, 0, 9, 5, 9, 1, 4, 0)]
        for each in sent:
            await broker.publish([each])
        expected = sorted(sent, key=lambda each: -each.priority)
        assert ids(await take(consumer, 3)) == ids(expected[:3])
        assert ids(await take(consumer, 5)) == ids(expected[3:])

    @staged
    async def test_a_priority_out_of_range_counts_as_the_nearest(self, stage: Stage) -> None:
        broker = await stage.broker()
        if broker.capabilities.priority_levels < 10:
            pytest.skip("this broker has fewer than ten priorities")
        consumer, _ = await stage.consumer(broker)
        low, high = message(priority=-5), message(priority=99)
        await broker.publish([low, message(id="lowest", priority=0), high, message(id="highest", priority=9)])
        assert ids(await take(consumer, 4)) == [high.id, "highest", low.id, "lowest"]

    # -- delays -------------------------------------------------------------------------------------------

    @staged
    async def test_a_delayed_message_waits_in_the_broker_until_it_is_due(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        due_at_s = time.time() + 0.3
        await broker.publish([message(id="later", due_at_s=due_at_s)])
        assert await nothing_more(consumer)
        await expect_places(broker, ["later"], [Place.DELAYED])
        (delivery,) = await take(consumer, 1)
        assert due_at_s <= time.time() < due_at_s + 0.5
        assert delivery.message.due_at_s == due_at_s

    @staged
    async def test_delayed_messages_come_in_the_order_of_their_time(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        now_s = time.time()
        sent = [message(id=name, due_at_s=now_s + after_s) for name, after_s in (("c", 0.4), ("a", 0.1), ("b", 0.25))]
        await broker.publish(sent)
        assert [(await take(consumer, 1))[0].message.id for _ in sent] == ["a", "b", "c"]

    @staged
    async def test_a_moment_that_has_passed_is_no_delay(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        await broker.publish([message(id="past", due_at_s=1.0)])
        await expect_places(broker, ["past"], [Place.WAITING])
        assert ids(await consumer.receive(1, 0)) == ["past"]

    @staged
    async def test_a_delay_of_a_hundred_years_is_kept(self, stage: Stage) -> None:
        broker = await stage.broker()
        if broker.capabilities.longest_delay_s is not None:
            pytest.skip("this broker bounds delays")
        consumer, _ = await stage.consumer(broker)
        await broker.publish([message(id="far", due_at_s=time.time() + 3.2e9)])
        assert await nothing_more(consumer)
        await expect_places(broker, ["far"], [Place.DELAYED])

    @staged
    async def test_many_delayed_messages_cost_those_that_wait_nothing(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        far_s = time.time() + 86_400
        await broker.publish(messages(2 * self.MANY, due_at_s=far_s))
        begun = time.perf_counter()
        for number in range(50):
            await broker.publish([message(id=str(number))])
            assert ids(await consumer.receive(10, 0)) == [str(number)]
        assert time.perf_counter() - begun < 2.0  # looking through them each time takes more than that

    # -- cancelling and locating --------------------------------------------------------------------------

    @staged
    async def test_cancelling_takes_out_what_waits_and_leaves_what_is_held(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.cancels:
            pytest.skip("this broker cannot cancel")
        consumer, _ = await stage.consumer(broker)
        held, waiting, delayed, kept = message(), message(), message(due_at_s=time.time() + 600), message()
        await broker.publish([held])
        await take(consumer, 1)
        await broker.publish([waiting, delayed, kept])
        found = await broker.cancel([waiting.id, held.id, "unknown", delayed.id])
        assert sorted(ids(found)) == sorted([waiting.id, delayed.id])
        assert await broker.cancel([waiting.id]) == [] or await broker.cancel([waiting.id]) == ()
        await expect_places(broker, [held.id, waiting.id, delayed.id], [Place.HELD, None, None])
        assert ids(await take(consumer, 1)) == [kept.id]

    @staged
    async def test_each_id_is_located_in_the_order_asked(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.locates:
            pytest.skip("this broker cannot say where an id is")
        consumer, _ = await stage.consumer(broker)
        await broker.publish([message(id="held")])
        await take(consumer, 1)
        await broker.publish([message(id="waiting"), message(id="delayed", due_at_s=time.time() + 600)])
        asked = ["delayed", "unknown", "waiting", "held", "delayed"]
        expected = [Place.DELAYED, None, Place.WAITING, Place.HELD, Place.DELAYED]
        assert list(await broker.locate(asked)) == expected
        await expect_places(broker, [], [])
