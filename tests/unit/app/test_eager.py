"""Running a task in place: everything a worker does around it, but for the waiting."""

import asyncio

import pytest

from faena import Faena, chain, group
from faena.errors import InvalidArguments, NotRegistered, SoftTimeLimitExceeded, TaskRevokedError
from faena.tasks.group_result import GroupResult


@pytest.fixture
def app():
    return Faena("shop", set_as_current=False, broker="memory://eager")


def test_a_task_that_runs_in_place_gives_its_result_and_knows_that_it_does(app):
    @app.task(bind=True)
    def look(self, n: int) -> tuple:
        return n, self.request.is_eager, self.request.called_directly, self.request.retries

    result = look.apply((3,))
    assert result.get() == (3, True, False, 0)
    assert result.state == "SUCCESS"
    assert result.ready() and result.successful()


def test_retries_follow_at_once_and_end_with_the_error(app):
    attempts = []

    @app.task(bind=True, max_retries=2)
    def fetch(self):
        attempts.append(self.request.retries)
        raise self.retry(exc=ConnectionError("down"), countdown=3600)

    result = fetch.apply()
    assert attempts == [0, 1, 2]
    assert result.failed()
    with pytest.raises(ConnectionError, match="down"):
        result.get()
    with pytest.raises(ConnectionError):
        fetch.apply(throw=True)


def test_an_exception_that_is_named_is_retried_by_itself(app):
    attempts = []

    @app.task(autoretry_for=(OSError,), dont_autoretry_for=(FileNotFoundError,), max_retries=3, retry_backoff=True)
    def fetch(kind: str):
        attempts.append(kind)
        raise FileNotFoundError if kind == "gone" else OSError

    fetch.apply(("gone",))
    fetch.apply(("busy",))
    assert attempts == ["gone", "busy", "busy", "busy", "busy"]


def test_coroutines_run_in_place_with_and_without_a_running_loop(app):
    @app.task
    async def double(n: int) -> int:
        await asyncio.sleep(0)
        return 2 * n

    @app.task
    def halve(n: int) -> float:
        return n / 2

    async def inside() -> list:
        return [double.apply((4,)).get(), (await double.aapply((5,))).get(), (await halve.aapply((5,))).get()]

    assert double.apply((3,)).get() == 6
    assert asyncio.run(inside()) == [8, 10, 2.5]


def test_linked_tasks_run_too(app):
    seen = []

    @app.task
    def tell(*args):
        seen.append(args)

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    add.apply((1, 2), link=tell.s("sum"))
    add.s(3).apply((4,), throw=True)
    assert seen == [(3, "sum")]


def test_what_expired_is_revoked(app):
    @app.task
    def late():
        raise AssertionError("it must not run")

    with pytest.raises(TaskRevokedError, match="expired before it began"):
        late.apply(expires=-1).get()


def test_always_eager_runs_calls_in_place(app):
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    @app.task
    def fail():
        raise SoftTimeLimitExceeded

    app.conf.update(task_always_eager=True)
    assert add.delay(1, 2).get() == 3
    assert app.send_many([add.s(1, 1), add.s(2, 2)])[1].get() == 4
    assert fail.delay().failed()
    app.conf.task_eager_propagates = True
    with pytest.raises(SoftTimeLimitExceeded):
        fail.delay()
    with pytest.raises(NotRegistered, match="did you mean"):
        app.send_task("test_eager.test_always_eager_runs_calls_in_place.ad")


def test_wrong_arguments_are_refused_before_anything_runs(app):
    @app.task
    def add(x: int, y: int) -> int:
        raise AssertionError

    with pytest.raises(InvalidArguments):
        add.apply(("1", 2))


def test_hooks_of_a_class_are_called_and_cannot_hurt(app, caplog):
    seen = []

    class Loud(app.Task):
        def before_start(self, task_id, args, kwargs):
            seen.append("before")

        def on_success(self, retval, task_id, args, kwargs):
            seen.append(("success", retval))
            raise RuntimeError("a broken hook")

        def on_failure(self, exc, task_id, args, kwargs, einfo):
            seen.append(("failure", type(exc)))

        def after_return(self, status, retval, task_id, args, kwargs, einfo):
            seen.append(status)

    @app.task(base=Loud)
    def divide(n: int) -> float:
        return 1 / n

    assert divide.apply((1,)).get() == 1.0
    assert divide.apply((0,)).failed()
    assert seen == ["before", ("success", 1.0), "before", ("failure", ZeroDivisionError), "FAILURE"]
    assert "a hook of task" in caplog.text


def test_the_group_that_ran_here_answers_as_one_that_was_sent():
    app = Faena("same", task_always_eager=True, set_as_current=False)

    @app.task
    def square(n):
        return n * n

    async def main():
        sent = group(square.s(2), square.s(3))
        completed = [each.get() async for each in (await sent.aapply_async()).aas_completed()]
        return completed, await (await sent.aapply_async())

    assert asyncio.run(main()) == ([4, 9], [4, 9])
    result, told = group(square.s(2), square.s(3)).apply_async(), []
    assert result.join(callback=lambda _, value: told.append(value)) == []
    assert told == [each.get() for each in result.as_completed()] == result.maybe_throw() == result.join_native() == [4, 9]
    result.save()
    result.revoke()
    result.forget()
    assert (result.waiting(), result.get()) == (False, [4, 9])
    asked = {name for name in dir(GroupResult) if not name.startswith("_")} - {"restore", "count", "index"}
    assert asked - set(dir(result)) == set()


def test_the_chain_that_ran_here_has_its_steps_and_is_not_sent_again():
    app, ran = Faena("same", task_always_eager=True, set_as_current=False), []

    @app.task
    def double(n):
        ran.append(n)
        return n * 2

    result = chain(double.s(1), group(double.s(), double.s()), double.s())()
    assert [step.get() for step in result.results] == [2, [4, 4], [4, 4, 4, 4]]
    assert result.apply_async() is result
    assert ran == [1, 2, 2, [4, 4]]
