"""Calls that are collected and sent in batches, on every store and on pairs of different ones."""

import asyncio

import pytest

from faena import Queue, group
from faena._lib.drive import run
from faena.errors import NotAllSent
from faena.testing.worker import InProcessWorker, run_pending


@pytest.fixture(params=["memory", "sqlite", "redis", "redis+sqlite"])
def app(request, app_on):
    app = app_on(request.param)

    @app.task(name="add")
    def add(x, y=0):
        app.ran.append(x)
        return x + y

    return app


def waiting(app):
    return sum(each.waiting + (each.delayed or 0) for each in run(app.connection().broker.queues.status()))


def test_each_call_of_a_block_is_sent_once_and_in_order(app):
    add = app.tasks["add"]
    with app.buffered(max_pending=10) as calls:
        handles = [add.delay(n, 1) for n in range(25)]
        assert waiting(app) == 20
        assert len(calls.pending) == 5
        handles.append(add.apply_async((25, 1), countdown=0))
    assert waiting(app) == 26
    run_pending(app)
    assert app.ran == list(range(26))
    assert [handle.get(timeout=5) for handle in handles] == list(range(1, 27))


def test_the_same_holds_for_coroutines(app):
    add = app.tasks["add"]

    async def main():
        async with app.buffered(max_pending=10):
            handles = list(await asyncio.gather(*(add.adelay(n) for n in range(25))))
        await app.aclose()
        return handles

    handles = asyncio.run(main())
    run_pending(app)
    assert sorted(app.ran) == list(range(25))
    assert [handle.get(timeout=5) for handle in handles] == list(range(25))


def test_who_waits_for_a_result_within_the_block_lets_it_be_sent(app):
    add = app.tasks["add"]
    with InProcessWorker(app), app.buffered() as calls:
        handle = add.delay(1, 2)
        assert handle.status == "PENDING"
        assert handle.get(timeout=10) == 3
        assert calls.pending == ()

        async def main():
            async with app.buffered():
                value = await (await add.adelay(2, 2))
            await app.aclose()
            return value

        assert asyncio.run(main()) == 4


def test_workflows_and_unique_calls_are_sent_at_once(app):
    add = app.tasks["add"]

    @app.task(name="once", unique=True)
    def once(x):
        app.ran.append(x)

    with app.buffered() as calls:
        waits = add.delay(1)
        first, second = once.delay(2), once.delay(2)
        assert (first.is_duplicate, second.is_duplicate) == (False, True)
        both = group(add.s(4), add.s(5)).delay()
        assert calls.pending == (waits.id,)
        assert waiting(app) == 3
        add.apply_async((6,), link=add.s(1))
    run_pending(app)
    assert sorted(app.ran) == [1, 2, 4, 5, 6, 6]
    assert both.get(timeout=5) == [4, 5]


def test_a_call_whose_id_waits_already_is_not_sent_twice(app):
    add = app.tasks["add"]
    with app.buffered():
        add.apply_async((1,), task_id="mine")
        add.apply_async((2,), task_id="mine")
    with app.buffered():
        add.apply_async((3,), task_id="mine")
    assert waiting(app) == 1
    run_pending(app)
    assert app.ran == [1]


def test_what_finds_no_room_in_its_queue_waits_on(app):
    add = app.tasks["add"]
    app.conf.task_queues = [Queue("default"), Queue("small", max_length=3)]
    with app.buffered() as calls:
        handles = [add.apply_async((n,), queue="small") for n in range(4)]
        with pytest.raises(NotAllSent, match="queue 'small' is full") as caught:
            calls.flush()
        assert caught.value.pending == calls.pending == tuple(handle.id for handle in handles)
        app.conf.task_queues = [Queue("default"), Queue("small", max_length=4)]
    assert waiting(app) == 4
