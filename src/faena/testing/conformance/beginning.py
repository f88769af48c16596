"""Conformance of a backend: workflows begin, and what begins is published once."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from faena.errors import WorkflowError
from faena.model.inputs import Encoded, Listed
from faena.model.message import Member
from faena.model.result import ResultRecord
from faena.model.workflow import REFERENCE, NodeState, Timing, WorkflowState, WorkflowStatus, reference_to
from faena.testing.conformance.sketch import (
    ELSEWHERE,
    Sketch,
    as_drawn,
    begin,
    chain,
    ending,
    members_of,
    moments,
    sent,
    standing,
    states,
    step,
)
from faena.testing.conformance.stage import Stage, staged

LATER_S = 1e12  # past every moment of a test


class Beginning:
    @staged
    async def test_what_needs_nothing_is_handed_out_in_order_where_the_broker_is_elsewhere(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        sketch = Sketch()
        first, second = sketch.task(), sketch.task(priority=9)
        third = sketch.task(first)
        sketch.task(guards=[first])
        new = sketch.new(sketch.join(second, third))
        begun_s = time.time()
        ready = await backend.workflows.start(new, ELSEWHERE)
        assert as_drawn(ready) == [new.graph.nodes[0].message, new.graph.nodes[1].message]
        assert all(begun_s - 1 <= each.sent_at_s <= time.time() + 1 for each in ready)
        expected = [NodeState.READY, NodeState.READY, NodeState.WAITING, NodeState.WAITING, NodeState.WAITING]
        assert await states(other, sketch.id) == expected
        assert list(await other.workflows.statuses([sketch.id])) == [
            WorkflowStatus(new.workflow, WorkflowState.RUNNING, 5, 2)
        ]

    @staged
    async def test_a_workflow_begins_once(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        new = chain(2)
        assert sent(await backend.workflows.start(new, ELSEWHERE)) == [0]
        before = await backend.workflows.nodes(new.workflow.id)
        assert sent(await other.workflows.start(new, ELSEWHERE)) == []
        assert await backend.workflows.nodes(new.workflow.id) == before
        await step(backend, ending(new, 0))
        await step(backend, ending(new, 1))
        assert sent(await other.workflows.start(replace(new, graph=chain(3).graph), ELSEWHERE)) == []
        (status,) = await backend.workflows.statuses([new.workflow.id])
        assert status is not None
        assert (status.state, status.size, status.active) == (WorkflowState.SUCCESS, 2, 0)

    @staged
    async def test_a_workflow_without_tasks_ends_as_it_begins(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch(keep_s=3600.0)
        inner = sketch.join()
        new = sketch.new(sketch.join(sketch.gate(inner)))
        watch = backend.watch()
        await watch.add([f"{sketch.id}.2"])
        assert sent(await backend.workflows.start(new, ELSEWHERE)) == []
        assert await states(backend, sketch.id) == [NodeState.SUCCESS] * 3
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert (status.state, status.active, status.finished_at_s is not None) == (WorkflowState.SUCCESS, 0, True)
        assert await backend.workflows.value(sketch.id, 2) == Listed((Listed(()),))
        kept = [_without_moments(each) for each in await backend.read([f"{sketch.id}.{node}" for node in (0, 1, 2)])]
        assert kept == [_of_group(sketch.id, 0), None, _of_group(sketch.id, 2)]  # a gate is asked for by nobody
        assert list(await watch.changed(20)) == [f"{sketch.id}.2"]
        await watch.close()

    @staged
    async def test_a_task_after_an_empty_group_begins_with_the_workflow(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        sketch.task(sketch.join())
        assert await begin(backend, sketch.new()) == [1]
        assert list(await backend.workflows.inputs([Member(sketch.id, 1)])) == [Listed(())]

    @staged
    async def test_what_nobody_has_published_stands_as_unpublished_until_it_is(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        sketch = Sketch()
        new = sketch.new(sketch.join(*[sketch.task() for _ in range(3)]))
        before_s = time.time() - 60
        ready = await backend.workflows.start(new, ELSEWHERE)
        assert sent(await other.workflows.unpublished(before_s, 100)) == []
        assert await other.may_have_duties()
        found = await other.workflows.unpublished(LATER_S, 100)
        assert sorted(as_drawn(found), key=lambda each: each.id) == as_drawn(ready)
        assert len(await other.workflows.unpublished(LATER_S, 2)) == 2
        await other.workflows.published(members_of(ready[:1]))
        assert sorted(sent(await backend.workflows.unpublished(LATER_S, 100))) == [1, 2]
        await other.workflows.published(members_of(ready))
        assert sent(await backend.workflows.unpublished(LATER_S, 100)) == []
        assert (await states(backend, sketch.id))[:3] == [NodeState.SENT] * 3
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert status.active == 3

    @staged
    async def test_what_has_ended_unpublished_needs_no_publishing(self, stage: Stage) -> None:
        """A crash fell between publishing and noting it; the task ran all the same."""
        backend = await stage.backend()
        new = chain(2)
        await backend.workflows.start(new, ELSEWHERE)
        assert await step(backend, ending(new, 0, b"1")) == [1]
        assert sent(await backend.workflows.unpublished(LATER_S, 100)) == []
        await backend.workflows.published([Member(new.workflow.id, 0)])
        assert await states(backend, new.workflow.id) == [NodeState.SUCCESS, NodeState.SENT]

    @staged
    async def test_noting_what_is_not_there_changes_nothing(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2)
        await backend.workflows.start(new, ELSEWHERE)
        before = await backend.workflows.nodes(new.workflow.id)
        strangers = [Member("unknown", 0), Member(new.workflow.id, 7), Member(new.workflow.id, 0, 3)]
        await backend.workflows.published([*strangers, Member(new.workflow.id, 1)])
        await backend.workflows.published([])
        assert await backend.workflows.nodes(new.workflow.id) == before

    @staged
    async def test_countdown_and_expiry_of_a_later_step_count_from_its_readiness(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task()
        sketch.task(first, timing=Timing(delay_s=60.0, expires_s=90.0))
        sketch.task(first, timing=Timing(expires_s=30.0))
        new = sketch.new(sketch.task(first, timing=Timing(delay_s=5.0)))
        await begin(backend, new)
        asked_s = time.time()
        ready = await backend.workflows.advance([], [ending(new, 0)])
        assert [each.sent_at_s == pytest.approx(asked_s, abs=10) for each in ready] == [True] * 3
        assert moments(ready) == [
            (pytest.approx(60.0), pytest.approx(90.0)),
            (None, pytest.approx(30.0)),
            (pytest.approx(5.0), None),
        ]
        assert moments(sorted(await backend.workflows.unpublished(LATER_S, 9), key=lambda each: each.id)) == moments(ready)

    @staged
    async def test_the_fields_of_a_message_travel_whole(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        sketch.task(
            body=bytes(range(256)), content="pickle", expires_at_s=9e9, due_at_s=8e9, retries=3, root_id="root",
            origin="1@x", parent_id="parent", soft_time_limit_s=1.5, time_limit_s=2.5, ignore_result=True,
            headers={"añadir": [1]},
        )  # fmt: skip
        new = sketch.new()
        assert as_drawn(await backend.workflows.start(new, ELSEWHERE)) == [new.graph.nodes[0].message]
        assert as_drawn(await backend.workflows.unpublished(LATER_S, 1)) == [new.graph.nodes[0].message]

    @staged
    async def test_a_group_of_five_thousand_begins_whole_and_in_order(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        members = [sketch.task() for _ in range(5000)]
        new = sketch.new(sketch.task(sketch.join(*members)))
        assert await begin(backend, new) == members
        for at in range(0, 5000, 1000):
            events = [ending(new, number, str(number).encode()) for number in members[at : at + 1000]]
            assert await step(backend, *events) == ([5001] if at == 4000 else [])
        given = (await backend.workflows.inputs([Member(sketch.id, 5001)]))[0]
        assert given == Listed(tuple(Encoded(str(number).encode(), "json") for number in members))

    @staged
    async def test_changing_an_unknown_workflow_is_refused(self, stage: Stage) -> None:
        backend = await stage.backend()
        with pytest.raises(WorkflowError, match="not known"):
            await backend.workflows.cancel("unknown")
        with pytest.raises(WorkflowError, match="not known"):
            await backend.workflows.rerun("unknown", None, ELSEWHERE)

    @staged
    async def test_two_workflows_do_not_touch_one_another(self, stage: Stage) -> None:
        backend = await stage.backend()
        one, two = chain(3), chain(3)
        await begin(backend, one)
        await begin(backend, two)
        assert await step(backend, ending(one, 0, b"1"), ending(two, 0, b"2")) == [1, 1]
        assert await step(backend, ending(one, 1, b"3")) == [2]
        assert await states(backend, two.workflow.id) == [NodeState.SUCCESS, NodeState.SENT, NodeState.WAITING]
        assert (await standing(backend, one.workflow.id, 2)).state is NodeState.SENT


def _of_group(workflow: str, number: int) -> ResultRecord:
    return ResultRecord(
        f"{workflow}.{number}", "group", "SUCCESS", reference_to(workflow, number), REFERENCE, root_id=workflow
    )


def _without_moments(record: ResultRecord | None) -> ResultRecord | None:
    return None if record is None else replace(record, finished_at_s=None, expires_at_s=None)
