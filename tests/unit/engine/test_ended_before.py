"""What is left to do for a message that comes again although its end is recorded."""

import pytest

from faena import Faena
from faena._lib.drive import run
from faena.backend import JournalEnd
from faena.backends.memory import MemoryBackend
from faena.drivers.memory import state
from faena.engine.attempt import Ended
from faena.engine.completion import Completer
from faena.engine.notes import is_end_of, with_what_is_known
from faena.engine.outcome import Failed, Rejected, Succeeded
from faena.model.delivery import Ack, Bury, DeadReason, Delivery
from faena.model.message import Link, Message
from faena.model.result import ResultRecord, State

BODY = b"[[], {}]"


@pytest.fixture
def app():
    app = Faena("ended", broker="memory://ended-before", set_as_current=False)

    @app.task(name="t", dead_letter=True)
    def t(*_):
        return [1, 2]

    @app.task(name="after")
    def after(*_):
        return None

    return app


@pytest.fixture
def completer(app):
    return Completer(app.codecs, app.sender, app.rules("one@here"), app.tasks, clock=lambda: 1000.0)


def message(**more):
    return Message("1", "t", "default", BODY, sent_at_s=900.0, **more)


def again(completer, outcome, sent):
    """End an attempt; return its completion, and that for the same message when it comes again."""
    first, _ = completer.complete(Ended(Delivery(sent, 1), outcome, None), outcome)
    return first, completer.ended_before(Delivery(sent, 2, redelivered_at_s=1001.0, ended=first.result))


def test_what_follows_a_success_is_the_same_as_it_was(completer):
    sent = message(on_success=(Link("after", BODY, "json"),), on_failure=(Link("after", BODY, "json"),))
    first, second = again(completer, Succeeded([1, 2]), sent)
    assert second.publish == first.publish
    assert (len(second.publish), second.result, second.journal) == (1, first.result, JournalEnd.FORGOTTEN)
    assert isinstance(second.settlement, Ack)
    assert second.settlement.delivery.grip == 2


def test_what_has_failed_is_buried_for_its_reason_and_its_errbacks_follow(completer):
    sent = message(on_success=(Link("after", BODY, "json"),), on_failure=(Link("after", BODY, "json"),))
    first, second = again(completer, Failed(ValueError("boom")), sent)
    assert second.publish == first.publish
    assert isinstance(second.settlement, Bury)
    assert (second.settlement.reason, second.settlement.detail) == (DeadReason.FAILED, "ValueError('boom')")
    first, second = again(completer, Rejected("not this one", requeue=False), message())
    assert isinstance(second.settlement, Bury)
    assert (second.settlement.reason, second.settlement.detail) == (DeadReason.REJECTED, "not this one")


def test_of_a_task_that_was_replaced_what_follows_is_up_to_its_workflow(completer):
    sent = message(on_success=(Link("after", BODY, "json"),))
    record = ResultRecord("1", "t", State.SUCCESS, b"0 flow", "reference", finished_at_s=1000.0)  # no worker wrote it
    done = completer.ended_before(Delivery(sent, 2, redelivered_at_s=1001.0, ended=record))
    assert (done.publish, type(done.settlement)) == ((), Ack)


def test_a_record_that_cannot_be_read_keeps_nobody_from_letting_go(completer):
    sent = message(on_success=(Link("after", BODY, "json"),))
    record = ResultRecord("1", "t", State.SUCCESS, b"{broken", "json", worker="one@here")
    done = completer.ended_before(Delivery(sent, 2, redelivered_at_s=1001.0, ended=record))
    assert (done.publish, type(done.settlement)) == ((), Ack)


def test_what_failed_before_a_call_was_sent_is_the_end_of_another_one():
    sent = message()
    assert is_end_of(ResultRecord("1", "t", State.FAILURE, finished_at_s=950.0), sent)
    assert not is_end_of(ResultRecord("1", "t", State.FAILURE, finished_at_s=850.0), sent)
    assert not is_end_of(ResultRecord("1", "t", State.RETRY, finished_at_s=950.0), sent)
    assert is_end_of(ResultRecord("1", "t", State.SUCCESS, finished_at_s=850.0), sent)


def test_of_two_messages_with_one_id_each_is_let_go_of_by_its_own_grip():
    backend = MemoryBackend.connect("memory://ended-before", io="blocking")
    try:
        run(backend.record([ResultRecord("1", "t", State.SUCCESS, finished_at_s=950.0)]))
        batch = [Delivery(message(), "again", redelivered_at_s=1001.0), Delivery(message(), "fresh")]
        found = run(with_what_is_known(backend, batch, keeps_verdicts=False))
        assert [(item.grip, item.ended is not None) for item in found] == [("again", True), ("fresh", False)]
    finally:
        state.forget("memory://ended-before")
