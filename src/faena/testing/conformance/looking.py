"""Conformance of a broker: looking at queues and dead letters, and changing them as a whole."""

from __future__ import annotations

import time
from typing import cast

import pytest
from msgspec.structs import replace

from faena.broker import Broker, Skipping
from faena.errors import NotSupported
from faena.model.delivery import Ack, Bury, DeadReason, Found, Place, QueueStatus, Release, Verdict, VerdictKind
from faena.model.message import PastAttempt
from faena.testing.conformance.stage import (
    PATIENCE_S,
    Stage,
    delivered,
    expect_places,
    ids,
    message,
    messages,
    nothing_more,
    staged,
    take,
)


class Looking:
    @staged
    async def test_the_status_tells_the_numbers_of_every_queue_by_name(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker, "mixed", "declared")
        now_s = time.time()
        await broker.publish([message(queue="mixed") for _ in range(3)])
        held = await take(consumer, 2)
        await consumer.settle([Bury(held[0], DeadReason.FAILED)])
        await broker.publish([message(queue="mixed", sent_at_s=now_s - 50), message(queue="mixed", sent_at_s=now_s - 9)])
        await broker.publish([message(queue="mixed", due_at_s=now_s + 600), message(queue="alone", sent_at_s=now_s)])
        if broker.capabilities.pauses:
            await broker.queues.pause("stopped")
        found = {each.name: replace(each, broker="") for each in await broker.queues.status()}  # one of several, or none
        assert list(found) == sorted(found)
        if not broker.capabilities.browses:  # it does not see into its queues: it counts what waits
            counts = {name: (each.waiting, each.dead, each.paused) for name, each in found.items()}
            assert counts == {"alone": (1, 0, False), "declared": (0, 0, False), "mixed": (3, 1, False)}
            return
        assert found["mixed"].waiting == 3
        assert found == {
            "alone": QueueStatus("alone", 1, 0, 0, 0, False, now_s),
            "declared": QueueStatus("declared", 0, 0, 0, 0, False, None),
            "mixed": QueueStatus("mixed", 3, 1, 1, 1, False, 0.0),  # the first one says nothing of when it was sent
            "stopped": QueueStatus("stopped", 0, 0, 0, 0, True, None),
        }

    @staged
    async def test_a_message_is_found_wherever_it_is_with_what_is_known_of_it(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.locates:
            with pytest.raises(NotSupported):
                await broker.find("unknown")
            return
        now_s = time.time()
        waits, behind, urgent = message(id="waits"), message(id="behind"), message(id="urgent", priority=9)
        later = message(id="later", due_at_s=now_s + 600)
        await broker.publish([waits, behind, urgent, later, message(queue="other")])
        assert await broker.find("unknown") is None
        assert await broker.find("later") == Found(Place.DELAYED, later)
        found = [await broker.find(each) for each in ("urgent", "waits", "behind")]
        assert found == [Found(Place.WAITING, each, ahead=at) for at, each in enumerate((urgent, waits, behind))]

        consumer, holder = await stage.consumer(broker, lease_s=500.0)
        (held,) = await take(consumer, 1)
        at_hand = await broker.find("urgent")
        assert at_hand is not None
        assert (at_hand.place, at_hand.message, at_hand.deliveries, at_hand.ahead) == (Place.HELD, urgent, 1, None)
        if at_hand.lease_ends_at_s is not None:
            assert abs(at_hand.lease_ends_at_s - now_s - 500.0) < 60.0
        await consumer.settle([Bury(held, DeadReason.REJECTED)])
        assert await broker.find("urgent") == Found(Place.DEAD, urgent, 1)

        await take(consumer, 1)
        await broker.leases.recover(holder, {"waits": Verdict(VerdictKind.CRASHED)})
        assert await broker.find("waits") == Found(Place.WAITING, waits, 1, 1, ahead=0)

    @staged
    async def test_browsing_lists_what_will_run_in_that_order_and_takes_nothing(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.browses:
            pytest.skip("this broker cannot be browsed")
        now_s = time.time()
        sent = {
            "normal": message(id="normal"),
            "urgent": message(id="urgent", priority=9),
            "later": message(id="later", due_at_s=now_s + 900, priority=9),
            "sooner": message(id="sooner", due_at_s=now_s + 600),
            "second": message(id="second"),
        }
        await broker.publish([*sent.values(), message(queue="other")])
        expected = [
            (Place.WAITING, sent["urgent"]),
            (Place.WAITING, sent["normal"]),
            (Place.WAITING, sent["second"]),
            (Place.DELAYED, sent["sooner"]),
            (Place.DELAYED, sent["later"]),
        ]
        assert list(await broker.queues.browse("default", 10)) == expected
        assert list(await broker.queues.browse("default", 2, 1)) == expected[1:3]
        assert list(await broker.queues.browse("default", 10, 5)) == []
        consumer, _ = await stage.consumer(broker)
        assert len(await take(consumer, 3)) == 3
        assert list(await broker.queues.browse("default", 10)) == expected[3:]

    @staged
    async def test_purging_removes_what_waits_in_that_queue_and_leaves_what_is_held(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        await broker.publish(messages(4))
        (held,) = await take(consumer, 1)
        await broker.publish([message(due_at_s=time.time() + 600), message(id="elsewhere", queue="other")])
        sees_delayed = broker.capabilities.browses
        assert await broker.queues.purge("default") == (4 if sees_delayed else 3)
        assert await broker.queues.purge("default") == 0
        assert await nothing_more(consumer)
        assert list(await consumer.settle([Ack(held)])) == [True]
        await expect_places(broker, ["elsewhere"], [Place.WAITING])

    @staged
    async def test_a_paused_queue_takes_messages_and_hands_out_none(self, stage: Stage) -> None:
        broker, other = await stage.broker(), await stage.broker()
        if not broker.capabilities.pauses:
            pytest.skip("this broker cannot pause")
        consumer, _ = await stage.consumer(other, "default", "open")
        await broker.publish([message(id="before")])
        await broker.queues.pause("default")
        await broker.queues.pause("default")
        await broker.publish([message(id="meanwhile"), message(id="due", due_at_s=time.time() + 0.05)])
        await broker.publish([message(id="open", queue="open")])
        assert ids(await take(consumer, 1)) == ["open"]
        assert not await consumer.receive(10, 0.2)
        await broker.queues.resume("default")
        assert sorted(ids(await take(consumer, 3))) == ["before", "due", "meanwhile"]
        (status,) = [each for each in await broker.queues.status() if each.name == "default"]
        assert (status.paused, status.held) == (False, 3)

    @staged
    async def test_a_consumer_leaves_out_queues_where_the_broker_cannot_pause(self, stage: Stage) -> None:
        broker, other = await stage.broker(), await stage.broker()
        if broker.capabilities.pauses:
            pytest.skip("this broker pauses queues itself")
        consumer, _ = await stage.consumer(other, "default", "open")
        leaving_out = cast("Skipping", consumer)
        await broker.publish([message(id="held"), message(id="back")])
        (held,) = await take(consumer, 1)
        waits = stage.beside(lambda: consumer.receive(1, PATIENCE_S))
        await stage.turn()
        leaving_out.skip({"default"})
        await broker.publish([message(id="meanwhile"), message(id="open", queue="open")])
        (first,) = delivered(await waits.outcome())
        if first.message.id == "back":  # it came before that was known
            await consumer.settle([Release(first)])
            (first,) = await take(consumer, 1)
        assert first.message.id == "open"
        assert not await consumer.receive(10, 0.2)
        assert await nothing_more(consumer)
        assert list(await consumer.settle([Ack(held)])) == [True]
        anybody, _ = await stage.consumer(broker)
        assert sorted(ids(await take(anybody, 2))) == ["back", "meanwhile"]  # it keeps nothing of it back
        await broker.publish([message(id="later")])
        await anybody.close()
        leaving_out.skip(())
        assert sorted(ids(await take(consumer, 3))) == ["back", "later", "meanwhile"]

    # -- dead letters -------------------------------------------------------------------------------------

    async def _bury(self, stage: Stage, broker: Broker, *letters: tuple[str, str, DeadReason]) -> None:
        for task_id, queue, reason in letters:
            consumer, _ = await stage.consumer(broker, queue)
            await broker.publish([message(id=task_id, queue=queue)])
            (delivery,) = await take(consumer, 1)
            assert list(await consumer.settle([Bury(delivery, reason, f"detail of {task_id}")])) == [True]

    @staged
    async def test_dead_letters_are_listed_the_latest_first(self, stage: Stage) -> None:
        broker = await stage.broker()
        failed = DeadReason.FAILED
        await self._bury(stage, broker, ("1", "a", failed), ("2", "b", failed), ("3", "a", failed), ("4", "a", failed))
        letters = broker.dead_letters

        async def listed(queue: str | None, limit: int, offset: int = 0) -> list[str | None]:
            return [each.message.id if each.message else None for each in await letters.list(queue, limit, offset)]

        assert await listed(None, 10) == ["4", "3", "2", "1"]
        assert await listed("a", 10) == ["4", "3", "1"]
        assert await listed("a", 1, 1) == ["3"]
        assert await listed("unknown", 10) == []
        assert await letters.find("unknown") is None
        assert len({each.key for each in await letters.list(None, 10)}) == 4

    @staged
    async def test_requeued_letters_run_again_with_fresh_counters(self, stage: Stage) -> None:
        broker = await stage.broker()
        failed, crashed = DeadReason.FAILED, DeadReason.CRASHED
        await self._bury(stage, broker, ("1", "a", failed), ("2", "a", crashed), ("3", "b", failed), ("4", "a", failed))
        assert await broker.dead_letters.requeue(ids=["nothing"]) == 0
        assert await broker.dead_letters.requeue(ids=[]) == 0
        assert await broker.dead_letters.requeue(queue="a", reason=failed) == 2
        assert await broker.dead_letters.requeue(ids=["3"]) == 1
        consumer, _ = await stage.consumer(broker, "a", "b")
        received = await take(consumer, 3)
        assert sorted(ids(received)) == ["1", "3", "4"]
        assert [each.crashes for each in received] == [0] * 3
        if broker.capabilities.lease == "holder":  # a connection may be pushed what it does not ask for, and give it back
            assert [each.deliveries for each in received] == [1] * 3
        assert [each.message.id for each in await broker.dead_letters.list(None, 9) if each.message] == ["2"]

    @staged
    async def test_a_letter_whose_id_is_in_a_queue_again_stays_dead(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.deduplicates:
            pytest.skip("this broker does not look for ids that it has already")
        await self._bury(stage, broker, ("twice", "default", DeadReason.FAILED))
        await broker.publish([message(id="twice")])
        assert await broker.dead_letters.requeue() == 0
        assert await broker.dead_letters.find("twice") is not None

    @staged
    async def test_a_letter_keeps_the_message_that_it_was_buried_with(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker, "a")
        await broker.publish([message(id="1", queue="a")])
        (delivery,) = await take(consumer, 1)
        past = PastAttempt(1_700_000_000.5, "faena@here", "ValueError: no ñ", "0123456789ab", "Traceback ...\n")
        told = replace(delivery.message, history=(past,))
        assert list(await consumer.settle([Bury(delivery, DeadReason.FAILED, "no", told)])) == [True]
        letter = await broker.dead_letters.find("1")
        assert letter is not None
        assert (letter.message, letter.detail) == (told, "no")
        assert await broker.dead_letters.requeue() == 1
        assert [each.message for each in await take(consumer, 1)] == [told]

    @staged
    async def test_a_letter_is_changed_and_put_back_as_it_is_then(self, stage: Stage) -> None:
        broker = await stage.broker()
        await self._bury(stage, broker, ("1", "a", DeadReason.FAILED), ("2", "a", DeadReason.FAILED))
        before = await broker.dead_letters.find("1")
        assert before is not None
        assert before.message is not None
        changed = replace(before.message, queue="b", body=b"[[3], {}]", priority=8)
        assert await broker.dead_letters.replace("1", changed)
        assert not await broker.dead_letters.replace("nobody", changed)
        after = await broker.dead_letters.find("1")
        assert after is not None
        assert (after.message, after.queue, after.reason, after.detail) == (changed, "b", before.reason, before.detail)
        assert len(await broker.dead_letters.list(None, 10)) == 2
        assert await broker.dead_letters.requeue(ids=["1"]) == 1
        consumer, _ = await stage.consumer(broker, "b")
        assert [each.message for each in await take(consumer, 1)] == [changed]
        assert await broker.dead_letters.find("1") is None

    @staged
    async def test_letters_are_purged_by_queue_id_and_age(self, stage: Stage) -> None:
        broker = await stage.broker()
        failed = DeadReason.FAILED
        await self._bury(stage, broker, ("1", "a", failed), ("2", "b", failed), ("3", "a", failed))
        assert await broker.dead_letters.purge(before_s=time.time() - 3600) == 0
        assert await broker.dead_letters.purge(queue="b", ids=["1"]) == 0
        assert await broker.dead_letters.purge(ids=["1", "unknown"]) == 1
        assert await broker.dead_letters.purge(queue="b", before_s=time.time() + 60) == 1
        assert await broker.dead_letters.purge() == 1
        assert list(await broker.dead_letters.list(None, 10)) == []
