"""Many calls in one run: what each of them comes to."""

import asyncio
from datetime import timedelta

import pytest

from faena import Batch, BatchCall, Faena, Unique
from faena.errors import InvalidArguments, InvalidTask, MaxRetriesExceededError, TaskRevokedError
from faena.model.result import State
from faena.testing import Clock, in_memory, run_pending


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def app(clock):
    app = Faena("shop", set_as_current=False)
    with in_memory(app, clock):
        yield app


def test_the_function_is_given_all_calls_and_returns_a_result_for_each(app):
    seen = []

    @app.task(batch=(3, "2s"))
    def count(calls):
        seen.append([(type(call), call.args, call.kwargs, call.id, call.retries, call.headers) for call in calls])
        return [call.args[0] * call.kwargs.get("by", 1) for call in calls]

    results = [count.delay(1), count.delay(2, by=10), count.apply_async((3,), headers={"a": 1}), count.delay(4)]
    run_pending(app)
    assert [each.get() for each in results] == [1, 20, 3, 4]
    assert seen == [
        [
            (BatchCall, [1], {}, results[0].id, 0, {}),
            (BatchCall, [2], {"by": 10}, results[1].id, 0, {}),
            (BatchCall, [3], {}, results[2].id, 0, {"a": 1}),
        ],
        [(BatchCall, [4], {}, results[3].id, 0, {})],
    ]


def test_returning_nothing_is_the_success_of_all(app):
    @app.task(batch=Batch(10, 0.5))
    async def count(calls):
        assert len(calls) == 2

    results = [count.delay(1), count.delay(2)]
    run_pending(app)
    assert [(each.state, each.get()) for each in results] == [(State.SUCCESS, None)] * 2


def test_each_call_fails_and_is_retried_by_itself(app, clock):
    @app.task(batch=(10, 1), max_retries=1, default_retry_delay=60, autoretry_for=(ConnectionError,))
    def count(calls):
        for call in calls:
            match call.args[0]:
                case "fail":
                    call.fail(ValueError("no"))
                case "retry":
                    call.retry(countdown=timedelta(seconds=30))
                case "retry with error":
                    call.retry(KeyError("k"), max_retries=0)
                case "autoretry":
                    call.fail(ConnectionError("busy"))
        return [OSError("returned") if call.args[0] == "return" else call.args[0] for call in calls]

    kinds = ["fine", "fail", "retry", "retry with error", "autoretry", "return"]
    results = {kind: count.delay(kind) for kind in kinds}
    run_pending(app)

    def states():
        return {kind: each.state for kind, each in results.items()}

    failed = {"fail": "FAILURE", "retry with error": "FAILURE", "return": "FAILURE"}
    assert states() == {"fine": "SUCCESS", **failed, "retry": "RETRY", "autoretry": "RETRY"}
    assert results["fine"].get() == "fine"
    with pytest.raises(OSError, match="returned"):
        results["return"].get()
    with pytest.raises(KeyError):
        results["retry with error"].get()
    clock.advance(31)
    run_pending(app)
    with pytest.raises(MaxRetriesExceededError):
        results["retry"].get()
    clock.advance(600)
    run_pending(app)
    with pytest.raises(ConnectionError):
        results["autoretry"].get()


def test_an_error_of_the_whole_is_that_of_each_that_is_not_decided(app):
    @app.task(batch=(10, 1), max_retries=3, default_retry_delay=60, autoretry_for=(ConnectionError,))
    def count(calls):
        calls[0].fail(ValueError("decided before"))
        raise ConnectionError("the database is gone")

    results = [count.delay(1), count.delay(2), count.delay(3)]
    run_pending(app)
    assert [each.state for each in results] == ["FAILURE", "RETRY", "RETRY"]


@pytest.mark.parametrize(("returned", "given"), [([1], "1 of them"), ("ab", "a str"), ({1: 2}, "a dict")])
def test_a_wrong_number_of_results_is_an_error_of_all(app, returned, given):
    @app.task(name="count", batch=(10, 1))
    def count(calls):
        return returned

    results = [count.delay(1), count.delay(2)]
    run_pending(app)
    for each in results:
        with pytest.raises(InvalidArguments) as caught:
            each.get()
        assert str(caught.value) == (
            f"task 'count': for a batch of 2 calls it returns None or a list of as many results, not {given}"
        )


def test_what_was_revoked_or_has_expired_is_not_among_them(app, clock):
    seen = []

    @app.task(batch=(10, 1))
    def count(calls):
        seen.append([call.args[0] for call in calls])

    results = [count.delay(1), count.apply_async((2,), expires=10), count.delay(3)]
    results[2].revoke()
    clock.advance(20)
    run_pending(app)
    assert seen == [[1]]
    assert [each.state for each in results] == ["SUCCESS", "REVOKED", "REVOKED"]
    with pytest.raises(TaskRevokedError):
        results[1].get()


def test_the_hooks_of_the_task_are_called_for_each(app):
    called = []

    class Told(app.Task):
        def before_start(self, task_id, args, kwargs):
            called.append(("before", args[0]))

        def on_success(self, retval, task_id, args, kwargs):
            called.append(("success", args[0], retval))

        def on_failure(self, exc, task_id, args, kwargs, einfo):
            called.append(("failure", args[0], str(exc)))

    @app.task(base=Told, batch=(10, 1))
    def count(calls):
        calls[1].fail(ValueError("two"))
        return ["one", None]

    count.delay(1)
    count.delay(2)
    run_pending(app)
    assert called == [("before", 1), ("before", 2), ("success", 1, "one"), ("failure", 2, "two")]


def test_run_in_place_a_call_is_a_batch_of_its_own(app):
    @app.task(batch=(10, 1), bind=True)
    def count(self, calls):
        assert self.request.called_directly  # it is the run of none of them
        assert [call.request.is_eager for call in calls] == [True]
        return [call.args[0] + 1 for call in calls]

    @app.task(batch=(10, 1))
    async def acount(calls):
        calls[0].fail(ValueError("no"))

    assert count.apply((1,)).get() == 2
    assert acount.apply((1,)).state == "FAILURE"

    async def whole():
        return (await count.aapply((2,))).get(), (await acount.aapply((1,))).state

    assert asyncio.run(whole()) == (3, "FAILURE")


def test_calls_of_a_batch_task_can_be_unique(app):
    @app.task(batch=(10, 1), unique=True)
    def count(calls):
        return [call.args[0] for call in calls]

    first, second, third = count.delay(1), count.delay(1), count.delay(2)
    assert (second.id, second.is_duplicate, third.is_duplicate) == (first.id, True, False)
    run_pending(app)
    assert not count.delay(1).is_duplicate
    with pytest.raises(InvalidArguments, match="what its function takes is not known here"):
        count.apply_async((1,), unique=Unique(key="calls"))


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (100, "it is a size and a time to wait, such as (100, '2s')"),
        ((0, 1), "a batch consists of 1 to 10000 calls, not of 0"),
        ((1.5, 1), "a batch consists of 1 to 10000 calls, not of 1.5"),
        ((10, -1), "a call waits for others for a time such as 0.5 or '2s', not -1"),
        ((10, None), "a call waits for others for a time such as 0.5 or '2s', not None"),
        ((10, "soon"), "soon"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(app, batch, reason):
    with pytest.raises(InvalidTask) as caught:
        app.task(name="count", batch=batch)(lambda calls: None)
    assert str(caught.value).startswith(f"task 'count': batch={batch!r}: ")
    assert reason in str(caught.value)


def test_a_function_that_takes_no_list_of_calls_is_refused(app):
    with pytest.raises(InvalidTask, match="its function takes one argument, the list of calls"):
        app.task(batch=(10, 1))(lambda a, b: None)
    with pytest.raises(InvalidTask, match="a signature cannot run in the place of many calls"):
        app.task(batch=(10, 1), returns_signature=True)(lambda calls: None)
