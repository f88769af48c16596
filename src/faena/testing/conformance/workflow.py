"""Conformance of the workflows of a backend.

`WorkflowConformance` drives them by hand, as for a broker that is elsewhere, and then by the settler that a worker would
use with the broker of `connect_broker`: jointly where the two are one store, else in four steps. `JointWorkflowConformance`
is for two that are one store: what only they can promise.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from faena.backend import Backend, Completion, JointSettler
from faena.broker import Broker, Consumer, Holder
from faena.engine.completion import FourSteps, carry_on
from faena.model.delivery import Ack, Bury, DeadReason, Delivery, Place, Release
from faena.model.inputs import Encoded, Listed
from faena.model.message import Member
from faena.model.workflow import NodeState, Timing, WorkflowState, node_id
from faena.testing.conformance.advancing import Advancing
from faena.testing.conformance.beginning import LATER_S, Beginning
from faena.testing.conformance.recording import record
from faena.testing.conformance.redoing import Redoing
from faena.testing.conformance.seeing import Seeing
from faena.testing.conformance.sketch import (
    ELSEWHERE,
    Sketch,
    begin,
    chain,
    ending,
    failed,
    result_of,
    sent,
    standing,
    states,
)
from faena.testing.conformance.stage import (
    SOON_S,
    Stage,
    expect_places,
    ids,
    message,
    new_place,
    nothing_more,
    staged,
    take,
)
from faena.types import Io


class WorkflowConformance(Beginning, Advancing, Seeing, Redoing):
    """Derive from it, and say how to connect both; they may be one store or two."""

    def connect_broker(self, place: str, io: Io) -> Broker:
        raise NotImplementedError

    def connect_backend(self, place: str, io: Io) -> Backend:
        raise NotImplementedError

    @pytest.fixture(params=["blocking", "asyncio"])
    def stage(self, request: pytest.FixtureRequest) -> Stage:
        return Stage(self, new_place(), request.param)

    @staged
    async def test_a_workflow_runs_through_its_broker_to_its_end(self, stage: Stage) -> None:
        broker, backend = await stage.broker(), await stage.backend()
        consumer, holder = await stage.consumer(broker)
        settler = _settler(broker, backend, consumer, holder)
        sketch = Sketch()
        members = [sketch.task() for _ in range(10)]
        new = sketch.new(sketch.task(sketch.task(sketch.join(*members))))
        await carry_on(broker, backend, await backend.workflows.start(new, broker))
        received = await take(consumer, 10)
        assert ids(received) == [node_id(sketch.id, number) for number in members]
        assert list(await settler.complete(_ended(received))) == [True] * 10
        for number in (11, 12):
            (delivery,) = await take(consumer, 1)
            assert delivery.message.member == Member(sketch.id, number, 0, feeds=True)
            assert list(await settler.complete(_ended([delivery]))) == [True]
        assert await nothing_more(consumer)
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert (status.state, status.active) == (WorkflowState.SUCCESS, 0)
        expected = Listed(tuple(Encoded(b"%d" % number, "json") for number in members))
        assert await backend.workflows.value(sketch.id, 10) == expected
        assert sent(await backend.workflows.unpublished(LATER_S, 9)) == []

    @staged
    async def test_a_workflow_that_runs_again_is_published_again(self, stage: Stage) -> None:
        broker, backend = await stage.broker(), await stage.backend()
        consumer, holder = await stage.consumer(broker)
        settler = _settler(broker, backend, consumer, holder)
        new = chain(2)
        await carry_on(broker, backend, await backend.workflows.start(new, broker))
        received = await take(consumer, 1)
        event = failed(new, 0)
        await settler.complete([Completion(Ack(received[0]), result_of(event), (), event)])
        await carry_on(broker, backend, await backend.workflows.rerun(new.workflow.id, None, broker))
        for number in (0, 1):
            (delivery,) = await take(consumer, 1)
            assert delivery.message.member is not None
            assert (delivery.message.member.node, delivery.message.member.run) == (number, 1)
            assert list(await settler.complete(_ended([delivery]))) == [True]
        (status,) = await backend.workflows.statuses([new.workflow.id])
        assert status is not None
        assert status.state is WorkflowState.SUCCESS
        assert list(await backend.read([node_id(new.workflow.id, 1)])) == [result_of(ending(new, 1, b"1"))]


class JointWorkflowConformance:
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
    async def test_one_store_publishes_what_begins_itself(self, stage: Stage) -> None:
        broker, backend, consumer, *_ = await self._set(stage)
        sketch = Sketch()
        new = sketch.new(sketch.task(sketch.join(sketch.task(), sketch.task())))
        assert list(await backend.workflows.start(new, broker)) == []
        assert await states(backend, sketch.id) == [NodeState.SENT, NodeState.SENT, NodeState.WAITING, NodeState.WAITING]
        assert sent(await backend.workflows.unpublished(LATER_S, 9)) == []
        assert list(await backend.workflows.start(new, broker)) == []
        assert ids(await take(consumer, 2)) == [node_id(sketch.id, 0), node_id(sketch.id, 1)]
        assert await nothing_more(consumer)

    @staged
    async def test_what_begins_for_another_broker_is_handed_out(self, stage: Stage) -> None:
        _, backend, consumer, *_ = await self._set(stage)
        elsewhere = self.connect_broker(new_place(), stage.io)
        new = chain(1)
        assert sent(await backend.workflows.start(new, elsewhere)) == [0]
        assert await nothing_more(consumer)
        assert sent(await backend.workflows.unpublished(LATER_S, 9)) == [0]
        await elsewhere.close()

    @staged
    async def test_who_waits_for_messages_is_woken_by_a_beginning(self, stage: Stage) -> None:
        broker, backend, *_ = await self._set(stage)
        waiter, _ = await stage.consumer(await stage.broker(), "next")
        waiting = stage.beside(lambda: waiter.receive(1, 30))
        await stage.turn()
        new = chain(1, queue="next")
        await backend.workflows.start(new, broker)
        assert ids(await waiting.outcome(SOON_S)) == [node_id(new.workflow.id, 0)]

    @staged
    async def test_a_completion_takes_its_event_with_result_and_settlement(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        new = chain(2)
        await backend.workflows.start(new, broker)
        received = await take(consumer, 1)
        event = ending(new, 0, b"3")
        completion = Completion(Ack(received[0]), result_of(event), (message(id="beside"),), event)
        assert list(await settler.complete([completion])) == [True]
        assert list(await backend.read([node_id(new.workflow.id, 0)])) == [result_of(event)]
        assert await states(backend, new.workflow.id) == [NodeState.SUCCESS, NodeState.SENT]
        following = await take(consumer, 2)
        assert sorted(ids(following)) == sorted(["beside", node_id(new.workflow.id, 1)])
        await expect_places(broker, [node_id(new.workflow.id, 0)], [None])

    @staged
    async def test_a_completion_that_is_not_ours_changes_no_workflow(self, stage: Stage) -> None:
        broker, backend, lost, holder, settler = await self._set(stage)
        sketch = Sketch()
        members = [sketch.task() for _ in range(3)]
        new = sketch.new(sketch.task(sketch.join(*members)))
        await backend.workflows.start(new, broker)
        gone = await take(lost, 3)
        await broker.leases.recover(holder, {})
        before = await backend.workflows.nodes(sketch.id)
        assert list(await settler.complete(_ended(gone))) == [False] * 3
        assert await backend.workflows.nodes(sketch.id) == before
        assert list(await backend.read(ids(gone))) == [None] * 3
        consumer, other = await stage.consumer(broker)
        ours = await take(consumer, 3)
        mine = backend.joint(broker, other)
        assert mine is not None
        assert list(await mine.complete(_ended(ours))) == [True] * 3
        assert ids(await take(consumer, 1)) == [node_id(sketch.id, 4)]

    @staged
    async def test_one_that_is_not_ours_leaves_the_steps_of_the_others_of_its_batch(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        sketch = Sketch()
        members = [sketch.task() for _ in range(3)]
        new = sketch.new(sketch.task(sketch.join(*members)))
        await backend.workflows.start(new, broker)
        received = await take(consumer, 3)
        assert list(await consumer.settle([Ack(received[1])])) == [True]
        assert list(await settler.complete(_ended(received))) == [True, False, True]
        expected = [NodeState.SUCCESS, NodeState.SENT, NodeState.SUCCESS, NodeState.WAITING, NodeState.WAITING]
        assert await states(backend, sketch.id) == expected
        assert (await standing(backend, sketch.id, 3)).waits == 1

    @staged
    async def test_a_repeated_completion_takes_no_second_step(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        new = chain(3)
        await backend.workflows.start(new, broker)
        completions = _ended(await take(consumer, 1))
        assert list(await settler.complete(completions)) == [True]
        before = await backend.workflows.nodes(new.workflow.id)
        assert list(await settler.complete(completions)) == [False]
        assert await backend.workflows.nodes(new.workflow.id) == before
        assert ids(await take(consumer, 1)) == [node_id(new.workflow.id, 1)]
        assert await nothing_more(consumer)

    @staged
    async def test_an_event_is_taken_where_the_result_had_been_decided_before(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        new = chain(2)
        await backend.workflows.start(new, broker)
        received = await take(consumer, 1)
        decided = record(node_id(new.workflow.id, 0), "REVOKED")
        await backend.record([decided])
        assert list(await settler.complete(_ended(received))) == [True]
        assert list(await backend.read([decided.id])) == [decided]
        assert ids(await take(consumer, 1)) == [node_id(new.workflow.id, 1)]

    @staged
    async def test_an_event_of_what_was_settled_elsewhere_is_taken_once_by_whoever_comes_first(self, stage: Stage) -> None:
        """The event came by another way already, such as from who cleans up after a lost process."""
        broker, backend, consumer, _, settler = await self._set(stage)
        new = chain(3)
        await backend.workflows.start(new, broker)
        received = await take(consumer, 1)
        ready = await backend.workflows.advance([], [ending(new, 0, b"0")])
        assert sent(ready) == [1]
        assert list(await settler.complete(_ended(received))) == [True]
        assert (await states(backend, new.workflow.id))[:2] == [NodeState.SUCCESS, NodeState.READY]
        assert await nothing_more(consumer)

    @staged
    async def test_a_retry_moves_no_workflow_and_its_last_attempt_does(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        new = chain(2)
        await backend.workflows.start(new, broker)
        (first,) = await take(consumer, 1)
        assert list(await settler.complete([Completion(Release(first), record(first.message.id, "RETRY"))])) == [True]
        assert await states(backend, new.workflow.id) == [NodeState.SENT, NodeState.WAITING]
        (again,) = await take(consumer, 1)
        assert again.message == first.message
        event = failed(new, 0)
        completion = Completion(Bury(again, DeadReason.FAILED, "boom"), result_of(event), (), event)
        assert list(await settler.complete([completion])) == [True]
        assert await states(backend, new.workflow.id) == [NodeState.FAILURE, NodeState.ABANDONED]
        await expect_places(broker, [first.message.id], [Place.DEAD])

    @staged
    async def test_a_workflow_begins_with_the_completion_that_brings_it(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        await broker.publish([message(id="1"), message(id="2")])
        one, two = await take(consumer, 2)
        new, lost = chain(2), chain(2)
        assert list(await consumer.settle([Ack(two)])) == [True]
        completions = [Completion(Ack(one), start=new), Completion(Ack(two), start=lost)]
        assert list(await settler.complete(completions)) == [True, False]
        assert ids(await take(consumer, 1)) == [node_id(new.workflow.id, 0)]
        assert [each is None for each in await backend.workflows.statuses([new.workflow.id, lost.workflow.id])] == [
            False,
            True,
        ]
        assert await nothing_more(consumer)

    @staged
    async def test_a_later_step_with_a_countdown_waits_in_the_broker(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        sketch = Sketch()
        first = sketch.task()
        new = sketch.new(sketch.task(first, timing=Timing(delay_s=600.0)))
        await backend.workflows.start(new, broker)
        begun_s = time.time()
        assert list(await settler.complete(_ended(await take(consumer, 1)))) == [True]
        await expect_places(broker, [node_id(sketch.id, 1)], [Place.DELAYED])
        assert (await standing(backend, sketch.id, 1)).state is NodeState.SENT
        ((place, waiting),) = await broker.queues.browse("default", 10)
        assert place is Place.DELAYED
        assert waiting.due_at_s == pytest.approx(begun_s + 600.0, abs=10)

    @staged
    async def test_what_a_completion_lets_begin_and_end_wakes_who_waits_for_it(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        waiter, _ = await stage.consumer(await stage.broker(), "next")
        sketch = Sketch(queue="next")
        first = sketch.task()
        join = sketch.join(first)
        new = sketch.new(sketch.task(join))
        await begin(backend, new)
        await broker.publish([message(id="carrier")])
        received = await take(consumer, 1)
        watch = (await stage.backend()).watch()
        await watch.add([node_id(sketch.id, join)])
        waiting = stage.beside(lambda: waiter.receive(1, 30))
        watching = stage.beside(lambda: watch.changed(30))
        await stage.turn()
        completion = Completion(Ack(received[0]), None, (), ending(new, first, b"1"))
        assert list(await settler.complete([completion])) == [True]
        assert ids(await waiting.outcome(SOON_S)) == [node_id(sketch.id, 2)]
        assert list(await watching.outcome(SOON_S)) == [node_id(sketch.id, join)]
        await watch.close()

    @staged
    async def test_a_workflow_at_rest_that_is_run_again_is_published_by_the_store(self, stage: Stage) -> None:
        broker, backend, consumer, _, settler = await self._set(stage)
        new = chain(1)
        await backend.workflows.start(new, broker)
        await settler.complete(_ended(await take(consumer, 1)))
        assert list(await backend.workflows.rerun(new.workflow.id, [0], broker)) == []
        (again,) = await take(consumer, 1)
        assert again.message.member == Member(new.workflow.id, 0, 1, feeds=True)
        assert sent(await backend.workflows.unpublished(LATER_S, 9)) == []
        assert list(await settler.complete(_ended([again]))) == [True]
        assert sent(await backend.workflows.rerun(new.workflow.id, [0], ELSEWHERE)) == [0]


def _settler(broker: Broker, backend: Backend, consumer: Consumer, holder: Holder) -> JointSettler | FourSteps:
    return backend.joint(broker, holder) or FourSteps(broker, consumer, backend)


def _ended(deliveries: Iterable[Delivery]) -> list[Completion]:
    """Return the completions of tasks that succeed, each with the number of its node."""
    completions = []
    for delivery in deliveries:
        member = delivery.message.member
        assert member is not None
        event = ending(member.workflow, member.node, b"%d" % member.node, run=member.run)
        completions.append(Completion(Ack(delivery), result_of(event), (), event))
    return completions
