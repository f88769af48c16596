"""Lanes: what a usual call comes to by the short way is what it comes to by the long one."""

import datetime
import signal
import threading

import msgspec
import pytest

from faena import Faena
from faena.engine.attempt import Attempt, Runner
from faena.engine.completion import Completer
from faena.model.control import TimeLimits
from faena.model.delivery import Delivery, Verdict, VerdictKind
from faena.model.message import Link, Member, Message
from faena.tasks.context import current_request
from faena.worker.lanes import WAKE_SIGNAL, Lanes
from faena.worker.slots import Slots

NOW_S = 1_000_000.0


@pytest.fixture
def app():
    app = Faena("unit", set_as_current=False, result_expires=60)

    @app.task(name="give")
    def give(value=None, *, key=None):
        return value if key is None else key

    @app.task(name="typed")
    def typed(day: datetime.date) -> int:
        return day.year

    @app.task(name="bound", bind=True)
    def bound(self, *args):
        return [self.request.id, self.request.called_directly, list(args)]

    @app.task(name="sends", bind=True)
    def sends(self):
        self.request.children.append("child")

    @app.task(name="fails", dont_autoretry_for=(KeyError,), autoretry_for=(ValueError,), max_retries=1)
    def fails(kind):
        raise {"key": KeyError, "value": ValueError, "exit": SystemExit}[kind](kind)

    @app.task(name="quiet", ignore_result=True)
    def quiet():
        return 1

    @app.task(name="for_ever", result_expires=0)
    def for_ever():
        return 1

    @app.task(name="limited", time_limit=30, soft_time_limit=20)
    def limited():
        return 1

    @app.task(name="odd")
    def odd():
        return object()

    return app


@pytest.fixture
def lanes(app):
    runner = Runner(app.tasks, app.codecs, hostname="here", clock=lambda: NOW_S, draw=lambda: 0.5)
    completer = Completer(app.codecs, app.sender, app.rules("here"), app.tasks, clock=lambda: NOW_S)
    slots = Slots.create(1)
    lanes = Lanes(1, runner, completer, slots, limits=(None, None), main=True, wake_io=lambda _: None, refill=lambda: None)
    yield lanes
    slots.close()


def plain(value):
    """Return a value without what two runs need not share: the lines of tracebacks."""
    found = msgspec.to_builtins(value, enc_hook=repr)

    def without(each):
        if isinstance(each, dict):
            return {key: without(inner) for key, inner in each.items()}
        if isinstance(each, list | tuple):
            return [without(inner) for inner in each]
        return "Traceback" if isinstance(each, str) and each.startswith("Traceback") else each

    return without(found)


USUAL = [
    {"task": "give", "body": b"[[1],{}]"},
    {"task": "give", "body": b"[[],{}]"},
    {"task": "give", "body": b'[[null],{"key":"\xc3\xb1"}]'},
    {"task": "give", "body": b'[[{"__type__":"bytes","__value__":"AAE="}],{}]'},
    {"task": "typed", "body": b'[["2026-02-28"],{}]'},
    {"task": "bound", "body": b"[[1,2],{}]", "retries": 2, "root_id": "r", "parent_id": "p"},
    {"task": "sends", "body": b"[[],{}]"},
    {"task": "fails", "body": b'[["key"],{}]'},
    {"task": "fails", "body": b'[["value"],{}]'},
    {"task": "fails", "body": b'[["value"],{}]', "retries": 1},
    {"task": "quiet", "body": b"[[],{}]"},
    {"task": "for_ever", "body": b"[[],{}]"},
    {"task": "odd", "body": b"[[],{}]"},
]
OTHERS = [
    {"task": "give", "body": b"no JSON"},
    {"task": "give", "body": b"[1]"},
    {"task": "give", "body": b"7"},
    {"task": "give", "body": b"[[1,2],{}]"},
    {"task": "give", "body": b"[[],{}]", "content": "pickle"},
    {"task": "give", "body": b"[[1],{}]", "expires_at_s": NOW_S - 1},
    {"task": "give", "body": b"[[1],{}]", "expires_at_s": NOW_S + 1},
    {"task": "give", "body": b"[[1],{}]", "ignore_result": True},
    {"task": "give", "body": b"[[1],{}]", "result_expires_s": 7.0},
    {"task": "give", "body": b"[[1],{}]", "time_limit_s": 7.0},
    {"task": "give", "body": b"[[1],{}]", "soft_time_limit_s": 7.0},
    {"task": "give", "body": b"[[1],{}]", "on_success": (Link("give", b"[[],{}]", "json"),)},
    {"task": "give", "body": b"[[1],{}]", "member": Member("w", 1)},
    {"task": "typed", "body": b'[["no day"],{}]'},
    {"task": "limited", "body": b"[[],{}]"},
    {"task": "unknown", "body": b"[[],{}]"},
]


def end_of(lanes, delivery):
    return lanes.run(lanes.lanes[0], delivery, 1.0)


@pytest.mark.parametrize("fields", USUAL + OTHERS, ids=repr)
def test_both_ways_come_to_the_same_end(lanes, fields):
    delivery = Delivery(Message(**{"id": "t", "queue": "q", **fields}), "grip", 3)
    short = end_of(lanes, delivery)
    assert current_request.get() is None
    assert lanes._slots.running() == []
    lanes.time_limits = {"another": TimeLimits(soft_s=1.0)}  # where a task has such limits, all go the long way
    assert plain(short) == plain(end_of(lanes, delivery))


@pytest.mark.parametrize("fields", USUAL, ids=repr)
def test_usual_calls_go_the_short_way(lanes, fields):
    assert lanes._usual.begin(Delivery(Message(**{"id": "t", "queue": "q", **fields}), None)) is not None


@pytest.mark.parametrize("fields", OTHERS, ids=repr)
def test_others_do_not(lanes, fields):
    assert lanes._usual.begin(Delivery(Message(**{"id": "t", "queue": "q", **fields}), None)) is None


def test_what_may_have_crashed_a_process_or_is_refused_goes_the_long_way(lanes):
    message = Message("t", "give", "q", b"[[1],{}]")
    assert lanes._usual.begin(Delivery(message, None, verdict=Verdict(VerdictKind.CRASHED))) is None
    lanes.refusals.add(["t"])
    asked = []
    lanes.revoked = lambda delivery: asked.append(delivery)
    end_of(lanes, Delivery(message, None))
    assert len(asked) == 1


def test_a_task_that_becomes_known_later_is_run(app, lanes):
    message = Message("t", "later", "q", b"[[],{}]")
    assert lanes._usual.begin(Delivery(message, None)) is None
    app.task(name="later")(lambda: 5)
    assert end_of(lanes, Delivery(message, None))[0].result.value == b"5"


def test_an_interruption_of_a_usual_call_ends_it_and_nothing_else(app, lanes):
    lane, seen = lanes.lanes[0], []

    @app.task(name="interrupted")
    def interrupted():
        attempt = lane.attempt
        assert isinstance(attempt, Attempt)
        lane.interrupt(attempt, TimeoutError("now"))
        seen.append("ran on")

    lane.thread_id = threading.get_ident()
    before = signal.signal(WAKE_SIGNAL, lambda *_: lane.raise_pending())
    try:
        completion, _, _ = end_of(lanes, Delivery(Message("t", "interrupted", "q", b"[[],{}]"), None))
    finally:
        signal.signal(WAKE_SIGNAL, before)
    assert (completion.result.state, completion.result.failure.type_name, seen) == ("FAILURE", "TimeoutError", [])
    assert lane.attempt is lane.pending is None
    assert end_of(lanes, Delivery(Message("u", "give", "q", b"[[1],{}]"), None))[0].result.value == b"1"


def test_an_interruption_that_comes_too_late_is_forgotten(lanes):
    lane = lanes.lanes[0]
    attempt = lanes._usual.begin(Delivery(Message("t", "give", "q", b"[[1],{}]"), None))
    lane.pending, lane.attempt = TimeoutError("late"), attempt
    lane.end()
    assert lane.pending is lane.attempt is None
    assert not lane.interrupt(attempt, TimeoutError("too late"))
