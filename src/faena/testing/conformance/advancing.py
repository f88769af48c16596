"""Conformance of a backend: events of workflows are taken once, with their results, whatever their order."""

from __future__ import annotations

from msgspec.structs import replace

from faena.backend import NewWorkflow
from faena.model.inputs import Encoded, Listed, Nothing, Raised
from faena.model.message import Member
from faena.model.result import Failure, State
from faena.model.workflow import Graph, NodeState, Policy, WorkflowState, node_id, placed
from faena.testing.conformance.recording import record
from faena.testing.conformance.sketch import (
    BOOM,
    ELSEWHERE,
    Sketch,
    as_drawn,
    begin,
    chain,
    ending,
    failed,
    failure_of,
    play,
    result_of,
    sent,
    standing,
    states,
    step,
)
from faena.testing.conformance.stage import SOON_S, Stage, staged


class Advancing:
    @staged
    async def test_an_event_keeps_its_result_and_hands_out_what_comes_next(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        new = chain(3)
        await begin(backend, new)
        event = ending(new, 0, b"3", started_at_s=5.0, finished_at_s=6.5)
        ready = await other.workflows.advance([result_of(event)], [event])
        assert as_drawn(ready) == [new.graph.nodes[1].message]
        assert list(await backend.read([f"{new.workflow.id}.0"])) == [result_of(event)]
        first, second, third = await backend.workflows.nodes(new.workflow.id)
        assert (first.standing.state, first.value, first.content) == (NodeState.SUCCESS, b"3", "json")
        assert (first.started_at_s, first.finished_at_s, first.failure) == (5.0, 6.5, None)
        assert (second.standing.state, second.standing.waits) == (NodeState.READY, 0)
        assert (third.standing.state, third.standing.waits) == (NodeState.WAITING, 1)
        assert list(await backend.workflows.inputs([Member(new.workflow.id, 1)])) == [Encoded(b"3", "json")]

    @staged
    async def test_a_chain_ends_with_its_last_step(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(3)
        await begin(backend, new)
        assert await play(backend, *[ending(new, number, b"%d" % number) for number in range(3)]) == [[1], [2], []]
        (status,) = await backend.workflows.statuses([new.workflow.id])
        assert status is not None
        assert (status.state, status.active) == (WorkflowState.SUCCESS, 0)
        assert status.finished_at_s is not None
        assert await backend.workflows.value(new.workflow.id, 2) == Encoded(b"2", "json")

    @staged
    async def test_a_repeated_event_hands_out_again_what_nobody_has_published_and_then_nothing(self, stage: Stage) -> None:
        """The crash fell between the step and the publishing: the message comes again and finds its work done."""
        backend = await stage.backend()
        new = chain(3)
        await begin(backend, new)
        event = ending(new, 0, b"1")
        for _ in range(2):
            assert sent(await backend.workflows.advance([result_of(event)], [event])) == [1]
        await backend.workflows.published([Member(new.workflow.id, 1)])
        before = await backend.workflows.nodes(new.workflow.id)
        late = [event, failed(new, 0), ending(new, 0, b"other"), ending(new, 0, None, NodeState.REVOKED)]
        for again in late:
            assert sent(await backend.workflows.advance([], [again])) == []
        assert await backend.workflows.nodes(new.workflow.id) == before
        (status,) = await backend.workflows.statuses([new.workflow.id])
        assert status is not None
        assert status.active == 1

    @staged
    async def test_what_another_step_has_made_ready_is_left_to_who_took_that_step(self, stage: Stage) -> None:
        """Else every step of parallel branches would publish those of all others once more."""
        backend, other = await stage.backend(), await stage.backend()
        sketch = Sketch()
        firsts = [sketch.task() for _ in range(3)]
        seconds = [sketch.task(first) for first in firsts]
        new = sketch.new(sketch.join(*seconds))
        await begin(backend, new)
        assert sent(await backend.workflows.advance([], [ending(new, 0, b"0")])) == [3]
        assert sent(await other.workflows.advance([], [ending(new, 1, b"1")])) == [4]
        again = await other.workflows.advance([], [ending(new, 0, b"0"), ending(new, 2, b"2")])
        assert sorted(sent(again)) == [3, 4, 5]

    @staged
    async def test_a_group_counts_each_member_once_in_any_order(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        members = [sketch.task() for _ in range(4)]
        new = sketch.new(sketch.task(sketch.join(*members)))
        await begin(backend, new)
        events = [ending(new, number, b"%d" % number) for number in members]
        assert await play(backend, *[events[at] for at in (3, 3, 0, 0, 3, 2)]) == [[]] * 6
        assert (await standing(backend, sketch.id, 4)).waits == 1
        assert await play(backend, events[2], events[1], events[1]) == [[], [5], []]
        given = Listed(tuple(Encoded(b"%d" % number, "json") for number in members))
        assert list(await backend.workflows.inputs([Member(sketch.id, 5)])) == [given]
        assert await backend.workflows.value(sketch.id, 4) == given

    @staged
    async def test_a_batch_with_every_member_twice_ends_a_group_once(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        members = [sketch.task() for _ in range(50)]
        new = sketch.new(sketch.task(sketch.join(*members)))
        await begin(backend, new)
        events = [ending(new, number, b"1") for number in members]
        assert await step(backend, *events[:49], *events[::-1]) == [51]
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert status.active == 1

    @staged
    async def test_a_node_that_is_needed_twice_by_way_of_two_others_is_passed_to_both(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        top = sketch.task()
        left, right = sketch.task(top), sketch.task(top)
        new = sketch.new(sketch.task(sketch.join(left, right)))
        assert await begin(backend, new) == [0]
        assert await play(backend, ending(new, 0), ending(new, 2, b"2"), ending(new, 1, b"1")) == [[1, 2], [], [4]]
        given = Listed((Encoded(b"1", "json"), Encoded(b"2", "json")))
        assert list(await backend.workflows.inputs([Member(sketch.id, 4)])) == [given]

    @staged
    async def test_a_failure_ends_what_needs_it_and_lets_its_hooks_begin_once(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task()
        second, hook = sketch.task(first), sketch.task(guards=[first])
        after_hook = sketch.task(hook)
        new = sketch.new(second)
        await begin(backend, new)
        event = failed(new, first)
        assert await play(backend, event, event) == [[hook], []]
        expected = [NodeState.FAILURE, NodeState.ABANDONED, NodeState.SENT, NodeState.WAITING]
        assert await states(backend, sketch.id) == expected
        members = [Member(sketch.id, hook)]
        assert list(await backend.workflows.inputs(members)) == [failure_of(node_id(sketch.id, first))]
        (abandoned,) = await backend.read([node_id(sketch.id, second)])
        assert abandoned is not None
        assert (abandoned.state, abandoned.failure, abandoned.content) == (State.FAILURE, BOOM, "json")
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert (status.state, status.active) == (WorkflowState.FAILURE, 1)
        assert await play(backend, ending(new, hook, b"1"), ending(new, after_hook, b"2")) == [[after_hook], []]
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert (status.state, status.active) == (WorkflowState.FAILURE, 0)

    @staged
    async def test_hooks_of_what_succeeds_never_begin(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task()
        sketch.task(guards=[first])
        new = sketch.new(first)
        await begin(backend, new)
        assert await play(backend, ending(new, first), failed(new, first), ending(new, 1)) == [[], [], []]
        assert await states(backend, sketch.id) == [NodeState.SUCCESS, NodeState.WAITING]

    @staged
    async def test_a_member_that_fails_ends_its_group_at_once_and_what_comes_after_with_an_error_of_its_own(
        self, stage: Stage
    ) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        members = [sketch.task() for _ in range(3)]
        join = sketch.join(*members)
        body = sketch.task(join)
        hook = sketch.task(guards=[join])
        new = sketch.new(body)
        await begin(backend, new)
        assert await step(backend, failed(new, 1)) == [hook]
        expected = [NodeState.SENT, NodeState.FAILURE, NodeState.SENT, NodeState.ABANDONED, NodeState.ABANDONED]
        assert (await states(backend, sketch.id))[:5] == expected
        of_group, of_body = await backend.read([node_id(sketch.id, join), node_id(sketch.id, body)])
        assert of_group is not None
        assert of_body is not None
        assert of_group.failure == BOOM
        assert of_body.failure is not None
        assert of_body.failure.type_name == "ChordError"
        assert f"{sketch.id}.1" in of_body.failure.message
        assert "ValueError('boom')" in of_body.failure.message
        assert await play(backend, failed(new, 0), ending(new, 2, b"1")) == [[], []]
        assert (await states(backend, sketch.id))[0] is NodeState.FAILURE
        assert await states(backend, sketch.id) == [
            NodeState.FAILURE, NodeState.FAILURE, NodeState.SUCCESS, NodeState.ABANDONED, NodeState.ABANDONED,
            NodeState.SENT,
        ]  # fmt: skip

    @staged
    async def test_what_is_skipped_is_left_out_and_what_is_tolerated_is_passed_on(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task()
        skipped = sketch.task(first, policy=Policy.SKIP, fallback=first)
        tolerated = sketch.task(first, policy=Policy.CONTINUE)
        alone = sketch.task(policy=Policy.SKIP)
        kept = sketch.task(first)
        shortened = sketch.task(kept, policy=Policy.SKIP, fallback=kept)
        join = sketch.join(skipped, tolerated, alone, shortened, fallback=first)
        body, hook = sketch.task(join), sketch.task(guards=[skipped, tolerated])
        after_skipped, after_alone = sketch.task(skipped), sketch.task(alone)
        new = sketch.new(body)
        await begin(backend, new)
        assert await play(backend, ending(new, first, b"7"), failed(new, skipped)) == [
            [skipped, tolerated, kept],
            [hook, after_skipped],
        ]
        assert await play(backend, failed(new, tolerated), failed(new, alone)) == [[], [after_alone]]
        assert await play(backend, ending(new, kept, b"5"), failed(new, shortened)) == [[shortened], [body]]
        assert (await states(backend, sketch.id))[:7] == [
            NodeState.SUCCESS, NodeState.SKIPPED, NodeState.TOLERATED, NodeState.SKIPPED, NodeState.SUCCESS,
            NodeState.SKIPPED, NodeState.SUCCESS,
        ]  # fmt: skip
        asked = [Member(sketch.id, number) for number in (body, after_skipped, after_alone)]
        assert list(await backend.workflows.inputs(asked)) == [
            Listed((Raised(BOOM, "json"), Encoded(b"5", "json"))),
            Encoded(b"7", "json"),
            Nothing(),
        ]
        assert await step(backend, ending(new, body, b"8")) == []
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert status.state is WorkflowState.SUCCESS

    @staged
    async def test_a_part_that_never_began_answers_for_no_failure(self, stage: Stage) -> None:
        """The policy and the hooks of a chain or group are for what fails in it, not before it."""
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task()
        inside = sketch.task(first)
        group = sketch.join(inside, policy=Policy.CONTINUE, fallback=first)
        gate = sketch.gate(sketch.task(group), policy=Policy.SKIP, fallback=group)
        sketch.task(guards=[group, gate])
        new = sketch.new(sketch.task(gate))
        await begin(backend, new)
        assert await step(backend, failed(new, first)) == []
        abandoned = [NodeState.ABANDONED] * 4
        expected = [NodeState.FAILURE, *abandoned, NodeState.WAITING, NodeState.ABANDONED]
        assert await states(backend, sketch.id) == expected

    @staged
    async def test_a_revoked_node_ends_what_needs_it_and_lets_no_hook_begin(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task()
        second = sketch.task(first)
        sketch.task(guards=[first])
        new = sketch.new(second)
        await begin(backend, new)
        gone = Failure("faena.errors", "TaskRevokedError", "it was revoked")
        assert await step(backend, ending(new, first, None, NodeState.REVOKED, failure=gone)) == []
        assert await states(backend, sketch.id) == [NodeState.REVOKED, NodeState.ABANDONED, NodeState.WAITING]
        (status,) = await backend.workflows.statuses([sketch.id])
        assert status is not None
        assert (status.state, status.active) == (WorkflowState.FAILURE, 0)

    @staged
    async def test_events_of_what_is_not_there_are_no_news_and_their_results_are_kept(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2)
        await begin(backend, new)
        before = await backend.workflows.nodes(new.workflow.id)
        strangers = [ending("unknown", 0), ending(new, 9), ending(new, 0, run=1), ending(new, 1, b"too early")]
        for event in strangers:
            assert sent(await backend.workflows.advance([record(f"of {event.node} {event.run}")], [event])) == []
        assert await backend.workflows.nodes(new.workflow.id) == before
        assert list(await backend.read(["of 9 0", "of 0 1"])) == [record("of 9 0"), record("of 0 1")]
        assert sent(await backend.workflows.advance([], [])) == []

    @staged
    async def test_an_event_is_taken_also_where_its_result_was_decided_before(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2)
        await begin(backend, new)
        decided = record(f"{new.workflow.id}.0", "REVOKED")
        await backend.record([decided])
        assert await step(backend, ending(new, 0, b"3")) == [1]
        assert list(await backend.read([decided.id])) == [decided]

    @staged
    async def test_an_event_wakes_who_waits_for_what_ends_with_it(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        sketch = Sketch()
        new = sketch.new(sketch.join(sketch.task()))
        await begin(backend, new)
        watch = other.watch()
        await watch.add([f"{sketch.id}.1"])
        waiting = stage.beside(lambda: watch.changed(30))
        await stage.turn()
        await step(backend, ending(new, 0, b"1"))
        assert list(await waiting.outcome(SOON_S)) == [f"{sketch.id}.1"]
        await watch.close()

    @staged
    async def test_a_workflow_begins_in_the_step_of_the_task_that_it_goes_on_for(self, stage: Stage) -> None:
        """Node 0 is the task itself; what stands in for it from the beginning decides how it ends."""
        backend = await stage.backend()
        sketch = Sketch()
        inner = Sketch(sketch.id)
        stand_in = placed(inner.graph(inner.task()), 1, sketch.id, (0,))
        sketch.task(task_id="the-task")
        (own,) = sketch.graph(0).nodes
        own = replace(own, needs=(1,), alias=1)
        new = NewWorkflow(sketch.new(0).workflow, Graph((own, *stand_in.nodes), 0))
        assert sent(await backend.workflows.advance([], [], [new])) == [1]
        assert sent(await backend.workflows.advance([], [], [new])) == [1]
        await backend.workflows.published([Member(sketch.id, 1)])
        assert sent(await backend.workflows.advance([], [], [new])) == []
        assert await step(backend, ending(new, 1, b"5")) == []
        assert await states(backend, sketch.id) == [NodeState.SUCCESS, NodeState.SUCCESS]
        assert await backend.workflows.value(sketch.id, 0) == Encoded(b"5", "json")
        (kept,) = await backend.read(["the-task"])
        assert kept is not None
        assert kept.state == State.SUCCESS

    @staged
    async def test_what_replaces_a_task_runs_and_ends_in_its_place(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2)
        await begin(backend, new)
        workflow = new.workflow.id
        inner = Sketch(workflow)
        join = inner.join(inner.task(), inner.task())
        event = ending(new, 0, replaced_by=inner.graph(join))
        ready = await backend.workflows.advance([], [event])
        assert [(each.id, each.member) for each in ready] == [
            (f"{workflow}.2", Member(workflow, 2, 0, feeds=True)),
            (f"{workflow}.3", Member(workflow, 3, 0, feeds=True)),
        ]
        await backend.workflows.published([Member(workflow, 2), Member(workflow, 3)])
        assert await step(backend, event) == []
        (status,) = await backend.workflows.statuses([workflow])
        assert status is not None
        assert (status.size, status.active) == (5, 2)
        assert (await standing(backend, workflow, 0)).state is NodeState.WAITING
        assert await play(backend, ending(new, 0, b"late"), ending(new, 3, b"3"), ending(new, 2, b"2")) == [[], [], [1]]
        given = Listed((Encoded(b"2", "json"), Encoded(b"3", "json")))
        assert list(await backend.workflows.inputs([Member(workflow, 1)])) == [given]
        assert await backend.workflows.value(workflow, 0) == given
        assert await step(backend, ending(new, 1, b"1")) == []
        (status,) = await backend.workflows.statuses([workflow])
        assert status is not None
        assert (status.state, status.active) == (WorkflowState.SUCCESS, 0)

    @staged
    async def test_where_the_replacement_fails_the_task_has_failed(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task()
        second, hook = sketch.task(first), sketch.task(guards=[first])
        new = sketch.new(second)
        await begin(backend, new)
        inner = Sketch(sketch.id)
        assert await step(backend, ending(new, first, replaced_by=inner.graph(inner.task()))) == [3]
        assert await step(backend, failed(new, 3)) == [hook]
        assert (await states(backend, sketch.id))[:2] == [NodeState.FAILURE, NodeState.ABANDONED]
        of_first, of_second = await backend.read([node_id(sketch.id, first), node_id(sketch.id, second)])
        assert of_first is not None
        assert of_second is not None
        assert (of_first.state, of_first.failure, of_second.failure) == (State.FAILURE, BOOM, BOOM)
        assert list(await backend.workflows.inputs([Member(sketch.id, hook)])) == [failure_of(node_id(sketch.id, 3))]

    @staged
    async def test_a_group_grows_by_what_its_members_add_once(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        members = [sketch.task(), sketch.task()]
        join = sketch.join(*members)
        new = sketch.new(sketch.task(join))
        await begin(backend, new)
        more = [Sketch(sketch.id), Sketch(sketch.id)]
        one = more[0].graph(more[0].task())
        two = more[1].graph(more[1].task(more[1].task()))
        event = ending(new, 0, b"0", added=(one, two))
        assert await step(backend, event) == [4, 5]
        assert await step(backend, event) == []
        (view,) = await backend.workflows.nodes(sketch.id, [join])
        assert (view.needs, view.standing.waits) == ((0, 1, 4, 6), 3)
        assert await play(backend, *[ending(new, number, b"%d" % number) for number in (1, 4, 5, 6)]) == [
            [], [], [6], [3],
        ]  # fmt: skip
        given = Listed(tuple(Encoded(b"%d" % number, "json") for number in (0, 1, 4, 6)))
        assert list(await backend.workflows.inputs([Member(sketch.id, 3)])) == [given]

    @staged
    async def test_what_is_added_outside_a_group_runs_beside(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2)
        await begin(backend, new)
        more = Sketch(new.workflow.id)
        assert await step(backend, ending(new, 0, b"0", added=(more.graph(more.task()),))) == [1, 2]
        assert await play(backend, ending(new, 2), ending(new, 1)) == [[], []]
        (status,) = await backend.workflows.statuses([new.workflow.id])
        assert status is not None
        assert (status.state, status.active, status.size) == (WorkflowState.SUCCESS, 0, 3)

    @staged
    async def test_steps_from_two_connections_at_once_are_all_taken(self, stage: Stage) -> None:
        backends = [await stage.backend() for _ in range(4)]
        sketch = Sketch()
        members = [sketch.task() for _ in range(80)]
        new = sketch.new(sketch.task(sketch.join(*members)))
        await begin(backends[0], new)

        async def work(number: int) -> list[int]:
            begun: list[int] = []
            for member in (*members[number::4], *members[number::4]):
                begun += await step(backends[number], ending(new, member, b"1"))
                await stage.turn()
            return begun

        working = [stage.beside(lambda number=number: work(number)) for number in range(4)]  # type: ignore[misc]
        begun = {number for each in working for number in await each.outcome()}
        assert begun == {81}  # more than one may hand it out until somebody has noted it; the broker takes it once
        assert (await states(backends[0], sketch.id)) == [NodeState.SUCCESS] * 81 + [NodeState.SENT]

    @staged
    async def test_a_workflow_that_was_forgotten_takes_no_events(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(1)
        await begin(backend, new)
        await step(backend, ending(new, 0))
        assert await backend.workflows.forget([new.workflow.id]) == 1
        assert sent(await backend.workflows.advance([], [ending(new, 0)])) == []
        assert list(await backend.workflows.statuses([new.workflow.id])) == [None]
        assert sent(await backend.workflows.start(new, ELSEWHERE)) == [0]
