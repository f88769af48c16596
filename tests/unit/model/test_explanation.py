"""Why a task is not running: what is said of every state that it can be in."""

from __future__ import annotations

import pytest

from faena.model.control import Order, OrderKind, Revocation
from faena.model.delivery import DeadLetter, DeadReason, Found, Place, QueueStatus
from faena.model.explanation import Facts, Needed, NodeFacts, Why, WorkerFacts, explain
from faena.model.journal import Parked
from faena.model.limit import Obstacle, Refusal
from faena.model.message import Message
from faena.model.result import Failure, ResultRecord, State
from faena.model.workflow import NodeState, WorkflowState

NOW_S = 1_000_000.0
W1 = WorkerFacts("w1@h", ("mail", "default"), knows=True, processes=2, busy=2)
W2 = WorkerFacts("w2@h", ("default",), knows=True, processes=4)


def message(**fields):
    return Message(**{"id": "7", "task": "app.send", "queue": "mail", "body": b"", "sent_at_s": NOW_S - 60, **fields})


def record(state, **fields):
    return ResultRecord("7", "app.send", state, **fields)


def queue(**fields):
    return QueueStatus(**{"name": "mail", "waiting": 3, "delayed": 0, "held": 0, "dead": 0, "paused": False, **fields})


def said(**fields):
    """Return why, the reasons in one text, and the hints."""
    found = explain(Facts(**{"id": "7", "now_s": NOW_S, "place": "sqlite:///x.db", "workers": (W1, W2), **fields}))
    return found.why, " ".join(found.reasons), list(found.hints)


def waiting(place=Place.WAITING, at=None, *, of=None, **fields):
    return said(found=Found(place, of or message(), ahead=at), **{"queue": queue(), **fields})


def test_one_that_waits_for_its_turn_is_told_how_many_are_before_it_and_who_is_busy():
    assert waiting(at=1234) == (
        Why.WAITS_ITS_TURN,
        "It waits for its turn in queue 'mail': 1,234 are before it. "
        "One worker takes from that queue, and 2 of 2 processes run something.",
        ["what runs now: faena inspect active", "run more at once: faena control pool-grow, or start another worker"],
    )
    assert waiting(at=0, workers=(W2, WorkerFacts("w3", ("mail",), knows=True, processes=1)))[1] == (
        "It waits for its turn in queue 'mail': it is the next one. "
        "One worker takes from that queue, and 0 of 1 process run something."
    )


@pytest.mark.parametrize(
    ("facts", "why", "reason", "hint"),
    [
        ({"queue": queue(paused=True)}, Why.PAUSED, "Queue 'mail' is paused: nobody is handed anything of it.",
         "go on: faena queues resume mail"),
        ({"workers": ()}, Why.NO_WORKER, "No worker is running.", "start one: faena worker -Q mail"),
        ({"workers": (W2,)}, Why.NO_WORKER_FOR_QUEUE,
         "No worker takes from queue 'mail'; those that run take from: default.",
         "let one take from it: faena control add-consumer mail"),
        ({"workers": (WorkerFacts("w1@h", ("mail",), knows=False),)}, Why.UNKNOWN_TASK,
         "No task 'app.send' is known to w1@h: whoever takes it cannot run it.",
         "what they know: faena inspect registered"),
        ({"workers": (WorkerFacts("w1@h", ("mail",), answered=False),)}, Why.NO_WORKER,
         "What takes from queue 'mail' did not answer: w1@h.", "is it stopped, or its machine gone? faena inspect ping"),
        ({"revocation": Revocation("7")}, Why.REVOKED, "It is revoked: it will be dropped when its turn comes.", None),
        ({"rule": Order(OrderKind.REVOKE, "task app.*", {})}, Why.REVOKED,
         "It is revoked by what it is (task app.*): it will be dropped.",
         "take that back: faena control withdraw 'task app.*'"),
    ],
)  # fmt: skip
def test_what_is_in_the_way_of_one_that_waits_is_named_with_what_to_do(facts, why, reason, hint):
    found = waiting(**facts)
    assert found[:2] == (why, reason)
    assert found[2][:1] == ([hint] if hint else [])


def test_everything_that_is_in_the_way_is_said_the_most_lasting_first():
    why, text, hints = waiting(of=message(expires_at_s=NOW_S - 1), queue=queue(paused=True), workers=())
    assert why is Why.EXPIRED
    assert text == (
        "It had to begin before 1970-01-12 13:46:39 UTC: it will be dropped when its turn comes. "
        "Queue 'mail' is paused: nobody is handed anything of it. No worker is running."
    )
    assert hints == ["go on: faena queues resume mail", "start one: faena worker -Q mail"]


@pytest.mark.parametrize(
    ("obstacles", "text"),
    [
        ((Obstacle("task:app.send/7", Refusal.CONCURRENCY, in_use=3),),
         "The limit task:app.send/7 lets no more run at once: 3 run."),
        ((Obstacle("queue:mail", Refusal.RATE, until_s=NOW_S + 2.5), Obstacle("task:app.send", Refusal.PAUSED)),
         "The rate of the limit queue:mail is used up: the next one may begin in 2.5 s. "
         "The limit task:app.send is paused: nothing under it is handed out."),
    ],
)  # fmt: skip
def test_limits_that_hold_one_back_are_named(obstacles, text):
    assert waiting(Place.LIMITED, obstacles=obstacles)[:2] == (Why.LIMITED, text)
    assert waiting(Place.LIMITED, obstacles=obstacles, workers=())[0] is Why.NO_WORKER


def test_a_limit_that_is_paused_can_be_resumed():
    hints = waiting(Place.LIMITED, obstacles=(Obstacle("task:app.send", Refusal.PAUSED),))[2]
    assert hints[0] == "go on: faena limits resume task:app.send"


def test_one_whose_limits_allow_it_waits_for_a_process_or_behind_those_of_its_limits():
    assert waiting(Place.LIMITED)[:2] == (
        Why.WAITS_ITS_TURN,
        "It waits for its turn in queue 'mail'. One worker takes from that queue, and 2 of 2 processes run something.",
    )
    idle = WorkerFacts("w3", ("mail",), knows=True, processes=1)
    assert waiting(Place.LIMITED, workers=(idle,))[:2] == (
        Why.LIMITED,
        "It waits behind others of the same limits, which come first.",
    )


def test_one_that_is_delayed_says_until_when_and_what_for():
    later = message(due_at_s=NOW_S + 3 * 3600)
    until = "until 1970-01-12 16:46:40 UTC, in 3 h"
    assert waiting(Place.DELAYED, of=later) == (
        Why.DELAYED, f"It was sent to run later: it waits in the broker {until}.", []
    )  # fmt: skip
    failure = Failure("builtins", "ValueError", "no")
    again = message(due_at_s=NOW_S + 3 * 3600, retries=2)
    assert waiting(Place.DELAYED, of=again, record=record(State.RETRY, failure=failure))[:2] == (
        Why.RETRY, f"It waits for retry 2 after ValueError: no: {until}."
    )  # fmt: skip
    assert waiting(Place.DELAYED, of=later, record=record(State.WAITING))[:2] == (
        Why.SLEEPS, f"It sleeps (self.sleep) {until}, and holds no place in a worker meanwhile."
    )  # fmt: skip
    assert waiting(Place.DELAYED, of=later, workers=())[1].endswith(" No worker is running.")
    assert " until 9999-12-" in waiting(Place.DELAYED, of=message(due_at_s=1e19))[1]


def test_one_that_is_held_runs_or_is_reserved_or_belongs_to_nobody_who_answers():
    held = Found(Place.HELD, message(), deliveries=2, crashes=1, owner="w9@h:12", lease_ends_at_s=NOW_S + 20)
    runs = WorkerFacts("w1@h", ("mail",), holds="active", runtime_s=75.0)
    assert said(found=held, workers=(W2, runs)) == (
        Why.RUNNING,
        "It has been running on w1@h for 75 s. It was handed out 2 times. "
        "It has ended its process once; it runs alone for that.",
        ["stop it: faena control revoke 7 --terminate"],
    )
    reserved = WorkerFacts("w1@h", ("mail",), holds="reserved", processes=2, busy=2)
    assert said(found=Found(Place.HELD, message(), 1), workers=(reserved,))[:2] == (
        Why.TAKEN, "w1@h has taken it and not begun: it runs others first (2 of 2 processes are busy)."
    )  # fmt: skip
    assert said(found=held)[1].startswith(
        "w9@h:12 holds it, and no worker that answers knows of it: one that has just ended, or it has just finished. "
        "Otherwise it goes back when its lease ends, in 20 s unless it is renewed."
    )
    gone = Found(Place.HELD, message(), 1, lease_ends_at_s=NOW_S - 1)
    assert said(found=gone, workers=(WorkerFacts("w1@h", (), answered=False),))[:2] == (
        Why.HELD,
        "A worker holds it, and w1@h did not answer. If that worker is gone, the task goes back when its lease ends, "
        "which is over: it goes back any moment.",
    )


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (DeadReason.FAILED, "It has failed for good (ValueError('no'));"),
        (DeadReason.CRASHED, "It has ended its process 3 times (ValueError('no'));"),
        (DeadReason.REJECTED, "It was rejected (ValueError('no'));"),
        (DeadReason.UNKNOWN_TASK, "No task 'app.send' was known to the worker that took it (ValueError('no'));"),
    ],
)
def test_a_dead_letter_says_why_it_is_one_and_how_it_runs_again(reason, text):
    dead = DeadLetter(1, "mail", reason, "ValueError('no')", NOW_S - 60, 3, 3, message())
    found = said(found=Found(Place.DEAD, message()), dead=dead, record=record(State.FAILURE))
    since = "since 1970-01-12 13:45:40 UTC it lies in the dead letters of queue 'mail'."
    assert found == (
        Why.DEAD, f"{text} {since}", ["see it: faena dead show 7", "let it run again: faena dead requeue 7"]
    )  # fmt: skip


def test_one_that_has_ended_says_how():
    ended = {"finished_at_s": NOW_S, "worker": "w1@h"}
    assert said(record=record(State.SUCCESS, **ended))[:2] == (
        Why.SUCCEEDED, "It has succeeded at 1970-01-12 13:46:40 UTC on w1@h."
    )  # fmt: skip
    failure = Failure("builtins", "ValueError", "no")
    assert said(record=record(State.FAILURE, failure=failure, **ended)) == (
        Why.FAILED,
        "It has failed at 1970-01-12 13:46:40 UTC: ValueError: no.",
        ["its traceback: faena result 7 --traceback"],
    )  # fmt: skip
    assert said(record=record(State.REVOKED))[:2] == (Why.REVOKED, "It was revoked.")


def test_one_that_was_acknowledged_before_its_run_is_found_with_the_worker_that_runs_it():
    runs = WorkerFacts("w1@h", ("mail",), holds="active", runtime_s=1.0)
    assert said(record=record(State.STARTED), workers=(runs,))[:2] == (
        Why.RUNNING,
        "It has been running on w1@h for 1.0 s.",
    )
    assert said(record=record(State.STARTED))[:2] == (
        Why.LOST,
        "Its last state is STARTED, and its message is not in sqlite:///x.db, nor does a worker that answers run it.",
    )


def test_one_that_waits_for_an_event_says_for_which_and_how_long():
    assert said(parked=Parked(message(), "paid-7", NOW_S + 600)) == (
        Why.WAITS_FOR_EVENT,
        "It waits for the event 'paid-7', until 1970-01-12 13:56:40 UTC at most (in 10 min), "
        "and holds no place in a worker meanwhile.",
        ["let it happen: app.signal_event('paid-7', value)"],
    )


def node(state, **fields):
    return NodeFacts("wf", 4, "app.send", state, WorkflowState.RUNNING, **fields)


def test_a_step_of_a_workflow_says_what_it_waits_for():
    needs = (Needed("wf.1", "app.add", NodeState.SENT), Needed("wf.2", "app.add", NodeState.WAITING))
    show = "see the workflow: faena workflow show wf"
    assert said(node=node(NodeState.WAITING, waits_for=needs, waits_count=12)) == (
        Why.WAITS_FOR_TASKS,
        "It is step 4 of workflow wf, and waits for app.add (sent, wf.1), app.add (waiting, wf.2) and 10 more.",
        ["why that one is not done: faena explain wf.1", show],
    )
    assert said(node=node(NodeState.WAITING, is_hook=True))[0] is Why.WAITS_FOR_FAILURE
    cause = Needed("wf.1", "app.add", NodeState.FAILURE)
    assert said(node=node(NodeState.ABANDONED, cause=cause)) == (
        Why.ABANDONED,
        "It is step 4 of workflow wf, and will not run: app.add (wf.1) has failed.",
        ["run it again from where it failed: faena workflow retry wf", show],
    )
    assert said(node=node(NodeState.READY))[0] is Why.WAITS_ITS_TURN
    assert said(node=node(NodeState.SENT))[0] is Why.LOST
    assert [said(node=node(state))[0] for state in (NodeState.SUCCESS, NodeState.SKIPPED, NodeState.REVOKED)] == [
        Why.SUCCEEDED, Why.FAILED, Why.REVOKED,
    ]  # fmt: skip


def test_of_an_id_that_nobody_knows_it_says_what_could_be():
    why, text, hints = said()
    assert (why, text, len(hints)) == (Why.UNKNOWN, "Nothing is known of 7 in sqlite:///x.db.", 3)
    assert said(locates=False)[2][0] == "it may wait: this broker cannot say where a message is"
    assert explain(Facts("7", NOW_S)).state == "UNKNOWN"
    assert said(revocation=Revocation("7"))[1].endswith("It is revoked: were it sent, it would not run.")


def test_a_broker_that_cannot_say_where_a_message_is_leaves_what_workers_and_dead_letters_tell():
    reserved = WorkerFacts("w1@h", ("mail",), holds="reserved", processes=2, busy=2)
    assert said(locates=False, workers=(reserved,))[0] is Why.TAKEN
    dead = DeadLetter(1, "mail", DeadReason.FAILED, "", NOW_S, 1, 0, message())
    assert said(locates=False, dead=dead, record=record(State.FAILURE))[0] is Why.DEAD
    assert said(locates=False, workers=())[1] == "Nothing is known of 7 in sqlite:///x.db. No worker is running."
