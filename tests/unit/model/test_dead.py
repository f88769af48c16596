"""What is done with the dead letters of tasks that belong to a workflow."""

from __future__ import annotations

import pytest

from faena.model.dead import Sorted, Wanted, grouped, sort
from faena.model.delivery import DeadLetter, DeadReason
from faena.model.message import Member, Message, PastAttempt
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


def dead(task_id, task="shop.pay", fingerprint="", queue="default", reason=DeadReason.FAILED, at_s=0.0):
    history = (PastAttempt(at_s, "w", f"error of {task_id}", fingerprint),) if fingerprint else ()
    message = Message(task_id, task, queue, b"", history=history)
    return DeadLetter(task_id, queue, reason, f"detail of {task_id}", at_s, 1, 0, message)


MALFORMED = DeadLetter(9, "default", DeadReason.MALFORMED, "no message", 5.0, 1, 0, None, b"raw")


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(), True),
        (Wanted(ids=frozenset({"1", "2"})), True),
        (Wanted(ids=frozenset({"2"})), False),
        (Wanted(queue="mail"), True),
        (Wanted(queue="other"), False),
        (Wanted(task="shop.*"), True),
        (Wanted(task="shop.pay"), True),
        (Wanted(task="shop"), False),
        (Wanted(reason=DeadReason.FAILED), True),
        (Wanted(reason=DeadReason.CRASHED), False),
        (Wanted(fingerprint="abc"), True),
        (Wanted(fingerprint="bc"), False),
        (Wanted(before_s=11.0), True),
        (Wanted(before_s=10.0), False),
        (Wanted(queue="mail", task="shop.*", reason=DeadReason.FAILED, fingerprint="ab", before_s=99.0), True),
        (Wanted(queue="mail", task="other.*"), False),
    ],
)
def test_a_letter_is_meant_if_all_that_is_said_is_true_of_it(wanted, fits):
    assert wanted.fits(dead("1", fingerprint="abcdef", queue="mail", at_s=10.0)) is fits


def test_what_is_no_message_has_neither_id_nor_task():
    assert Wanted(reason=DeadReason.MALFORMED).fits(MALFORMED)
    assert not Wanted(ids=frozenset({"9"})).fits(MALFORMED)
    assert not Wanted(task="*").fits(MALFORMED)


def test_letters_are_grouped_by_what_they_died_of_the_most_frequent_first():
    letters = [
        dead("1", fingerprint="aa", at_s=1.0),
        dead("2", fingerprint="bb", at_s=2.0),
        dead("3", fingerprint="bb", at_s=4.0),
        dead("4", fingerprint="bb", task="shop.refund", at_s=9.0),
        dead("5", reason=DeadReason.CRASHED, at_s=3.0),
        MALFORMED,
    ]
    assert [(each.fingerprint, each.task, each.count, each.example) for each in grouped(letters)] == [
        ("bb", "shop.pay", 2, "3"),
        ("bb", "shop.refund", 1, "4"),
        ("malformed", "", 1, ""),
        ("crashed", "shop.pay", 1, "5"),
        ("aa", "shop.pay", 1, "1"),
    ]
    first = grouped(letters)[0]
    assert (first.first_s, first.last_s, first.error) == (2.0, 4.0, "error of 3")
