"""Handles of workflows, and what options and moments reach their steps."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from faena import Faena, chain, chord, group
from faena._lib.drive import run
from faena.app.workflows import AppWorkflows
from faena.errors import ChordError, InvalidArguments, ResultNotFound, ResultTimeout, TaskRevokedError, WorkflowError
from faena.model.workflow import WorkflowState
from faena.tasks.group_result import GroupResult, ResultSet
from faena.testing import Clock, InProcessWorker, in_memory, run_pending


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def app(clock):
    with in_memory(Faena("handles", set_as_current=False), clock) as app:

        @app.task(name="add")
        def add(x, y):
            return x + y

        @app.task(name="total")
        def total(numbers):
            return sum(numbers)

        @app.task(name="fail")
        def fail(*_):
            raise ValueError("boom")

        @app.task(name="grow", bind=True)
        def grow(self, n):
            self.add_to_chord(add.s(n, 100))
            return n

        @app.task(name="wait", bind=True)
        def wait(self, in_task):
            sent = group(add.s(1, 1), add.s(2, 2)).apply_async() if in_task == "group" else add.delay(1, 1)
            return sent.get(timeout=1)

        yield app


@pytest.fixture
def add(app):
    return app.tasks["add"]


def messages(app):
    """Return the messages that wait, by the number of their node."""
    found = run(app.links.blocking().broker.queues.browse("default", 100))
    return {message.member.node: message for _, message in found}


# -- handles -----------------------------------------------------------------------------------------------------


def test_a_chain_is_asked_by_its_last_step_and_knows_those_before(app, add):
    result = (add.s(1, 2) | add.s(3) | add.s(4)).apply_async()
    assert (result.ready(), result.successful(), result.failed(), result.state) == (False, False, False, "PENDING")
    run_pending(app)
    assert result.get(timeout=1) == 10
    assert [each.get(timeout=1) for each in result.results] == [3, 6, 10]
    assert result.parent.parent.get(timeout=1) == 3
    assert result.parent.parent.parent is None
    assert (result.successful(), result.failed(), result.workflow.state) == (True, False, WorkflowState.SUCCESS)


def test_a_group_answers_in_the_order_of_its_members(app, add):
    result = group(add.s(n, n) for n in range(5)).apply_async()
    assert (result.ready(), result.waiting(), result.completed_count()) == (False, True, 0)
    run_pending(app)
    assert result.get(timeout=1) == result.join(timeout=1) == [0, 2, 4, 6, 8]
    assert [child.get(timeout=1) for child in result.children] == [0, 2, 4, 6, 8]
    assert {each.id for each in result.as_completed(timeout=1)} == {child.id for child in result}
    assert (result.completed_count(), result.successful(), result.failed(), len(result)) == (5, True, False, 5)


def test_groups_of_nothing_and_of_one(app, add):
    empty, one = group([], app=app).apply_async(), group(add.s(1, 2)).apply_async()
    run_pending(app)
    assert (empty.get(timeout=1), one.get(timeout=1)) == ([], [3])


def test_a_group_with_a_failure_raises_it_or_gives_it(app, add):
    result = group(add.s(1, 1), app.tasks["fail"].s(), add.s(2, 2)).apply_async()
    run_pending(app)
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=1)
    values = result.get(timeout=1, propagate=False)
    assert [values[0], repr(values[1]), values[2]] == [2, "ValueError('boom')", 4]
    assert (result.successful(), result.failed(), result.ready(), result.completed_count()) == (False, True, True, 2)


def test_a_chord_is_asked_by_its_body_and_is_sent_once(app, add):
    result = chord([add.s(1, 1), add.s(2, 2)])(app.tasks["total"].s()).apply_async()
    assert len(run_pending(app)) == 3
    assert result.get(timeout=1) == 6
    assert [child.get(timeout=1) for child in result.parent.children] == [2, 4]


def test_the_body_of_a_chord_with_a_failure_fails_with_an_error_of_its_own(app, add):
    result = chord([add.s(1, 1), app.tasks["fail"].s()])(app.tasks["total"].s())
    run_pending(app)
    with pytest.raises(ChordError, match=r"of the group before it failed: ValueError\('boom'\)"):
        result.get(timeout=1)


def test_a_wait_that_is_too_long_says_what_is_missing(app, add):
    result = group(add.s(1, 1), add.s(2, 2)).apply_async()
    with pytest.raises(ResultTimeout):
        result.get(timeout=0)
    with pytest.raises(ResultTimeout, match="2 of 2 are missing"):
        list(result.as_completed(timeout=0))


def test_a_group_is_found_again_by_its_id(app, add):
    result = group(add.s(n, n) for n in range(3)).apply_async()
    run_pending(app)
    result.save()
    again = GroupResult.restore(result.id, app)
    assert again == result
    assert again.get(timeout=1) == [0, 2, 4]
    assert [each.id for each in again] == [each.id for each in result]
    with pytest.raises(ResultNotFound):
        GroupResult.restore("nothing-of-that-id", app)


def test_members_behind_a_gate_are_found_again_as_they_were(app, add):
    result = group(chain(add.s(1, 1), add.s(1)).if_fails("skip"), add.s(2, 2)).apply_async()
    run_pending(app)
    again = GroupResult.restore(result.id, app)
    assert [each.id for each in again] == [each.id for each in result]
    assert again.get(timeout=1) == [3, 4]


def test_a_member_that_is_revoked_ends_its_group(app, add):
    result = group(add.s(1, 1), add.s(2, 2)).apply_async()
    result[0].revoke()
    run_pending(app)
    with pytest.raises(TaskRevokedError):
        result[0].get(timeout=1)
    assert result[1].get(timeout=1) == 4
    assert result.failed() is False
    assert result.successful() is False
    with pytest.raises(TaskRevokedError):
        result.get(timeout=1)


def test_a_workflow_that_is_cancelled_runs_nothing_more(app, add):
    result = (add.s(1, 1) | add.s(1) | add.s(1)).apply_async()
    result.workflow.cancel()
    assert run_pending(app) == []
    assert result.workflow.state is WorkflowState.REVOKED
    with pytest.raises(TaskRevokedError):
        result.get(timeout=1)
    result.workflow.retry()
    run_pending(app)
    assert result.workflow.state is WorkflowState.SUCCESS


def test_handles_are_awaited(app, add):
    async def whole():
        one = await (add.s(1, 1) | add.s(1)).aapply_async()
        many = await group(add.s(n, n) for n in range(3)).aapply_async()
        joined = await chord([add.s(1, 1)], app.tasks["total"].s()).aapply_async()
        values = await one, await many, await joined
        completed = [each.id async for each in many.aas_completed(timeout=5)]
        assert sorted(completed) == sorted(each.id for each in many)
        await app.links.aclose()
        return values

    with InProcessWorker(app):
        assert asyncio.run(whole()) == (3, [0, 2, 4], 2)


def test_a_running_group_grows_also_where_its_member_has_a_callback(app, add):
    member = app.tasks["grow"].s(1)
    member.link(add.s(1000))
    result = chord([member, chain(add.s(2, 2), app.tasks["grow"].s())], app.tasks["total"].s()).apply_async()
    run_pending(app)
    assert result.get(timeout=1) == 1 + 101 + 4 + 104


@pytest.mark.parametrize("what", ["group", "task"])
def test_waiting_inside_a_task_is_refused_with_the_reason(app, what):
    result = app.tasks["wait"].delay(what)
    run_pending(app)
    with pytest.raises(RuntimeError, match="a task must not wait for the result of another"):
        result.get(timeout=1)


# -- options and moments -----------------------------------------------------------------------------------------


def test_options_of_a_whole_hold_for_every_step_that_does_not_say_its_own(app, add):
    header = [add.s(1, 1), add.s(2, 2).set(queue="own"), chain(add.s(3, 3), add.s(1)).set(queue="part")]
    result = chord(header, app.tasks["total"].s()).apply_async(queue="whole", priority=7)
    nodes = result.workflow.nodes()
    link = app.links.blocking()
    queues = {}
    for queue in ("whole", "own", "part"):
        for _, message in run(link.broker.queues.browse(queue, 10)):
            queues[message.member.node] = (message.queue, message.priority)
    assert queues == {0: ("whole", 7), 1: ("own", 7), 2: ("part", 7)}
    run_pending(app, queues=["whole", "own", "part"])
    records = run(link.backend.read([node.id for node in nodes if node.name != "group"]))
    assert [record.queue for record in records] == ["whole", "own", "part", "part", "whole"]
    assert result.get(timeout=1) == 2 + 4 + 7


def test_a_task_id_names_what_ends_the_workflow(app, add):
    result = (add.s(1, 1) | add.s(1)).apply_async(task_id="my-own")
    assert result.id == "my-own"
    run_pending(app)
    assert app.AsyncResult("my-own").get(timeout=1) == 3


def test_a_countdown_of_the_whole_delays_its_beginning_only(app, add, clock):
    result = (add.s(1, 1) | add.s(1)).apply_async(countdown=60)
    assert run_pending(app) == []
    clock.advance(61)
    assert len(run_pending(app)) == 2
    assert result.get(timeout=1) == 3


def test_countdown_and_expiry_of_a_later_step_count_from_when_it_becomes_ready(app, add, clock):
    result = (add.s(1, 1) | add.s(1).set(countdown=30, expires=50) | add.s(1)).apply_async()
    clock.advance(1000)
    assert len(run_pending(app)) == 1
    waiting = messages(app)[1]
    assert (waiting.due_at_s, waiting.expires_at_s) == (pytest.approx(clock() + 30), pytest.approx(clock() + 50))
    clock.advance(29)
    assert run_pending(app) == []
    clock.advance(2)
    assert len(run_pending(app)) == 2
    assert result.get(timeout=1) == 4


def test_a_later_step_that_expires_ends_its_workflow(app, add, clock):
    result = (add.s(1, 1) | add.s(1).set(countdown=30, expires=50) | add.s(1)).apply_async()
    run_pending(app)
    clock.advance(100)
    run_pending(app)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=1)
    with pytest.raises(TaskRevokedError, match="expired before it began"):
        result.parent.get(timeout=1)


def test_the_expiry_of_a_whole_counts_from_its_sending(app, add, clock):
    result = (add.s(1, 1).set(countdown=20) | add.s(1).set(countdown=20)).apply_async(expires=30)
    clock.advance(21)
    assert len(run_pending(app)) == 1
    clock.advance(21)
    run_pending(app)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=1)


@pytest.mark.parametrize("own_id", ["orders", "orders.of.7"])
def test_a_group_with_an_id_of_its_own_is_found_again_by_it_in_every_state(app, own_id):
    sent = group(app.signature("add", (1, 1)), app.signature("add", (2, 2))).apply_async(task_id=own_id)
    waiting = app.GroupResult(own_id)
    assert (waiting.results, waiting.completed_count(), waiting.workflow.id) == (sent.results, 0, sent.workflow.id)
    assert app.AsyncResult(own_id).result is None
    run_pending(app)
    sent.save()
    assert waiting.get() == app.GroupResult(own_id).get() == [2, 4]


def test_a_group_with_an_id_of_its_own_that_has_failed_is_found_again_by_it(app):
    sent = group(app.signature("add", (1, 1)), app.signature("fail")).apply_async(task_id="orders")
    run_pending(app)
    again = app.GroupResult("orders")
    assert again.results == sent.results
    with pytest.raises(ValueError, match="boom"):
        again.get()


def test_a_group_that_was_seen_to_end_is_awaited_without_blocking_the_loop(app, monkeypatch):
    async def main():
        sent = await chain(group(app.signature("add", (1, 1)), app.signature("add", (2, 2)))).aapply_async()
        await asyncio.to_thread(run_pending, app)
        both = ResultSet([app.AsyncResult(sent.id)], app.results)
        monkeypatch.setattr(AppWorkflows, "resolve", None)  # what would block
        return await both

    assert asyncio.run(main()) == [[2, 4]]


def test_what_ran_here_and_now_is_awaited_without_a_backend(monkeypatch):
    monkeypatch.setattr(AppWorkflows, "aresolve", None)
    app = Faena("here", set_as_current=False)

    @app.task(bind=True)
    def first(self):
        raise self.replace(last.s())

    @app.task
    def last():
        return 5

    async def main():
        return await first.apply()

    assert asyncio.run(main()) == 5


def test_a_workflow_is_not_run_again_beside_what_a_worker_still_has_of_it():
    begun, go_on = Event(), Event()
    with in_memory(Faena("held", set_as_current=False)) as app:

        @app.task(name="slow")
        def slow(n):
            begun.set()
            go_on.wait(10)
            return n + 1

        result = chain(slow.s(1), slow.s()).delay()
        with InProcessWorker(app):
            assert begun.wait(10)
            result.workflow.cancel()
            with pytest.raises(WorkflowError, match="a worker has it still; run it again when that has ended"):
                result.workflow.retry()
            go_on.set()
        result.workflow.retry()
        with InProcessWorker(app):
            assert app.AsyncResult(result.id).get(timeout=10) == 3


def test_a_step_with_the_id_of_a_task_that_has_not_ended_is_refused():
    with in_memory(Faena("twice", set_as_current=False)) as app:

        @app.task(name="inc")
        def inc(n):
            return n + 1

        first = chain(inc.s(1).set(task_id="same"), inc.s()).delay()
        with pytest.raises(InvalidArguments, match="a task with the task_id 'same' has not ended; give it another"):
            chain(inc.s(5).set(task_id="same"), inc.s()).delay()
        run_pending(app)
        assert first.get() == 3


def test_the_name_of_a_workflow_tells_its_shape_and_nothing_of_its_arguments():
    with in_memory(Faena("named", set_as_current=False)) as app:

        @app.task(name="inc")
        def inc(n):
            return n

        secret = "password=hunter2"
        canvas = chord([inc.s(secret), group(inc.s(n) for n in range(9)), chain(inc.s(secret), inc.s())])(inc.s())
        assert canvas.workflow.status.workflow.name == "chord(inc, group(inc, inc, inc, ... 6 more), chain(inc, inc); inc)"
