"""Conformance of a backend: workflows are looked at, and say what a node is given."""

from __future__ import annotations

from faena.model.inputs import Encoded, Listed, Outdated, Raised
from faena.model.message import Member
from faena.model.workflow import (
    Links,
    NodeState,
    NodeView,
    Policy,
    Standing,
    Takes,
    Timing,
    WorkflowState,
    WorkflowStatus,
)
from faena.testing.conformance.sketch import BOOM, Sketch, begin, chain, ending, failed, play, step
from faena.testing.conformance.stage import Stage, staged


class Seeing:
    @staged
    async def test_statuses_are_answered_in_the_order_asked(self, stage: Stage) -> None:
        backend = await stage.backend()
        one, two = chain(1), chain(2)
        await begin(backend, one)
        await begin(backend, two)
        running = [WorkflowStatus(new.workflow, WorkflowState.RUNNING, size, 1) for new, size in ((one, 1), (two, 2))]
        asked = [two.workflow.id, "unknown", one.workflow.id, two.workflow.id]
        assert list(await backend.workflows.statuses(asked)) == [running[1], None, running[0], running[1]]
        assert list(await backend.workflows.statuses([])) == []

    @staged
    async def test_the_latest_workflows_come_first_and_can_be_chosen_by_state(self, stage: Stage) -> None:
        backend = await stage.backend()
        flows = [chain(1) for _ in range(6)]
        for new in flows:
            await begin(backend, new)
        await step(backend, ending(flows[1], 0), failed(flows[2], 0), ending(flows[4], 0))
        await backend.workflows.cancel(flows[5].workflow.id)
        places = {new.workflow.id: at for at, new in enumerate(flows)}

        async def latest(limit: int, state: WorkflowState | None = None, offset: int = 0) -> list[int]:
            return [places[each.workflow.id] for each in await backend.workflows.latest(limit, state, offset)]

        assert await latest(10) == [5, 4, 3, 2, 1, 0]
        assert await latest(2) == [5, 4]
        assert await latest(2, None, 3) == [2, 1]
        assert await latest(10, WorkflowState.RUNNING) == [3, 0]
        assert await latest(10, WorkflowState.SUCCESS) == [4, 1]
        assert await latest(1, WorkflowState.SUCCESS, 1) == [1]
        assert await latest(10, WorkflowState.FAILURE) == [2]
        assert await latest(10, WorkflowState.REVOKED) == [5]
        assert await latest(10, None, 6) == []
        (whole,) = await backend.workflows.latest(1, WorkflowState.FAILURE)
        assert [whole] == list(await backend.workflows.statuses([flows[2].workflow.id]))

    @staged
    async def test_a_node_is_shown_with_all_that_was_compiled_and_has_become_of_it(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task(task_id="own-id")
        second = sketch.task(
            first, policy=Policy.CONTINUE, fallback=first, timing=Timing(delay_s=1.5, expires_s=2.5), takes=Takes.VALUE
        )
        hook = sketch.task(guards=[second])
        join = sketch.join(first, second, policy=Policy.SKIP, fallback=first)
        new = sketch.new(sketch.gate(join))
        await begin(backend, new)
        event = ending(new, first, b"\x00\xff", content="pickle", started_at_s=1.25, finished_at_s=2.5)
        await step(backend, event)
        await step(backend, failed(new, second, started_at_s=3.0, finished_at_s=4.0))
        views = [_without_moment(each) for each in await backend.workflows.nodes(sketch.id)]
        assert views == [
            NodeView(
                0, "own-id", "tasks.add", Links((second, join)), Standing(NodeState.SUCCESS, 0),
                value=b"\x00\xff", content="pickle", started_at_s=1.25, finished_at_s=2.5,
            ),
            NodeView(
                1, f"{sketch.id}.1", "tasks.add", Links((join,), (hook,), Policy.CONTINUE, timing=Timing(1.5, 2.5)),
                Standing(NodeState.TOLERATED, 0, cause=1), (first,), Takes.VALUE, first, content="json", failure=BOOM,
                started_at_s=3.0, finished_at_s=4.0,
            ),
            NodeView(
                2, f"{sketch.id}.2", "tasks.add", Links(), Standing(NodeState.SENT, 0, cause=1), (), Takes.FAILED,
                is_hook=True, is_aside=True,
            ),
            NodeView(
                3, f"{sketch.id}.3", "group", Links((4,), (), Policy.SKIP, is_virtual=True, is_join=True, source=0),
                Standing(NodeState.SUCCESS, 0), (first, second), Takes.LIST, first,
            ),
            NodeView(4, "", "", Links(is_virtual=True), Standing(NodeState.SUCCESS, 0), (join,), Takes.VALUE),
        ]  # fmt: skip

    @staged
    async def test_some_nodes_are_shown_by_number_and_those_that_do_not_exist_are_left_out(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(40)
        await begin(backend, new)
        workflow = new.workflow.id
        everything = await backend.workflows.nodes(workflow)
        assert [each.number for each in everything] == list(range(40))
        for numbers in ([3, 1, 99, 3], list(range(60)), []):
            expected = [each for each in everything if each.number in numbers]
            assert list(await backend.workflows.nodes(workflow, numbers)) == expected
        assert list(await backend.workflows.nodes("unknown")) == []
        assert list(await backend.workflows.nodes("unknown", [0])) == []

    @staged
    async def test_inputs_are_answered_in_the_order_asked_also_of_several_workflows(self, stage: Stage) -> None:
        backend = await stage.backend()
        one, two = chain(2), chain(2)
        await begin(backend, one)
        await begin(backend, two)
        await step(backend, ending(one, 0, b"1"), ending(two, 0, b"2", content="pickle"))
        asked = [
            Member(two.workflow.id, 1), Member("unknown", 0), Member(one.workflow.id, 1), Member(one.workflow.id, 0),
            Member(one.workflow.id, 9), Member(two.workflow.id, 1),
        ]  # fmt: skip
        assert list(await backend.workflows.inputs(asked)) == [
            Encoded(b"2", "pickle"), Outdated(), Encoded(b"1", "json"), Outdated(), Outdated(), Encoded(b"2", "pickle"),
        ]  # fmt: skip
        assert list(await backend.workflows.inputs([])) == []

    @staged
    async def test_many_inputs_are_answered_at_once_also_of_nodes_that_have_ended_meanwhile(self, stage: Stage) -> None:
        """Messages come again after a crash, some of which have done their work."""
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task()
        members = [sketch.task(first) for _ in range(100)]
        new = sketch.new(sketch.join(*members))
        await begin(backend, new)
        await step(backend, ending(new, first, b"7"))
        await step(backend, *[ending(new, number, b"8") for number in members[::2]])
        asked = [Member(sketch.id, number) for number in members]
        assert list(await backend.workflows.inputs(asked)) == [Outdated(), Encoded(b"7", "json")] * 50

    @staged
    async def test_a_value_of_none_is_a_value(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        new = sketch.new(sketch.task(sketch.join(sketch.task(), sketch.task())))
        await begin(backend, new)
        await step(backend, ending(new, 0), ending(new, 1, b"1"))
        given = Listed((Encoded(None, "json"), Encoded(b"1", "json")))
        assert list(await backend.workflows.inputs([Member(sketch.id, 3)])) == [given]

    @staged
    async def test_nested_groups_give_nested_lists(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        inner = [sketch.join(*[sketch.task() for _ in range(count)]) for count in (2, 0, 30)]
        new = sketch.new(sketch.task(sketch.join(*inner)))
        begun = await begin(backend, new)
        await play(backend, *[ending(new, number, b"%d" % number) for number in reversed(begun)])
        lists = [range(2), range(0), range(4, 34)]
        given = Listed(tuple(Listed(tuple(Encoded(b"%d" % number, "json") for number in each)) for each in lists))
        output = new.workflow.output
        assert list(await backend.workflows.inputs([Member(sketch.id, output)])) == [given]
        assert await backend.workflows.value(sketch.id, output - 1) == given

    @staged
    async def test_what_is_skipped_as_a_whole_gives_way_to_what_came_before_it(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        first = sketch.task()
        inside = sketch.task(first)
        gate = sketch.gate(inside, policy=Policy.SKIP, fallback=first)
        group = sketch.join(sketch.task(gate), policy=Policy.CONTINUE)
        new = sketch.new(sketch.task(group))
        await begin(backend, new)
        assert await play(backend, ending(new, first, b"1"), failed(new, inside)) == [[inside], [3]]
        assert list(await backend.workflows.inputs([Member(sketch.id, 3)])) == [Encoded(b"1", "json")]
        assert await backend.workflows.value(sketch.id, gate) == Encoded(b"1", "json")
        assert await play(backend, failed(new, 3)) == [[5]]
        assert list(await backend.workflows.inputs([Member(sketch.id, 5)])) == [Raised(BOOM, "json")]

    @staged
    async def test_a_value_of_a_megabyte_is_given_whole(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2)
        await begin(backend, new)
        large = bytes(range(250)) * 4000
        await step(backend, ending(new, 0, large))
        assert list(await backend.workflows.inputs([Member(new.workflow.id, 1)])) == [Encoded(large, "json")]

    @staged
    async def test_what_was_compiled_long_ago_is_read_in_steps_through_many_skipped_ones(self, stage: Stage) -> None:
        backend = await stage.backend()
        sketch = Sketch()
        sketch.task()
        for number in range(60):
            sketch.task(number, policy=Policy.SKIP, fallback=number)
        new = sketch.new(sketch.task(60))
        await begin(backend, new)
        await step(backend, ending(new, 0, b"0"))
        for number in range(1, 61):
            assert await step(backend, failed(new, number)) == [number + 1]
        assert list(await backend.workflows.inputs([Member(sketch.id, 61)])) == [Encoded(b"0", "json")]


def _without_moment(view: NodeView) -> NodeView:
    """Return a view without the moments that the backend itself notes."""
    assert view.since_s is not None
    own = view.links.is_virtual
    return NodeView(
        view.number, view.id, view.name, view.links, view.standing, view.needs, view.takes, view.fallback, view.is_hook,
        view.is_aside, view.value, view.content, view.failure, view.started_at_s, None if own else view.finished_at_s,
    )  # fmt: skip
