"""Conformance of a backend: workflows are cancelled, run again and removed; and one of many leads."""

from __future__ import annotations

import time

import pytest

from faena.errors import WorkflowError
from faena.model.inputs import Encoded, Listed, Outdated
from faena.model.message import Member
from faena.model.result import State
from faena.model.workflow import NodeState, WorkflowState, node_id
from faena.testing.conformance.sketch import (
    ELSEWHERE,
    Sketch,
    begin,
    chain,
    ending,
    failed,
    failure_of,
    members_of,
    play,
    sent,
    standing,
    states,
    step,
)
from faena.testing.conformance.stage import PATIENCE_S, Stage, staged

_OVER_S = -1.0  # what is kept so long is over when it begins


class Redoing:
    # -- cancel --------------------------------------------------------------------------------------------

    @staged
    async def test_cancelling_ends_all_that_has_not_ended_and_names_what_was_sent(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        sketch = Sketch()
        first, second = sketch.task(), sketch.task()
        join = sketch.join(first, second)
        sketch.task(guards=[join])
        new = sketch.new(sketch.task(join))
        ready = await backend.workflows.start(new, ELSEWHERE)
        await backend.workflows.published(members_of(ready[:1]))
        await step(backend, ending(new, first, b"1"))
        assert sorted(await other.workflows.cancel(sketch.id)) == [node_id(sketch.id, second)]
        assert await states(backend, sketch.id) == [NodeState.SUCCESS, *[NodeState.REVOKED] * 4]
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert (status.state, status.active) == (WorkflowState.REVOKED, 0)
        assert status.finished_at_s is not None
        records = await backend.read([node_id(sketch.id, number) for number in range(1, 5)])
        assert [each and each.state for each in records] == [State.REVOKED] * 4
        assert sent(await backend.workflows.unpublished(1e12, 9)) == []
        assert await play(backend, ending(new, second), failed(new, second)) == [[], []]
        assert await states(backend, sketch.id) == [NodeState.SUCCESS, *[NodeState.REVOKED] * 4]

    @staged
    async def test_cancelling_wakes_who_waits_for_the_end(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2)
        await begin(backend, new)
        watch = (await stage.backend()).watch()
        await watch.add([f"{new.workflow.id}.1"])
        await backend.workflows.cancel(new.workflow.id)
        assert list(await watch.changed(30)) == [f"{new.workflow.id}.1"]
        await watch.close()

    @staged
    async def test_cancelling_what_has_ended_changes_nothing(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(1)
        await begin(backend, new)
        await step(backend, ending(new, 0, b"1"))
        before = await backend.workflows.statuses([new.workflow.id])
        assert list(await backend.workflows.cancel(new.workflow.id)) == []
        assert list(await backend.workflows.cancel(new.workflow.id)) == []
        assert await backend.workflows.statuses([new.workflow.id]) == before

    # -- rerun ---------------------------------------------------------------------------------------------

    @staged
    async def test_what_failed_runs_again_with_all_that_comes_after_and_what_had_succeeded_is_kept(
        self, stage: Stage
    ) -> None:
        backend, other = await stage.backend(), await stage.backend()
        sketch = Sketch()
        kept, failing = sketch.task(), sketch.task()
        join = sketch.join(kept, failing)
        body = sketch.task(join)
        new = sketch.new(body)
        await begin(backend, new)
        assert await play(backend, ending(new, kept, b"1"), failed(new, failing)) == [[], []]
        ready = await other.workflows.rerun(sketch.id, None, ELSEWHERE)
        assert members_of(ready) == [Member(sketch.id, failing, 1, feeds=True)]
        assert await states(backend, sketch.id) == [
            NodeState.SUCCESS, NodeState.READY, NodeState.WAITING, NodeState.WAITING,
        ]  # fmt: skip
        again = await backend.read([node_id(sketch.id, number) for number in (kept, failing, join, body)])
        assert [each and each.state for each in again] == [State.SUCCESS, None, None, None]
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert (status.state, status.active, status.finished_at_s) == (WorkflowState.RUNNING, 1, None)
        await backend.workflows.published(members_of(ready))
        assert await play(backend, failed(new, failing), ending(new, failing, b"old")) == [[], []]
        assert await step(backend, ending(new, failing, b"2", run=1)) == [body]
        given = Listed((Encoded(b"1", "json"), Encoded(b"2", "json")))
        assert list(await backend.workflows.inputs([Member(sketch.id, body, 1)])) == [given]
        assert await play(backend, ending(new, body, b"no"), ending(new, body, b"3", run=1)) == [[], []]
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert (status.state, status.active) == (WorkflowState.SUCCESS, 0)

    @staged
    async def test_a_finished_workflow_runs_again_from_any_node(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(4)
        await begin(backend, new)
        await play(backend, *[ending(new, number, b"%d" % number) for number in range(4)])
        for run in (1, 2):
            assert sent(await backend.workflows.rerun(new.workflow.id, [2], ELSEWHERE)) == [2]
            views = await backend.workflows.nodes(new.workflow.id)
            assert [(each.standing.run, each.value) for each in views] == [(0, b"0"), (0, b"1"), (run, None), (run, None)]
            assert await play(backend, ending(new, 2, b"7", run=run), ending(new, 3, b"8", run=run)) == [[3], []]
        assert await backend.workflows.value(new.workflow.id, 3) == Encoded(b"8", "json")

    @staged
    async def test_a_hook_answers_the_failure_of_each_run_once(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        hook = sketch.task(guards=[sketch.task()])
        new = sketch.new(0)
        await begin(backend, new)
        assert await play(backend, failed(new, 0), failed(new, hook)) == [[hook], []]
        ready = await backend.workflows.rerun(sketch.id, None, ELSEWHERE)
        assert sent(ready) == [0]
        await backend.workflows.published(members_of(ready))
        assert (await standing(backend, sketch.id, hook)).state is NodeState.WAITING
        assert await play(backend, failed(new, 0), failed(new, 0, run=1), failed(new, 0, run=1)) == [[], [hook], []]
        assert list(await backend.workflows.inputs([Member(sketch.id, hook, 1)])) == [failure_of(node_id(sketch.id, 0))]
        assert await step(backend, ending(new, hook, run=1)) == []
        assert sent(await backend.workflows.rerun(sketch.id, [hook], ELSEWHERE)) == [hook]
        assert list(await backend.workflows.inputs([Member(sketch.id, hook, 2)])) == [failure_of(node_id(sketch.id, 0))]

    @staged
    async def test_what_was_cancelled_runs_again_without_the_hooks_of_what_has_not_failed(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task()
        second = sketch.task(first)
        hook = sketch.task(guards=[first, second])
        sketch.task(hook)
        new = sketch.new(second)
        await begin(backend, new)
        await step(backend, ending(new, first, b"1"))
        await backend.workflows.cancel(sketch.id)
        ready = await backend.workflows.rerun(sketch.id, None, ELSEWHERE)
        assert sent(ready) == [second]
        assert await states(backend, sketch.id) == [
            NodeState.SUCCESS, NodeState.READY, NodeState.WAITING, NodeState.WAITING,
        ]  # fmt: skip
        await backend.workflows.published(members_of(ready))
        assert await play(backend, failed(new, second), failed(new, second, run=1)) == [[], [hook]]

    @staged
    async def test_running_again_is_refused_where_it_makes_no_sense(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(3)
        workflow = new.workflow.id
        await begin(backend, new)
        with pytest.raises(WorkflowError, match="waits or runs"):
            await backend.workflows.rerun(workflow, [0], ELSEWHERE)
        with pytest.raises(WorkflowError, match="no node 7"):
            await backend.workflows.rerun(workflow, [7], ELSEWHERE)
        await step(backend, ending(new, 0, b"0"))
        with pytest.raises(WorkflowError, match="nothing in it has failed"):
            await backend.workflows.rerun(workflow, None, ELSEWHERE)
        await step(backend, failed(new, 1))
        before = await backend.workflows.nodes(workflow)
        with pytest.raises(WorkflowError, match=r"needs node 1 .* which is failure"):
            await backend.workflows.rerun(workflow, [2], ELSEWHERE)
        assert await backend.workflows.nodes(workflow) == before

    @staged
    async def test_a_task_that_was_replaced_runs_again_by_its_replacement_or_anew(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2)
        workflow = new.workflow.id
        await begin(backend, new)
        inner = Sketch(workflow)
        inner.task(inner.task())
        assert await play(
            backend, ending(new, 0, replaced_by=inner.graph(1)), ending(new, 2, b"2"), failed(new, 3)
        ) == [[2], [3], []]  # fmt: skip
        assert sent(await backend.workflows.rerun(workflow, None, ELSEWHERE)) == [3]
        assert await play(backend, ending(new, 3, b"3", run=1), ending(new, 1, b"1", run=1)) == [[1], []]
        assert await backend.workflows.value(workflow, 0) == Encoded(b"3", "json")
        (view,) = await backend.workflows.nodes(workflow, [0])
        assert sent(await backend.workflows.rerun(workflow, [0], ELSEWHERE)) == [0]
        again = view.standing.run + 1
        assert await step(backend, ending(new, 0, b"own", run=again)) == [1]
        assert list(await backend.workflows.inputs([Member(workflow, 1, 2)])) == [Encoded(b"own", "json")]

    @staged
    async def test_what_still_runs_in_the_place_of_a_task_keeps_it_from_running_again(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2)
        workflow = new.workflow.id
        await begin(backend, new)
        inner = Sketch(workflow)
        assert await play(backend, ending(new, 0, b"0"), ending(new, 1, replaced_by=inner.graph(inner.task()))) == [
            [1],
            [2],
        ]
        with pytest.raises(WorkflowError, match="waits or runs"):
            await backend.workflows.rerun(workflow, [0], ELSEWHERE)

    # -- forget and expire ---------------------------------------------------------------------------------

    @staged
    async def test_only_workflows_at_rest_are_forgotten(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        done, running = sketch.new(sketch.join(sketch.task())), chain(2)
        await begin(backend, done)
        await begin(backend, running)
        await step(backend, ending(done, 0, b"1"))
        names = [done.workflow.id, running.workflow.id, "unknown"]
        assert await backend.workflows.forget(names) == 1
        assert [each is None for each in await backend.workflows.statuses(names)] == [True, False, True]
        assert list(await backend.workflows.nodes(names[0])) == []
        assert list(await backend.workflows.inputs([Member(names[0], 0)])) == [Outdated()]
        assert len(await backend.workflows.nodes(names[1])) == 2
        assert [each.workflow.id for each in await backend.workflows.latest(10)] == [names[1]]
        assert await backend.workflows.forget([]) == 0

    @staged
    async def test_a_workflow_expires_once_it_is_at_rest(self, stage: Stage) -> None:
        backend = await stage.backend()
        over, kept, for_ever = chain(1, keep_s=_OVER_S), chain(1, keep_s=3600.0), chain(1)
        flows = [over, kept, for_ever]
        names = [new.workflow.id for new in flows]
        for new in flows:
            await begin(backend, new)
        await backend.expire(1000)
        assert None not in await backend.workflows.statuses(names)
        moment_s = time.time()
        await step(backend, *[ending(new, 0, b"1") for new in flows])
        _, second, third = await backend.workflows.statuses(names)
        assert second is not None
        assert third is not None
        assert second.expires_at_s == pytest.approx(moment_s + 3600.0, abs=10)
        assert third.expires_at_s is None
        await backend.expire(1000)
        assert [each is None for each in await backend.workflows.statuses(names)] == [True, False, False]
        assert list(await backend.workflows.nodes(names[0])) == []

    @staged
    async def test_what_runs_again_does_not_expire(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(1, keep_s=_OVER_S)
        await begin(backend, new)
        await step(backend, failed(new, 0))
        assert sent(await backend.workflows.rerun(new.workflow.id, None, ELSEWHERE)) == [0]
        await backend.expire(1000)
        (status,) = await backend.workflows.statuses([new.workflow.id])
        assert status is not None
        assert (status.state, status.expires_at_s) == (WorkflowState.RUNNING, None)

    @staged
    async def test_a_cancelled_workflow_expires(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2, keep_s=_OVER_S)
        await begin(backend, new)
        await backend.workflows.cancel(new.workflow.id)
        await backend.expire(1000)
        assert list(await backend.workflows.statuses([new.workflow.id])) == [None]

    # -- lead ----------------------------------------------------------------------------------------------

    @staged
    async def test_one_leads_a_role_and_renews_its_lease(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        assert await backend.lead("repair", "one", 600.0) is True
        assert await other.lead("repair", "two", 600.0) is False
        assert await other.lead("schedule", "two", 600.0) is True
        assert await backend.lead("repair", "one", 600.0) is True
        assert await backend.lead("schedule", "one", 600.0) is False

    @staged
    async def test_who_does_not_renew_leads_no_more(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        begun = time.monotonic()
        assert await backend.lead("repair", "one", 0.3) is True
        while not await other.lead("repair", "two", 600.0):
            assert time.monotonic() - begun < PATIENCE_S
        assert time.monotonic() - begun > 0.25
        assert await backend.lead("repair", "one", 600.0) is False

    @staged
    async def test_a_renewed_lease_may_be_given_up_early(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        assert await backend.lead("repair", "one", 600.0) is True
        assert await backend.lead("repair", "one", 0.05) is True
        begun = time.monotonic()
        while not await other.lead("repair", "two", 600.0):
            assert time.monotonic() - begun < PATIENCE_S

    @staged
    async def test_of_many_who_ask_at_once_one_leads(self, stage: Stage) -> None:
        backends = [await stage.backend() for _ in range(6)]

        async def ask(number: int) -> bool:
            return await backends[number].lead("repair", str(number), 600.0)

        asking = [stage.beside(lambda number=number: ask(number)) for number in range(6)]  # type: ignore[misc]
        assert sum([await each.outcome() for each in asking]) == 1
