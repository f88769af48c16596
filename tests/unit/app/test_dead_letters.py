"""Dead letters by the API of the app, in memory."""

import asyncio

import pytest

from faena import Faena
from faena.errors import FaenaError, InvalidArguments
from faena.testing import in_memory, run_pending


@pytest.fixture
def app():
    app = Faena("shop", set_as_current=False, task_default_retry_delay=0)

    @app.task(name="pay", max_retries=2, autoretry_for=(LookupError,), retry_jitter=False)
    def pay(order: int):
        if order < 0:
            raise ValueError(f"order {order} is no order")
        if order == 0:
            raise LookupError("nothing")
        return order

    @app.task(name="mail", queue="mails")
    def mail(to: str):
        raise OSError(f"cannot reach '{to}'")

    with in_memory(app):
        yield app


def bury(app, *calls):
    results = [app.send_task(name, args) for name, args in calls]
    run_pending(app)
    return [result.id for result in results]


def test_each_attempt_that_failed_is_told_and_the_last_with_its_traceback(app):
    (task_id,) = bury(app, ("pay", (0,)))
    letter = app.dead_letters.find(task_id)
    assert [each.error for each in letter.message.history] == ["LookupError: nothing"] * 3
    assert [bool(each.traceback) for each in letter.message.history] == [False, False, True]
    assert 'raise LookupError("nothing")' in letter.message.history[-1].traceback
    assert len({each.fingerprint for each in letter.message.history}) == 1


def test_letters_are_grouped_filtered_and_put_back_by_what_they_died_of(app):
    ids = bury(app, ("pay", (-1,)), ("pay", (-2,)), ("mail", ("ann",)), ("mail", ("bob",)), ("mail", ("eve",)))
    first, second = app.dead_letters.groups()
    assert [(each.task, each.count) for each in (first, second)] == [("mail", 3), ("pay", 2)]
    assert {each.message.id for each in app.dead_letters.list(fingerprint=second.fingerprint)} == set(ids[:2])
    assert {each.message.id for each in app.dead_letters.list(task="ma*", queue="mails")} == set(ids[2:])
    assert len(app.dead_letters.list(limit=2, offset=2, task="mail")) == 1
    assert app.dead_letters.requeue(fingerprint=second.fingerprint[:6]).count == 2
    assert app.dead_letters.purge(task="mail", reason="failed") == 3
    assert app.dead_letters.list() == []
    run_pending(app)
    assert len(app.dead_letters.list()) == 2  # they have died again


def test_a_letter_that_was_put_back_has_all_its_retries_before_it(app):
    (task_id,) = bury(app, ("pay", (0,)))
    assert app.dead_letters.find(task_id).message.retries == 0
    app.dead_letters.requeue()
    run_pending(app)
    assert len(app.dead_letters.find(task_id).message.history) == 6


def test_a_letter_that_was_changed_runs_with_what_was_changed(app):
    (task_id,) = bury(app, ("pay", (-1,)))
    changed = app.dead_letters.edit(task_id, args=[7], queue="mails", priority=9)
    assert (changed.queue, changed.message.priority) == ("mails", 9)
    assert app.dead_letters.requeue(ids=task_id).count == 1
    run_pending(app)
    assert app.AsyncResult(task_id).get(timeout=1) == 7


def test_what_a_letter_cannot_be_changed_into_is_refused(app):
    (task_id,) = bury(app, ("pay", (-1,)))
    with pytest.raises(InvalidArguments, match="pay"):
        app.dead_letters.edit(task_id, args=[1, 2, 3])
    with pytest.raises(InvalidArguments, match="a number from 0 to 9"):
        app.dead_letters.edit(task_id, priority=10)
    with pytest.raises(FaenaError, match="no dead letter of task nobody"):
        app.dead_letters.edit("nobody", args=[])
    with pytest.raises(InvalidArguments, match="there is no reason 'bored'"):
        app.dead_letters.list(reason="bored")


def test_every_verb_has_its_own_for_event_loops(app):
    (task_id,) = bury(app, ("mail", ("ann",)))
    letters = app.dead_letters

    async def body():
        assert (await letters.afind(task_id)).message.id == task_id
        assert [each.message.id for each in await letters.alist(queue="mails")] == [task_id]
        assert [each.count for each in await letters.agroups()] == [1]
        assert (await letters.aedit(task_id, kwargs={"to": "bob"}, args=[])).message.id == task_id
        assert (await letters.arequeue(ids=[task_id])).count == 1
        assert await letters.apurge() == 0
        await app.aclose()

    asyncio.run(body())
