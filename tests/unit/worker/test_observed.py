"""What a process tells: each task in its order; and of very many, what waits and runs, and every end."""

import asyncio
from types import SimpleNamespace

import pytest

from faena.model.event import Event, EventKind
from faena.model.message import Message
from faena.worker.observed import Observed

S, R = EventKind.TASK_SUCCEEDED, EventKind.TASK_RETRIED


def delivery(number, retries=0):
    message = Message(id=f"id-{number}", task="add", queue="q", body=b"[]", content="json", retries=retries)
    return SimpleNamespace(message=message)


def ended(number, kind=S, runtime_s=0.5, retries=0, worker="w", **more):
    return Event(kind, 100.0 + number, worker, f"id-{number}", "add", "q", retries, runtime_s, **more)


def running(number):
    return SimpleNamespace(calls=None, delivery=delivery(number), started_at_s=50.0 + number)


class Core:
    """As much of one as is looked at."""

    def __init__(self):
        self.lanes, self.runs = SimpleNamespace(on_take=None), []

    def attempts(self):
        return self.runs

    def call(self, function):
        function()


@pytest.fixture
def observed():
    found = Observed(SimpleNamespace(links=None), "w")
    found.core = Core()
    found.join(found.core)
    found.is_on = True
    return found


def told(observed):
    return [(event.kind.value.removeprefix("task-"), event.task_id) for event in observed._collect()]


def test_a_task_that_came_and_went_is_told_of_in_its_order(observed):
    observed._taken([delivery(1), delivery(2)])
    observed.emit([ended(2), ended(1, R)])
    assert told(observed) == [
        ("received", "id-2"), ("started", "id-2"), ("succeeded", "id-2"),
        ("received", "id-1"), ("started", "id-1"), ("retried", "id-1"),
    ]  # fmt: skip
    assert told(observed) == []


def test_what_waits_and_what_runs_is_told_of_once(observed):
    observed._taken([delivery(1), delivery(2)])
    observed.core.runs = [running(1)]
    assert told(observed) == [("received", "id-1"), ("started", "id-1"), ("received", "id-2")]
    assert told(observed) == []
    observed.emit([ended(1)])
    observed.core.runs = [running(2)]
    assert told(observed) == [("succeeded", "id-1"), ("started", "id-2")]
    observed.emit([ended(2)])
    assert told(observed) == [("succeeded", "id-2")]


def test_what_goes_back_without_having_begun_was_not_started(observed):
    observed._taken([delivery(1)])
    observed.emit([ended(1, EventKind.TASK_RELEASED, None, worker="")])
    events = observed._collect()
    assert [event.kind.value for event in events] == ["task-received", "task-released"]
    assert {event.worker for event in events} == {"w"}


def test_a_task_that_comes_again_at_once_is_told_of_twice(observed):
    observed._taken([delivery(1)])
    observed._taken([delivery(1, retries=1)])
    observed.emit([ended(1, R), ended(1, retries=1)])
    assert [kind for kind, _ in told(observed)] == [
        "received", "started", "retried", "received", "started", "succeeded",
    ]  # fmt: skip


def test_of_very_many_every_end_and_all_that_waits_or_runs_is_told(observed):
    observed._taken([delivery(number) for number in range(302)])
    observed.core.runs = [running(300)]
    observed.emit([ended(number) for number in range(300)])
    found = told(observed)
    assert found[:300] == [("succeeded", f"id-{number}") for number in range(300)]
    assert found[300:] == [("received", "id-300"), ("started", "id-300"), ("received", "id-301")]
    observed.emit([ended(number) for number in range(300, 302)])
    assert told(observed) == [("succeeded", "id-300"), ("started", "id-301"), ("succeeded", "id-301")]


def test_a_task_that_comes_again_while_very_many_end_is_told_of(observed):
    observed._taken([delivery(number) for number in range(200)])
    observed._taken([delivery(7, retries=1)])
    observed.emit([ended(number, R if number == 7 else S) for number in range(200)])
    assert told(observed)[200:] == [("received", "id-7")]


def test_long_tracebacks_are_cut_and_texts_end_when_there_are_many(observed):
    assert observed.wants_text
    observed.emit([ended(1, EventKind.TASK_FAILED, traceback="a" * 5000 + "z")])
    (event,) = observed._collect()
    assert len(event.traceback) < 4010
    assert (event.traceback[0], event.traceback[-1]) == ("a", "z")
    observed.emit([ended(number) for number in range(250)])
    assert not observed.wants_text


def test_off_nothing_is_noted(observed):
    observed.is_on = False
    observed.emit([ended(1)])
    assert told(observed) == []
    assert not observed.wants_text


def test_what_is_taken_wakes_the_loop_once():
    async def scenario():
        observed, core = Observed(SimpleNamespace(links=None), "w"), Core()
        calls = []
        core.call = calls.append
        observed.join(core)
        for number in range(5):
            observed._taken([delivery(number)])
        assert len(calls) == 1
        observed._collect()
        observed._taken([delivery(9)])
        assert len(calls) == 2

    asyncio.run(scenario())
