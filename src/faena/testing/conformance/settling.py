"""Conformance of a broker: ways to let go of a delivery, and the fence around them."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from faena.broker import Broker
from faena.model.delivery import Ack, Bury, DeadLetter, DeadReason, Malformed, Place, Release, Settlement
from faena.testing.conformance.stage import Stage, expect_places, ids, lose, message, messages, nothing_more, staged, take


class Settling:
    async def corrupt(self, broker: Any, queue: str, raw: bytes) -> None:  # noqa: ARG002 - for those who derive
        """Lay `raw`, which is no message, into the queue, as a defect elsewhere would."""
        pytest.skip("this suite was not told how to lay something malformed into a queue")

    @staged
    async def test_what_is_acknowledged_is_gone(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        await broker.publish(messages(3))
        received = await take(consumer, 3)
        assert list(await consumer.settle([Ack(each) for each in received])) == [True, True, True]
        assert await nothing_more(consumer)
        await expect_places(broker, ids(received), [None, None, None])

    @staged
    async def test_settling_nothing_answers_nothing(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        assert list(await consumer.settle([])) == []

    @staged
    async def test_a_settlement_that_is_repeated_answers_false_and_changes_nothing(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        await broker.publish([message(id=name) for name in ("acked", "buried", "released")])
        acked, buried, released = await take(consumer, 3)
        settlements: list[Settlement] = [Ack(acked), Bury(buried, DeadReason.FAILED), Release(released)]
        assert list(await consumer.settle(settlements)) == [True, True, True]
        (again,) = await take(consumer, 1)
        assert list(await consumer.settle(settlements)) == [False, False, False]
        assert len(await broker.dead_letters.list(None, 10)) == 1
        await expect_places(broker, ["released"], [Place.HELD])
        assert list(await consumer.settle([Ack(again)])) == [True]

    @staged
    async def test_an_old_grip_does_not_settle_the_next_message_of_that_id(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        same = message()
        await broker.publish([same])
        (first,) = await take(consumer, 1)
        assert list(await consumer.settle([Ack(first)])) == [True]
        await broker.publish([same])
        (second,) = await take(consumer, 1)
        assert list(await consumer.settle([Ack(first)])) == [False]
        await expect_places(broker, [same.id], [Place.HELD])
        assert list(await consumer.settle([Ack(second)])) == [True]

    @staged
    async def test_one_that_is_not_ours_does_not_harm_the_others_of_its_batch(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, holder = await stage.consumer(broker)
        await broker.publish(messages(2))
        lost = await take(consumer, 2)
        await lose(broker, consumer, holder)
        consumer, _ = await stage.consumer(broker)
        ours = await take(consumer, 2)
        assert list(await consumer.settle([Ack(lost[0]), Ack(ours[0]), Ack(lost[1]), Ack(ours[1])])) == [
            False,
            True,
            False,
            True,
        ]

    @staged
    async def test_one_delivery_named_twice_in_a_batch_is_settled_once(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        await broker.publish(messages(1))
        (delivery,) = await take(consumer, 1)
        assert list(await consumer.settle([Ack(delivery), Ack(delivery)])) == [True, False]

    # -- releasing ----------------------------------------------------------------------------------------

    @staged
    async def test_what_is_released_goes_back_to_its_old_place(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        sent = messages(4)
        await broker.publish(sent)
        received = await take(consumer, 3)
        assert list(await consumer.settle([Release(received[2]), Release(received[0])])) == [True, True]
        again = await take(consumer, 3)
        expected = [sent[0].id, sent[2].id, sent[3].id]
        if broker.capabilities.lease == "connection":  # to its old place, or near it
            assert sorted(ids(again)) == sorted(expected)
        else:
            assert ids(again) == expected
        assert [each.crashes for each in again] == [0, 0, 0]
        if broker.capabilities.lease == "holder":  # a connection may be pushed what it does not ask for, and give it back
            assert [each.deliveries for each in again] == [2, 2, 1]

    @staged
    async def test_a_changed_message_replaces_the_one_released_and_waits_until_it_is_due(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        await broker.publish([message(id="retried", body=b"old")])
        (delivery,) = await take(consumer, 1)
        changed = replace(delivery.message, retries=1, body=b"new", due_at_s=time.time() + 0.25, priority=8)
        assert list(await consumer.settle([Release(delivery, changed)])) == [True]
        assert await nothing_more(consumer)
        await expect_places(broker, ["retried"], [Place.DELAYED])
        (again,) = await take(consumer, 1)
        assert again.message == changed
        assert time.time() >= (changed.due_at_s or 0.0)

    @staged
    async def test_a_message_may_be_released_into_another_queue(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker, "first")
        elsewhere, _ = await stage.consumer(broker, "second")
        await broker.publish([message(queue="first")])
        (delivery,) = await take(consumer, 1)
        moved = replace(delivery.message, queue="second")
        assert list(await consumer.settle([Release(delivery, moved)])) == [True]
        assert await nothing_more(consumer)
        assert [each.message for each in await take(elsewhere, 1)] == [moved]

    # -- burying ------------------------------------------------------------------------------------------

    @staged
    async def test_what_is_buried_is_a_dead_letter_with_its_reason(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        sent, before_s = message(), time.time()
        await broker.publish([sent])
        (delivery,) = await take(consumer, 1)
        assert list(await consumer.settle([Bury(delivery, DeadReason.REJECTED, "not today: ñ")])) == [True]
        letter = await broker.dead_letters.find(sent.id)
        assert letter is not None
        assert before_s <= letter.buried_at_s <= time.time()
        assert letter == DeadLetter(
            letter.key, "default", DeadReason.REJECTED, "not today: ñ", letter.buried_at_s, 1, 0, sent, broker=letter.broker
        )
        await expect_places(broker, [sent.id], [Place.DEAD])
        assert await nothing_more(consumer)

    @staged
    async def test_what_is_nested_too_deeply_to_be_read_is_handed_out_as_no_message(self, stage: Stage) -> None:
        broker: Broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        fields: list[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(message()))
        start = msgspec.msgpack.encode([*fields, None])  # a message of a later version, which has one field more
        deep = start[:-1] + b"\x91" * 100_000 + b"\x90"
        await self.corrupt(broker, "default", deep)
        (malformed,) = await consumer.receive(10, 5)
        assert isinstance(malformed, Malformed)
        assert malformed.raw == deep
        bury = Bury(malformed, DeadReason.MALFORMED, malformed.reason)
        assert list(await consumer.settle([bury])) == [True]
        (letter,) = await broker.dead_letters.list("default", 10)
        assert letter.message is None

    @staged
    async def test_what_is_no_message_is_handed_out_as_such_and_can_be_buried(self, stage: Stage) -> None:
        broker: Broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        await broker.publish([message(id="before")])
        await self.corrupt(broker, "default", b"\xc1 no message")
        await broker.publish([message(id="after")])
        batch = list(await consumer.receive(10, 5))
        malformed = [each for each in batch if isinstance(each, Malformed)]
        assert [(each.queue, each.raw) for each in malformed] == [("default", b"\xc1 no message")]
        assert malformed[0].reason
        sound = [each for each in batch if not isinstance(each, Malformed)]
        assert ids(sound) == ["before", "after"]
        bury = Bury(malformed[0], DeadReason.MALFORMED, malformed[0].reason)
        assert list(await consumer.settle([bury, *[Ack(each) for each in sound]])) == [True, True, True]
        (letter,) = await broker.dead_letters.list("default", 10)
        assert (letter.reason, letter.message, letter.raw) == (DeadReason.MALFORMED, None, b"\xc1 no message")
        assert await broker.dead_letters.requeue() == 0
        assert len(await broker.dead_letters.list(None, 10)) == 1
        assert await broker.dead_letters.purge() == 1
