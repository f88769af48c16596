"""Conformance of a broker and a backend on one technology: an attempt ends in one atomic step (law 7)."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from faena.backend import Backend, Completion, JointSettler, JournalEnd
from faena.broker import Broker, Consumer, Holder
from faena.model.delivery import Ack, Bury, DeadReason, Delivery, Place, Release
from faena.model.journal import Entry, Parked
from faena.testing.conformance.claiming import JointClaiming
from faena.testing.conformance.recording import record
from faena.testing.conformance.scheduling import JointScheduling
from faena.testing.conformance.stage import SOON_S, Stage, ids, message, messages, new_place, nothing_more, staged, take
from faena.testing.conformance.together import JointTogether
from faena.types import Io


class JointConformance(JointClaiming, JointScheduling, JointTogether):
    """Derive from it, and say how to connect both to one place."""

    def connect_broker(self, place: str, io: Io) -> Broker:
        raise NotImplementedError

    def connect_backend(self, place: str, io: Io) -> Backend:
        raise NotImplementedError

    @pytest.fixture(params=["blocking", "asyncio"])
    def stage(self, request: pytest.FixtureRequest) -> Stage:
        return Stage(self, new_place(), request.param)

    async def _set(self, stage: Stage) -> tuple[Broker, Backend, Consumer, Holder, JointSettler]:
        broker, backend = await stage.broker(), await stage.backend()
        consumer, holder = await stage.consumer(broker)
        settler = backend.joint(broker, holder)
        assert settler is not None
        return broker, backend, consumer, holder, settler

    @staged
    async def test_a_completion_settles_records_and_publishes(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        await broker.publish([message(id="1"), message(id="2"), message(id="3")])
        received = await take(consumer, 3)
        completions = [
            Completion(Ack(received[0]), record("1"), (message(id="1a"), message(id="1b", priority=9))),
            Completion(Ack(received[1]), None, (message(id="2a", due_at_s=time.time() + 600),)),
            Completion(Ack(received[2]), record("3", "FAILURE")),
        ]
        assert list(await settler.complete(completions)) == [True, True, True]
        assert list(await backend.read(["1", "2", "3"])) == [record("1"), None, record("3", "FAILURE")]
        assert list(await broker.locate(["1", "2", "3", "2a"])) == [None, None, None, Place.DELAYED]
        assert ids(await take(consumer, 2)) == ["1b", "1a"]

    @staged
    async def test_completing_nothing_answers_nothing(self, stage: Stage) -> None:
        *_, settler = await self._set(stage)
        assert list(await settler.complete([])) == []

    @staged
    async def test_a_repeated_completion_changes_nothing(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        await broker.publish([message(id="1")])
        received = await take(consumer, 1)
        completions: Sequence[Completion] = [Completion(Ack(received[0]), record("1"), (message(id="next"),))]
        assert list(await settler.complete(completions)) == [True]
        (following,) = await take(consumer, 1)
        assert list(await consumer.settle([Ack(following)])) == [True]
        await backend.forget(["1"])
        assert list(await settler.complete(completions)) == [False]
        assert list(await backend.read(["1"])) == [None]
        assert await nothing_more(consumer)

    @staged
    async def test_who_lost_the_lease_neither_records_nor_publishes(self, stage: Stage) -> None:
        broker, backend, lost, holder, settler = await self._set(stage)
        sent = messages(3)
        await broker.publish(sent)
        gone = await take(lost, 3)
        await broker.leases.recover(holder, {})
        consumer, other = await stage.consumer(broker)
        (ours,) = await take(consumer, 1)
        late = [Completion(Ack(each), record(each.message.id), (message(),)) for each in gone]
        assert list(await settler.complete(late)) == [False, False, False]
        assert list(await backend.read(ids(sent))) == [None, None, None]
        mine = backend.joint(broker, other)
        assert mine is not None
        assert list(await mine.complete([Completion(Ack(ours), record(ours.message.id))])) == [True]
        assert ids(await take(consumer, 2)) == ids(sent[1:])
        assert await nothing_more(consumer)

    @staged
    async def test_one_that_is_not_ours_does_not_harm_the_others_of_its_batch(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        await broker.publish([message(id=name) for name in ("1", "2", "3")])
        first, second, third = await take(consumer, 3)
        assert list(await consumer.settle([Ack(second)])) == [True]
        completions = [
            Completion(Ack(each), record(each.message.id), (message(id=f"{each.message.id}-next"),))
            for each in (first, second, third)
        ]
        assert list(await settler.complete(completions)) == [True, False, True]
        assert list(await backend.read(["1", "2", "3"])) == [record("1"), None, record("3")]
        assert ids(await take(consumer, 2)) == ["1-next", "3-next"]

    @staged
    async def test_a_task_that_has_ended_otherwise_keeps_that_state_and_nothing_follows(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        await broker.publish([message(id="1"), message(id="2")])
        first, second = await take(consumer, 2)
        await backend.record([record("1", "REVOKED")])
        completions = [
            Completion(Ack(first), record("1", value=b"late"), (message(id="follows"),)),
            Completion(Ack(second), record("2"), (message(id="2-next"),)),
        ]
        assert list(await settler.complete(completions)) == [True, True]
        assert list(await backend.read(["1", "2"])) == [record("1", "REVOKED"), record("2")]
        assert list(await broker.locate(["1", "follows"])) == [None, None]
        assert ids(await take(consumer, 1)) == ["2-next"]

    @staged
    async def test_a_retry_and_a_burial_complete_with_their_records(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        await broker.publish([message(id="again"), message(id="dead"), message(id="back")])
        again, dead, back = await take(consumer, 3)
        retried = replace(again.message, retries=1, due_at_s=time.time() + 0.2)
        completions = [
            Completion(Release(again, retried), record("again", "RETRY")),
            Completion(Bury(dead, DeadReason.FAILED, "boom"), record("dead", "FAILURE"), (message(id="on-failure"),)),
            Completion(Release(back)),
        ]
        assert list(await settler.complete(completions)) == [True, True, True]
        assert list(await backend.read(["again", "dead", "back"])) == [
            record("again", "RETRY"),
            record("dead", "FAILURE"),
            None,
        ]
        assert list(await broker.locate(["again", "dead"])) == [Place.DELAYED, Place.DEAD]
        assert [each.message for each in await take(consumer, 3)][2] == retried

    @staged
    async def test_a_completion_wakes_who_waits_for_its_result_and_for_its_messages(self, stage: Stage) -> None:
        broker, _, consumer, _, settler = await self._set(stage)
        waiter, _ = await stage.consumer(await stage.broker(), "next")
        watch = (await stage.backend()).watch()
        await watch.add(["1"])
        await broker.publish([message(id="1")])
        received = await take(consumer, 1)
        waiting = stage.beside(lambda: waiter.receive(1, 30))
        watching = stage.beside(lambda: watch.changed(30))
        await stage.turn()
        completion = Completion(Ack(received[0]), record("1"), (message(id="2", queue="next"),))
        assert list(await settler.complete([completion])) == [True]
        assert ids(await waiting.outcome(SOON_S)) == ["2"]
        assert list(await watching.outcome(SOON_S)) == ["1"]
        await watch.close()

    @staged
    async def test_a_task_that_waits_for_an_event_leaves_its_queue_and_comes_back_with_it(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        await broker.publish([message(id="1"), message(id="late")])
        first, late = await take(consumer, 2)
        waits = [
            Completion(Ack(each), record(each.message.id, "WAITING"), park=Parked(each.message, "go"))
            for each in (first, late)
        ]
        assert list(await settler.complete(waits[:1])) == [True]
        assert list(await broker.locate(["1", "late"])) == [None, Place.HELD]
        waiter, _ = await stage.consumer(await stage.broker())
        waiting = stage.beside(lambda: waiter.receive(1, 30))
        await stage.turn()
        assert list(await backend.journal.signal(Entry("go", b"5"), time.time() + 60, broker)) == []
        (back,) = await waiting.outcome(SOON_S)
        assert isinstance(back, Delivery)
        assert back.message == first.message
        assert list(await waiter.settle([Ack(back)])) == [True]
        assert list(await settler.complete(waits[1:])) == [True]  # it has happened meanwhile: it goes back, and waits not
        assert ids(await take(consumer, 1)) == ["late"]
        assert list(await settler.complete(waits)) == [False, False]

    @staged
    async def test_a_completion_forgets_what_is_not_needed_any_more(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        await broker.publish([message(id="done"), message(id="failed")])
        ends = {"done": JournalEnd.FORGOTTEN, "failed": JournalEnd.RESUMED}
        for task_id in ends:
            await backend.journal.write(task_id, Entry("a", b"1"), time.time() + 60)
        received = await take(consumer, 2)
        completions = [Completion(Ack(each), record(each.message.id), journal=ends[each.message.id]) for each in received]
        assert list(await settler.complete(completions)) == [True, True]
        assert [len(await backend.journal.read(task_id)) for task_id in ends] == [0, 1]

    @staged
    async def test_what_belongs_elsewhere_completes_not_jointly(self, stage: Stage) -> None:
        backend = await stage.backend()
        elsewhere = self.connect_broker(new_place(), stage.io)
        assert backend.joint(elsewhere, "1") is None
        assert backend.joint(object(), "1") is None
        await elsewhere.close()
