"""Conformance of a backend: the states of a workflow, for those who follow it."""

from __future__ import annotations

from faena.backend import NewWorkflow
from faena.model.message import Member, Message
from faena.model.workflow import Ending, Graph, Links, Node, NodeState, NodeStates, Takes, Workflow
from faena.testing.conformance.stage import Stage


class Following:
    def test_the_states_of_all_nodes_are_known_without_the_nodes(self, stage: Stage) -> None:
        async def play() -> None:
            workflows = (await stage.backend()).workflows
            assert await workflows.states("w") is None
            await workflows.start(NewWorkflow(Workflow("w", "group", 2, 1.0), _pair()), None)
            begun = await workflows.states("w")
            assert begun is not None
            assert begun == NodeStates((NodeState.READY, NodeState.READY, NodeState.WAITING), frozenset({2}))
            assert begun.counts() == {NodeState.READY: 2}
            await workflows.advance((), [Ending("w", 0, 0, NodeState.SUCCESS), Ending("w", 1, 0, NodeState.FAILURE)])
            ended = await workflows.states("w")
            assert ended is not None
            assert ended == NodeStates((NodeState.SUCCESS, NodeState.FAILURE, NodeState.ABANDONED), frozenset({2}))
            assert ended.counts() == {NodeState.SUCCESS: 1, NodeState.FAILURE: 1}

        stage.play(play())


def _pair() -> Graph:
    """A group of two."""
    members = [
        Node(at, f"w.{at}", "t", Links((2,)), Message(f"w.{at}", "t", "q", b"[[],{}]", member=Member("w", at)))
        for at in (0, 1)
    ]
    return Graph((*members, Node(2, "w.2", "group", Links(is_virtual=True, is_join=True), None, (0, 1), Takes.LIST)), 2)
