"""Conformance of a broker: waiting, waking, sharing."""

from __future__ import annotations

import threading
import time

import pytest

from faena.errors import LeaseLost
from faena.model.delivery import Ack, Bury, DeadReason, Release
from faena.testing.conformance.stage import (
    SOON_S,
    Stage,
    delivered,
    ids,
    lose,
    message,
    messages,
    needs_leases_of_holders,
    nothing_more,
    staged,
    take,
)


class Receiving:
    @staged
    async def test_an_empty_queue_answers_after_the_time_asked_for(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        for wait_s in (0.0, 0.2):
            begun = time.monotonic()
            assert not await consumer.receive(1, wait_s)
            assert wait_s <= time.monotonic() - begun < wait_s + SOON_S

    @staged
    async def test_no_more_come_than_were_asked_for(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        await broker.publish(messages(5))
        assert [len(await consumer.receive(2, 0)) for _ in range(4)] == [2, 2, 1, 0]

    @staged
    async def test_only_the_queues_of_the_consumer_are_looked_at(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker, "mine", "mine-too")
        await broker.publish([message(queue="other"), message(id="1", queue="mine"), message(id="2", queue="mine-too")])
        assert sorted(ids(await take(consumer, 2))) == ["1", "2"]
        assert await nothing_more(consumer)

    @staged
    async def test_a_full_queue_does_not_keep_the_others_waiting(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker, "a", "b", "c")
        for queue in ("a", "b", "c"):
            await broker.publish(messages(50, queue=queue))
        received = [(await take(consumer, 1))[0].message.queue for _ in range(12)]
        assert all(received.count(queue) >= 2 for queue in ("a", "b", "c"))

    # -- waking -------------------------------------------------------------------------------------------

    @staged
    async def test_a_message_wakes_one_who_waits(self, stage: Stage) -> None:
        broker, sender = await stage.broker(), await stage.broker()
        consumer, _ = await stage.consumer(broker)
        for number in range(3):
            waiting = stage.beside(lambda: consumer.receive(1, 30))
            await stage.turn()
            await sender.publish([message(id=str(number))])
            assert ids(await waiting.outcome(SOON_S)) == [str(number)]

    @staged
    async def test_a_message_of_any_of_its_queues_wakes_a_consumer(self, stage: Stage) -> None:
        broker, sender = await stage.broker(), await stage.broker()
        consumer, _ = await stage.consumer(broker, "a", "b", "c")
        for queue in ("b", "c", "a"):
            waiting = stage.beside(lambda: consumer.receive(1, 30))
            await stage.turn()
            await sender.publish([message(queue=queue)])
            assert [each.message.queue for each in delivered(await waiting.outcome(SOON_S))] == [queue]

    @staged
    async def test_every_message_of_a_batch_finds_one_of_those_who_wait(self, stage: Stage) -> None:
        broker, sender = await stage.broker(), await stage.broker()
        consumers = [(await stage.consumer(broker))[0] for _ in range(4)]
        waiting = [stage.beside(lambda consumer=consumer: consumer.receive(1, 30)) for consumer in consumers]  # type: ignore[misc]
        await stage.turn()
        sent = messages(4)
        await sender.publish(sent)
        received = [each for one in waiting for each in await one.outcome(SOON_S)]
        assert sorted(ids(received)) == sorted(ids(sent))

    @staged
    async def test_a_delayed_message_sent_while_one_waits_comes_when_it_is_due(self, stage: Stage) -> None:
        broker, sender = await stage.broker(), await stage.broker()
        consumer, _ = await stage.consumer(broker)
        waiting = stage.beside(lambda: consumer.receive(1, 30))
        await stage.turn()
        due_at_s = time.time() + 0.3
        await sender.publish([message(due_at_s=time.time() + 600), message(id="soon", due_at_s=due_at_s)])
        assert ids(await waiting.outcome(0.3 + SOON_S)) == ["soon"]
        assert time.time() >= due_at_s

    @staged
    async def test_what_is_released_wakes_one_who_waits(self, stage: Stage) -> None:
        broker, other = await stage.broker(), await stage.broker()
        holding, _ = await stage.consumer(broker)
        consumer, _ = await stage.consumer(other)
        await broker.publish([message(id="handed-back")])
        (delivery,) = await take(holding, 1)
        waiting = stage.beside(lambda: consumer.receive(1, 30))
        await stage.turn()
        assert await holding.settle([Release(delivery)]) == [True]
        assert ids(await waiting.outcome(SOON_S)) == ["handed-back"]

    @staged
    async def test_what_is_recovered_wakes_one_who_waits(self, stage: Stage) -> None:
        broker, other = await stage.broker(), await stage.broker()
        lost, holder = await stage.consumer(broker)
        consumer, _ = await stage.consumer(other)
        await broker.publish([message(id="recovered")])
        await take(lost, 1)
        waiting = stage.beside(lambda: consumer.receive(1, 30))
        await stage.turn()
        assert await lose(broker, lost, holder) in (1, None)
        assert ids(await waiting.outcome(SOON_S)) == ["recovered"]

    @staged
    async def test_what_is_resumed_or_requeued_wakes_one_who_waits(self, stage: Stage) -> None:
        broker, other = await stage.broker(), await stage.broker()
        consumer, _ = await stage.consumer(other)
        if not (broker.capabilities.pauses and broker.capabilities.dead_letters):
            pytest.skip("this broker cannot pause, or has no dead letters")
        await broker.queues.pause("default")
        await broker.publish([message(id="paused")])
        waiting = stage.beside(lambda: consumer.receive(1, 30))
        await stage.turn()
        await broker.queues.resume("default")
        (delivery,) = delivered(await waiting.outcome(SOON_S))
        await consumer.settle([Bury(delivery, DeadReason.FAILED)])
        waiting = stage.beside(lambda: consumer.receive(1, 30))
        await stage.turn()
        assert await broker.dead_letters.requeue() == 1
        assert ids(await waiting.outcome(SOON_S)) == ["paused"]

    # -- interrupting -------------------------------------------------------------------------------------

    @staged
    async def test_an_interrupt_from_another_thread_ends_the_wait(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        begun = time.monotonic()
        timer = threading.Timer(0.1, consumer.interrupt)
        timer.start()
        assert not await consumer.receive(1, 30)
        assert time.monotonic() - begun < 0.1 + SOON_S
        timer.join()

    @staged
    async def test_an_interrupt_that_comes_before_the_wait_is_not_lost(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        begun = time.monotonic()
        consumer.interrupt()
        consumer.interrupt()
        assert not await consumer.receive(1, 30)
        assert time.monotonic() - begun < SOON_S

    @staged
    async def test_an_interrupted_consumer_goes_on(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, _ = await stage.consumer(broker)
        consumer.interrupt()
        assert not await consumer.receive(1, 30)
        await broker.publish([message(id="next")])
        assert ids(await take(consumer, 1)) == ["next"]
        begun = time.monotonic()
        assert not await consumer.receive(1, 0.2)
        assert time.monotonic() - begun >= 0.2

    @staged
    async def test_who_is_interrupted_leaves_it_to_others_to_watch_for_what_becomes_due(self, stage: Stage) -> None:
        broker, other = await stage.broker(), await stage.broker()
        (first, _), (second, _) = await stage.consumer(broker), await stage.consumer(other)
        for consumer in (first, second):
            assert not await consumer.receive(1, 0.1)  # there is nothing, and they know it
        watching = stage.beside(lambda: first.receive(1, 30))
        await broker.publish([message(id="due", due_at_s=time.time() + 0.4)])
        waiting = stage.beside(lambda: second.receive(1, 30))
        await stage.turn()
        first.interrupt()
        assert not await watching.outcome()
        assert ids(await waiting.outcome(6.0)) == ["due"]  # long before its wait is over

    # -- sharing ------------------------------------------------------------------------------------------

    @staged
    async def test_two_holders_share_the_queue_and_no_message(self, stage: Stage) -> None:
        broker, other = await stage.broker(), await stage.broker()
        first, _ = await stage.consumer(broker)
        second, _ = await stage.consumer(other)
        sent = messages(200)
        await broker.publish(sent)
        received = []
        for _ in range(20):
            received += await first.receive(7, 0) + await second.receive(5, 0)  # type: ignore[operator]
        assert sorted(ids(received)) == sorted(ids(sent))

    @staged
    async def test_consumers_at_work_at_once_settle_every_message_once(self, stage: Stage) -> None:
        broker = await stage.broker()
        sent = messages(600)
        consumers = [await stage.consumer(await stage.broker()) for _ in range(4)]

        async def work(number: int) -> list[str]:
            consumer, _ = consumers[number]
            done: list[str] = []
            while batch := delivered(await consumer.receive(16, 0.3)):
                assert all(await consumer.settle([Ack(each) for each in batch]))
                done += ids(batch)
            return done

        working = [stage.beside(lambda number=number: work(number)) for number in range(4)]  # type: ignore[misc]
        for at in range(0, 600, 50):
            await broker.publish(sent[at : at + 50])
            await stage.turn()
        done = [task_id for one in working for task_id in await one.outcome()]
        assert sorted(done) == sorted(ids(sent))

    @staged
    async def test_a_holder_that_was_never_given_out_receives_nothing(self, stage: Stage) -> None:
        broker = await stage.broker()
        needs_leases_of_holders(broker)
        await broker.publish(messages(1))
        for stranger in ("999999", "no-holder", ""):
            with pytest.raises(LeaseLost):
                await broker.consumer(stranger, ["default"]).receive(1, 0)
