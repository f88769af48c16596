"""What is done with the dead letters of tasks that belong to a workflow."""

from __future__ import annotations

import pytest

from faena.cli.dead_members import Sorted, sort
from faena.model.delivery import DeadLetter, DeadReason
from faena.model.message import Member, Message
from faena.model.workflow import Links, NodeState, NodeView, Standing


def letter(member=None):
    message = Message("id", "t", "default", b"", member=member)
    return DeadLetter(1, "default", DeadReason.FAILED, "", 0.0, 1, 0, message)


def node(state, run=0):
    return {("w", 3): NodeView(3, "id", "t", Links(), Standing(state, 0, run))}


def test_a_task_of_no_workflow_goes_back_as_it_is():
    assert sort([letter()], {}) == Sorted(plain=["id"])


@pytest.mark.parametrize("state", [NodeState.FAILURE, NodeState.REVOKED, NodeState.SKIPPED, NodeState.TOLERATED])
def test_where_the_task_has_ended_its_workflow_runs_again(state):
    assert sort([letter(Member("w", 3))], node(state)) == Sorted(again={"w": {3: "id"}})


def test_where_the_task_has_not_ended_for_its_workflow_it_goes_back():
    assert sort([letter(Member("w", 3))], node(NodeState.SENT)) == Sorted(plain=["id"])


@pytest.mark.parametrize(("state", "run"), [(NodeState.SUCCESS, 0), (NodeState.FAILURE, 1), (NodeState.SENT, 1)])
def test_a_letter_of_an_earlier_run_has_nothing_to_say(state, run):
    assert sort([letter(Member("w", 3))], node(state, run)) == Sorted(stale=["id"])


def test_of_a_workflow_that_is_not_known_any_more_nothing_can_run():
    assert sort([letter(Member("w", 3))], {}) == Sorted(lost=[("id", "w")])
