"""Canvases and handles as Celery's users write them."""

import asyncio
import functools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faena import Faena, chain, chord, group, signature
from faena.errors import ChordError, InvalidArguments, ResultNotFound, TaskRevokedError
from faena.testing import Clock, in_memory, run_pending

app = Faena("like_celery", set_as_current=False, accept_content=["json", "msgpack"])
failures: list[str] = []
told: list[tuple[Any, ...]] = []


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def boom(*_):
    raise ValueError("boom")


@app.task
def send_on(value, callback):
    return signature(callback, app=app).delay(value).id


@app.task
def note_failed(task_id):
    failures.append(task_id)


@app.task
def note_as_celery(request, exc: Exception, traceback: str):
    told.append((request, exc, traceback))


@app.task
def note_as_celery_with_more(request, exc, traceback, mine, *, also):
    told.append((type(exc).__name__, mine, also))


@pytest.fixture(autouse=True)
def queue():
    failures.clear()
    told.clear()
    with in_memory(app):
        yield


def ran(canvas, **options):
    handle = canvas.apply_async(**options)
    run_pending(app)
    return handle


# -- as the guide of Celery and many programs have it ------------------------------------------------------------


def test_a_chain_of_a_pipe_runs_its_steps():
    assert ran(chain(add.s(1, 2) | add.s(3) | add.s(4))).get(timeout=1) == 10


def test_a_chain_is_sent_by_delay():
    handle = chain(add.s(1, 2), add.s(3)).delay()
    run_pending(app)
    assert handle.get(timeout=1) == 6


def test_a_group_of_a_list_gives_the_results_in_order():
    assert ran(group([add.s(i, i) for i in range(10)])).get(timeout=1) == [2 * i for i in range(10)]


def test_a_called_chord_is_sent_once_although_apply_async_is_called_on_its_handle_again():
    handle = chord(header=[add.s(1, 1), add.s(2, 2)])(total.s())
    assert handle.apply_async() is handle
    assert [event.task for event in run_pending(app)] == [add.name, add.name, total.name]
    assert handle.get(timeout=1) == 6


def test_a_pipe_of_any_length_is_built_by_reduce():
    piped = functools.reduce(lambda before, after: before | after, [add.s(0, 1), *(add.s(1) for _ in range(9))])
    assert ran(piped).get(timeout=1) == 10


# -- signatures --------------------------------------------------------------------------------------------------


def test_options_of_a_signature_are_given_by_name_or_together():
    both = signature(add.name, args=(1, 2), options={"queue": "mail", "priority": 3}, priority=9, app=app)
    assert both.options == {"queue": "mail", "priority": 9}
    with pytest.raises(InvalidArguments, match="unknown option 'qeue' of a call; did you mean 'queue'"):
        signature(add.name, options={"qeue": "mail"}, app=app)


@pytest.mark.parametrize("serializer", ["json", "msgpack"])
def test_a_canvas_is_sent_as_an_argument_and_made_a_canvas_again_by_the_task(serializer):
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    callback = add.s(10).set(countdown=timedelta(0)) | group(add.s(1), add.si(moment, timedelta(days=1)))
    handle = send_on.apply_async((1, callback), serializer=serializer)
    run_pending(app)
    assert app.GroupResult(handle.get(timeout=1)).get(timeout=1) == [12, moment + timedelta(days=1)]


def test_a_callback_that_is_linked_twice_runs_once():
    call = add.s(1, 2)
    call.link(total.si([1]))
    call.link(total.si([1]))
    call.link(total.si([2]))
    call.apply_async()
    assert [event.task for event in run_pending(app)] == [add.name, total.name, total.name]


def test_children_of_a_call_are_what_it_sent_and_what_was_linked_to_it():
    handle = add.apply_async((1, 2), link=add.s(10))
    run_pending(app)
    assert [child.get(timeout=1) for child in handle.children] == [13]


@pytest.mark.parametrize(
    ("how", "countdowns"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"start": 1, "stop": 3}, [1, 2, 3, 3, 3]),
        ({"start": 0, "stop": 1, "step": 0.5}, [0, 0.5, 1, 1, 1]),
    ],
)
def test_skewed_members_begin_one_after_the_other_and_those_after_the_stop_together(how, countdowns):
    skewed = group(add.s(1, number) for number in range(5)).skew(**how)
    assert [member.options["countdown"] for member in skewed] == countdowns


# -- errbacks ----------------------------------------------------------------------------------------------------


def test_the_errback_of_a_body_runs_once_when_members_of_its_header_fail():
    handle = ran(chord([add.s(1, 1), boom.s(), boom.s()], total.s().on_error(note_failed.s())))
    with pytest.raises(ChordError, match="ValueError"):
        handle.get(timeout=1)
    assert failures == [handle.parent[1].id]


def test_the_errback_of_a_body_runs_once_when_the_body_fails():
    handle = ran(chord([add.s(1, 1), add.s(1, 1)], boom.s().on_error(note_failed.s())))
    assert failures == [handle.id]


def test_the_errback_of_a_body_does_not_run_for_members_whose_failure_is_tolerated():
    header = group(add.s(1, 1), boom.s().if_fails("skip"))
    assert ran(header | total.s().on_error(note_failed.s())).get(timeout=1) == 2
    assert failures == []


def test_the_errback_of_a_body_does_not_run_for_a_header_that_is_tolerated_as_a_whole():
    header = group(add.s(1, 1), boom.s()).if_fails("continue")
    handle = ran(header | add.si(1, 1).on_error(note_failed.s()))
    assert handle.get(timeout=1) == 2
    assert failures == []


def test_the_errback_of_a_step_does_not_run_for_a_task_before_it():
    ran(chain(boom.s(), add.s(1).on_error(note_failed.s())))
    assert failures == []


@pytest.mark.parametrize(
    "send",
    [
        lambda: boom.apply_async((1,), link_error=note_as_celery.s()),
        lambda: boom.apply_async((1,), link_error=[note_as_celery.s()]),
        lambda: boom.s(1).on_error(note_as_celery.s()).delay(),
        lambda: chain(boom.s(1), add.s(1)).on_error(note_as_celery.s()).delay(),
        lambda: group(boom.s(1), boom.s(1)).on_error(note_as_celery.s()).delay(),
        lambda: chord([boom.s(1)], total.s().on_error(note_as_celery.s())).delay(),
    ],
)
def test_an_errback_that_takes_what_celery_gives_is_given_that_once(send):
    send()
    run_pending(app)
    [(request, error, traceback)] = told
    assert request.task == boom.name
    assert repr(app.AsyncResult(request.id).result) == repr(error) == "ValueError('boom')"
    assert traceback.endswith("ValueError: boom\n")


def test_an_errback_is_given_its_own_arguments_after_what_celery_gives():
    boom.apply_async((1,), link_error=note_as_celery_with_more.s("mine", also=2))
    run_pending(app)
    assert told == [("ValueError", "mine", 2)]


@pytest.mark.parametrize(
    "run",
    [
        lambda: chain(boom.s(1), add.s(1)).on_error(note_as_celery.s()).apply(),
        lambda: boom.s(1).on_error(note_as_celery.s()).apply(),
        lambda: boom.apply((1,), link_error=note_as_celery.s()),
        lambda: asyncio.run(boom.aapply((1,), link_error=note_as_celery.s())),
    ],
)
def test_an_errback_that_runs_in_place_is_told_too(run):
    with pytest.raises(ValueError, match="boom"):
        run().get()
    assert [(request.task, repr(error)) for request, error, _ in told] == [(boom.name, "ValueError('boom')")]


@pytest.mark.parametrize(
    "send",
    [
        lambda: boom.apply_async((1,), link_error=total.s(1, 2)),
        lambda: chain(boom.s(1), add.s(1)).on_error(total.s(1, 2)).delay(),
        lambda: app.send_many([boom.s(1).on_error(note_as_celery.s())]),
    ],
)
def test_an_errback_that_does_not_take_what_it_would_be_given_is_refused_where_it_is_sent(send):
    with pytest.raises(InvalidArguments, match="an errback is given the id of the task that failed, and then its own"):
        send()


def test_an_immutable_errback_is_given_its_own_arguments_only():
    boom.apply_async((1,), link_error=note_failed.si("mine"))
    run_pending(app)
    assert failures == ["mine"]
    with pytest.raises(InvalidArguments, match="note_failed': an errback is given its own arguments"):
        boom.apply_async((1,), link_error=note_failed.si())


# -- handles -----------------------------------------------------------------------------------------------------


def test_get_takes_a_callback_and_the_interval_of_celery():
    seen = []
    handle = ran(add.s(1, 2))
    assert handle.get(timeout=1, interval=0.5, callback=lambda task_id, value: seen.append((task_id, value))) == 3
    assert seen == [(handle.task_id, 3)]


@pytest.mark.parametrize("verb", ["get", "join", "join_native"])
def test_a_group_is_waited_for_by_each_of_celerys_verbs(verb):
    handle = ran(group(add.s(1, 1), add.s(2, 2)))
    seen = []
    assert getattr(handle, verb)(timeout=1, interval=0.5) == [2, 4]
    assert getattr(handle, verb)(timeout=1, callback=lambda *both: seen.append(both)) == []
    assert seen == [(handle[0].id, 2), (handle[1].id, 4)]


def test_maybe_throw_raises_what_has_failed_and_never_waits():
    handle = group(add.s(1, 1), boom.s()).apply_async()
    assert handle.maybe_throw() == [None, None]
    run_pending(app)
    assert handle[0].maybe_throw() == 2
    with pytest.raises(ValueError, match="boom"):
        handle.maybe_throw()
    values = handle.maybe_reraise(propagate=False)
    assert (values[0], repr(values[1])) == (2, "ValueError('boom')")


def test_a_group_is_restored_by_the_two_ways_to_ask_the_app():
    handle = ran(group(add.s(1, 1), add.s(2, 2)))
    handle.save()
    assert app.GroupResult(handle.id) == handle
    assert app.GroupResult.restore(handle.id).get(timeout=1) == [2, 4]
    with pytest.raises(ResultNotFound):
        app.GroupResult.restore("nobody")


def test_a_forgotten_group_has_no_result_any_more():
    handle = ran(group(add.s(1, 1), add.s(2, 2)))
    assert handle.get(timeout=1) == [2, 4]
    handle.forget()
    assert [app.AsyncResult(each).result for each in (handle.id, handle[0].id, handle[1].id)] == [None] * 3
    assert handle.maybe_throw() == [None, None]
    with pytest.raises(ResultNotFound):
        handle.get(timeout=5)


def test_a_group_of_which_a_member_was_revoked_says_so():
    clock = Clock()
    with in_memory(app, clock):
        handle = group(add.s(1, 1), add.s(2, 2)).apply_async(countdown=10)
        handle[0].revoke()
        with pytest.raises(TaskRevokedError, match=f"task {handle[0].id} was revoked"):
            handle.get(timeout=1)
