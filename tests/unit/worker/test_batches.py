"""Batch tasks inside a worker process: what waits for company while other things happen to the process."""

import threading
from concurrent.futures import Future

import pytest

from faena import Faena
from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.testing.worker import InProcessWorker


@pytest.fixture
def app():
    app = Faena("shop", broker=f"memory://{new_id()}", set_as_current=False)
    yield app
    app.close()


def ask(worker, function, *arguments):
    """Call something of the core in its own thread."""
    answer = Future()
    worker._core.call(lambda: answer.set_result(function(*arguments)))
    return answer.result(10)


def held(app, until):
    until(lambda: [each.held for each in run(app.connection().broker.queues.status()) if each.name == "default"] == [3])


def test_what_waits_for_company_stays_or_goes_back_when_the_queues_change(app, until):
    sizes = []

    @app.task(batch=(5, 60))
    def count(calls):
        sizes.append(len(calls))

    results = [count.delay(number) for number in range(3)]
    with InProcessWorker(app) as worker:
        held(app, until)
        assert [each["id"] for each in ask(worker, worker._core.reserved)] == [each.id for each in results]
        ask(worker, worker._core.consume, ["default", "other"])  # it goes back, and comes again
        results += [count.delay(number) for number in range(2)]
        assert [each.get(timeout=10) for each in results] == [None] * 5
        assert sizes == [5]
        results = [count.delay(number) for number in range(3)]
        held(app, until)
        ask(worker, worker._core.consume, ["other"])
        until(
            lambda: [each.waiting for each in run(app.connection().broker.queues.status()) if each.name == "default"] == [3]
        )
        assert ask(worker, worker._core.reserved) == []


def test_every_call_of_a_batch_that_runs_is_shown_and_none_is_stopped_alone(app):
    began, go = threading.Event(), threading.Event()

    @app.task(batch=(3, 60))
    def count(calls):
        began.set()
        assert go.wait(10)
        return [call.args[0] for call in calls]

    with InProcessWorker(app) as worker:
        results = [count.delay(number) for number in range(3)]
        assert began.wait(10)
        shown = ask(worker, worker._core.active)
        assert [(each["id"], each["args"]) for each in shown] == [(each.id, f"({n},)") for n, each in enumerate(results)]
        ask(worker, worker._core._revoke, [results[0].id], True, True)
        go.set()
        assert [each.get(timeout=10) for each in results] == [0, 1, 2]
