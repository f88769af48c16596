"""From outcomes to completions, without a broker."""

import pytest

from faena import Faena
from faena.backend import Completion
from faena.engine.attempt import Attempt, Ended, Runner
from faena.engine.completion import Completer, derived_id, refused
from faena.engine.outcome import Failed, Interrupted, Retried, Revoked, Succeeded
from faena.errors import MessageTooLarge, SoftTimeLimitExceeded, TimeLimitExceeded
from faena.model.delivery import Ack, Bury, DeadReason, Delivery, Release, Verdict, VerdictKind
from faena.model.event import EventKind
from faena.model.inputs import Listed
from faena.model.message import Member, Message
from faena.testing import Clock, in_memory, run_pending

NOW_S = 1_000_000.0


@pytest.fixture
def app():
    app = Faena("unit", set_as_current=False)

    @app.task(name="work", autoretry_for=(OSError,), retry_backoff=2, retry_jitter=False, max_retries=2)
    def work(n: int = 0) -> int:
        return n

    return app


@pytest.fixture
def runner(app):
    return Runner(app.tasks, app.codecs, clock=lambda: NOW_S, draw=lambda: 0.5)


@pytest.fixture
def completer(app):
    return Completer(app.codecs, app.sender, app.rules("here"), app.tasks, clock=lambda: NOW_S)


def delivery(**more):
    fields = {"id": "t", "task": "work", "queue": "q", "body": b"[[1],{}]", **more.pop("message", {})}
    return Delivery(Message(**fields), None, **more)


def attempted(runner, **more):
    begun = runner.begin(delivery(**more))
    assert isinstance(begun, Attempt)
    return begun


def test_a_success_is_acknowledged_with_its_result(runner, completer):
    attempt = attempted(runner)
    completion, event = completer.complete(attempt, runner.run(attempt))
    assert isinstance(completion.settlement, Ack)
    assert (completion.result.state, completion.result.value, completion.result.worker) == ("SUCCESS", b"1", "here")
    assert event.kind is EventKind.TASK_SUCCEEDED


def test_an_interruption_goes_back_and_leaves_no_trace(runner, completer):
    completion, event = completer.complete(attempted(runner), Interrupted())
    assert completion == Completion(Release(completion.settlement.delivery))
    assert event.kind is EventKind.TASK_RELEASED


def test_a_retry_keeps_the_id_and_counts(runner, completer):
    attempt = attempted(runner)
    outcome = runner.outcome_of(attempt, OSError("gone"))
    assert isinstance(outcome, Retried)
    assert outcome.due_at_s == NOW_S + 2
    completion, _ = completer.complete(attempt, outcome)
    message = completion.settlement.message
    assert (message.id, message.retries, message.due_at_s, message.body) == ("t", 1, NOW_S + 2, b"[[1],{}]")
    assert completion.result.state == "RETRY"


def test_a_failure_after_the_last_retry_is_a_dead_letter(runner, completer):
    attempt = attempted(runner, message={"retries": 2})
    outcome = runner.outcome_of(attempt, OSError("gone"))
    completion, _ = completer.complete(attempt, outcome)
    assert isinstance(completion.settlement, Bury)
    assert (completion.settlement.reason, completion.settlement.detail) == (DeadReason.FAILED, "OSError('gone')")


def test_verdicts_become_outcomes_before_anything_runs(runner):
    def judged(kind, **more):
        begun = runner.begin(delivery(verdict=Verdict(kind, "killed by SIGSEGV"), **more))
        return begun.outcome if isinstance(begun, Ended) else "runs"

    assert judged(VerdictKind.CRASHED, crashes=2) == "runs"
    dead = judged(VerdictKind.CRASHED, crashes=3)
    assert isinstance(dead, Failed)
    assert "died 3 times, the last time killed by SIGSEGV" in str(dead.error)
    limit = judged(VerdictKind.TIME_LIMIT)
    assert isinstance(limit, Failed)
    assert isinstance(limit.error, TimeLimitExceeded)
    assert isinstance(judged(VerdictKind.TERMINATED), Revoked)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SoftTimeLimitExceeded, "task 'work' ran longer than its soft time limit"),
        (TimeLimitExceeded, "task 'work' ran longer than its time limit"),
    ],
)
def test_a_limit_that_was_raised_without_words_gets_them(runner, kind, text):
    outcome = runner.outcome_of(attempted(runner), kind())
    assert isinstance(outcome, Failed)
    assert str(outcome.error) == text


def test_what_cannot_be_written_becomes_a_failure_of_its_own_task(runner, completer):
    attempt = attempted(runner)
    completion, _ = completer.complete(attempt, Succeeded(1))
    instead = refused(completion, MessageTooLarge(10, 5, "the broker"))
    assert isinstance(instead.settlement, Bury)
    assert instead.settlement.delivery is attempt.delivery
    assert (instead.result.state, instead.result.value) == ("FAILURE", None)
    assert instead.result.failure.type_name == "MessageTooLarge"


def test_derived_ids_are_the_same_every_time_and_differ_by_place():
    ids = [derived_id(task_id, index) for task_id in ("a", "b", "a/1") for index in range(20)]
    assert len(set(ids)) == len(ids)
    assert ids == [derived_id(task_id, index) for task_id in ("a", "b", "a/1") for index in range(20)]


def test_what_is_nested_too_deep_to_be_given_fails_its_task(runner, completer):
    given = Listed(())
    for _ in range(20_000):
        given = Listed((given,))
    ended = runner.begin(delivery(message={"member": Member("w", 0)}, input=given))
    completion, event = completer.complete(ended, ended.outcome)
    assert event.kind is EventKind.TASK_FAILED
    assert completion.ending.state == "failure"
    while given.items:  # else freeing it would go as deep
        (given,) = given.items


def test_a_task_that_was_replaced_is_known_until_what_stands_in_for_it_has_ended():
    app, clock = Faena("replaced", set_as_current=False), Clock()

    @app.task(name="later")
    def later():
        return 5

    @app.task(name="first", bind=True)
    def first(self):
        raise self.replace(later.s().set(countdown=60))

    with in_memory(app, clock):
        result = first.delay()
        run_pending(app)
        assert (result.state, result.record.expires_at_s) == ("PENDING", None)
        clock.advance(60)
        run_pending(app)
        assert result.get() == 5
