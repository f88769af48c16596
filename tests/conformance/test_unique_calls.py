"""Unique, debounced and throttled calls, on every store and on pairs of different ones."""

import asyncio
import json
import threading
import time

import pytest

from faena import Debounce, DuplicateCall, DuplicateCalls, Faena, Throttle, Unique, group
from faena._lib.drive import run
from faena.errors import InvalidArguments, InvalidTask
from faena.model.delivery import Place
from faena.model.result import State
from faena.testing.worker import InProcessWorker, run_pending

STORES = ["memory", "sqlite", "redis", "redis+sqlite", "sqlite+redis"]


@pytest.fixture(params=STORES)
def app(request, app_on):
    return app_on(request.param)


def declared(app, **options):
    @app.task(name="mail", **options)
    def mail(user, text="hello", *, urgent=False):
        app.ran.append((user, text))
        return text

    return mail


def waiting(app):
    return sum(each.waiting + (each.delayed or 0) for each in run(app.connection().broker.queues.status()))


def test_a_second_call_with_the_same_arguments_is_none(app):
    mail = declared(app, unique=True)
    first, second, other = mail.delay(1), mail.delay(user=1, urgent=False, text="hello"), mail.delay(2)
    assert (first.is_duplicate, second.is_duplicate, other.is_duplicate) == (False, True, False)
    assert second.id == first.id != other.id
    run_pending(app)
    assert sorted(app.ran) == [(1, "hello"), (2, "hello")]
    assert second.get(timeout=5) == "hello"
    third = mail.delay(1)
    assert not third.is_duplicate
    assert third.id != first.id


def test_a_call_from_a_running_task_is_a_duplicate_of_it(app):
    handles = []

    @app.task(unique=True)
    def again(n):
        handles.append(again.delay(n))

    @app.task(unique="start")
    def later(n):
        if len(handles) < 3:
            handles.append(later.delay(n))

    first = again.delay(1)
    run_pending(app)
    assert [(each.id, each.is_duplicate) for each in handles] == [(first.id, True)]
    second = later.delay(1)
    run_pending(app)
    assert [each.is_duplicate for each in handles] == [True, False, False]
    assert second.id not in {each.id for each in handles}


def test_a_key_is_kept_through_retries_and_let_go_at_the_end_whatever_it_is(app):
    @app.task(bind=True, unique=True, max_retries=1, default_retry_delay=600)
    def fails(self, how):
        if how == "retry":
            raise self.retry()
        raise ValueError("boom")

    retried = fails.delay("retry")
    run_pending(app)
    assert retried.state == State.RETRY
    assert fails.delay("retry").id == retried.id
    failed = fails.delay("fail")
    run_pending(app)
    assert failed.state == State.FAILURE
    assert fails.delay("fail").id != failed.id


def test_a_revoked_call_lets_go_of_its_key(app):
    mail = declared(app, unique=True)
    first = mail.apply_async((1,), countdown=600)
    assert mail.delay(1).is_duplicate
    first.revoke()
    assert not mail.delay(1).is_duplicate
    window = declared_window(app).delay(1)
    window.revoke()
    assert not app.tasks["window"].delay(1).is_duplicate


def declared_window(app):
    @app.task(name="window", unique="10m")
    def window(n):
        app.ran.append(n)

    return window


def test_a_purged_queue_holds_no_keys(app):
    mail = declared(app, unique=True)
    mail.delay(1)
    run(app.connection().broker.queues.purge("default"))
    assert not mail.delay(1).is_duplicate


def test_a_window_outlasts_the_task(app):
    window = declared_window(app)
    first = window.delay(1)
    run_pending(app)
    assert window.delay(1).id == first.id
    assert window.delay(1).is_duplicate
    assert not window.apply_async((1,), unique=False).is_duplicate
    run_pending(app)
    assert app.ran == [1, 1]


def test_a_key_of_some_arguments(app):
    mail = declared(app, unique=Unique(key="user"))
    assert mail.delay(1, "a").id == mail.delay(1, "b").id
    assert not mail.delay(2, "a").is_duplicate
    assert mail.apply_async((1, "c"), unique=Unique(key=lambda user, text: user % 2)).is_duplicate is False
    assert mail.apply_async((3, "d"), unique=Unique(key=lambda user, text: user % 2)).is_duplicate is True
    assert mail.apply_async((4, "e"), unique=Unique(key=())).is_duplicate is False
    assert mail.apply_async((5, "f"), unique=Unique(key=())).is_duplicate is True


def test_a_conflict_can_be_an_error(app):
    mail = declared(app, unique=Unique(on_conflict="error"))
    first = mail.delay(1)
    with pytest.raises(DuplicateCall) as caught:
        mail.delay(1)
    assert caught.value.task_id == first.id
    assert str(caught.value) == (
        f"task 'mail' is unique: {first.id} has the same key, and it was called before; nothing was sent"
    )


def test_a_conflict_can_replace_what_waits(app):
    mail = declared(app, unique=Unique(key="user", on_conflict="replace"))
    first = mail.delay(1, "old")
    second = mail.apply_async((1, "newer"), countdown=600)
    assert (second.id, second.is_duplicate) == (first.id, False)
    third = mail.delay(1, "newest")
    run_pending(app)
    assert app.ran == [(1, "newest")]
    assert first.get(timeout=5) == third.get(timeout=5) == "newest"
    assert not mail.delay(1).is_duplicate
    assert waiting(app) == 1


def test_what_runs_is_not_replaced(app):
    refused = []

    @app.task(name="again", unique=Unique(on_conflict="replace"))
    def again(n):
        try:
            again.delay(n)
        except DuplicateCall as error:
            refused.append(str(error))

    first = again.delay(1)
    run_pending(app)
    assert refused == [
        f"task 'again' is unique: {first.id} has the same key, and has begun, so that it cannot be replaced; "
        "nothing was sent"
    ]


def test_a_debounced_call_waits_and_the_last_one_runs(app):
    mail = declared(app, debounce=Debounce(1.0, key="user"))
    began_s = time.monotonic()
    handles = [mail.delay(1, f"text {number}") for number in range(5)]
    assert {each.id for each in handles} == {handles[0].id}
    assert run_pending(app) == []
    while not app.ran and time.monotonic() - began_s < 10:
        run_pending(app)
    assert time.monotonic() - began_s >= 1.0
    assert app.ran == [(1, "text 4")]
    assert handles[0].get(timeout=5) == "text 4"
    assert mail.delay(1).id != handles[0].id


def test_a_debounced_call_waits_no_longer_than_it_may(app):
    mail = declared(app, debounce=Debounce("10m", key="user", max_wait="11m"))
    first = mail.delay(1)
    for _ in range(3):
        assert mail.delay(1).id == first.id
    link = app.connection()
    (found,) = [each for _, each in run(link.broker.queues.browse("default", 10))]
    assert 598 < found.due_at_s - time.time() <= 600
    slow = declared_slow(app)
    slow.delay()
    time.sleep(0.25)
    slow.delay()
    (found,) = [each for _, each in run(link.broker.queues.browse("slow", 10))]
    assert found.due_at_s - time.time() < 0.4  # not 0.5: the first call is too long ago


def declared_slow(app):
    @app.task(queue="slow", debounce=Debounce(0.5, max_wait=0.6))
    def slow():
        pass

    return slow


def test_so_many_throttled_calls_run_within_a_time(app):
    mail = declared(app, throttle=Throttle("3/h", key="user"))
    sent = app.send_many([mail.s(1, str(number)) for number in range(3)])
    assert {each.is_duplicate for each in sent} == {False}
    assert mail.delay(1, "3").id in {each.id for each in sent}
    run_pending(app)  # what they become changes nothing
    assert mail.delay(1, "4").is_duplicate
    assert not mail.delay(2, "0").is_duplicate
    run_pending(app)
    assert sorted(app.ran) == [(1, "0"), (1, "1"), (1, "2"), (2, "0")]


def test_a_throttled_call_runs_once_within_its_time(app):
    mail = declared(app, throttle="1/m")
    first = mail.delay(1)
    run_pending(app)
    again = mail.delay(1)
    assert (again.id, again.is_duplicate) == (first.id, True)
    short = declared_short(app)
    assert [short.delay().is_duplicate for _ in range(3)] == [False, True, True]
    time.sleep(0.2)
    assert short.delay().is_duplicate is False


def declared_short(app):
    @app.task(throttle=Throttle(0.15, key=()))
    def short():
        pass

    return short


def test_many_calls_at_once_obey(app):
    mail = declared(app, unique=True)
    plain = app.task(name="plain")(lambda n: app.ran.append(n))
    sent = app.send_many([mail.s(1), plain.s(7), mail.s(2), mail.s(1), plain.s(7)])
    assert [each.is_duplicate for each in sent] == [False, False, False, True, False]
    assert sent[3].id == sent[0].id
    run_pending(app)
    assert sorted(app.ran, key=str) == [(1, "hello"), (2, "hello"), 7, 7]


@pytest.mark.parametrize("is_awaited", [False, True])
def test_of_many_calls_those_whose_keys_are_taken_are_named_and_the_others_sent(app, is_awaited):
    loud, plain = declared(app, unique=Unique(on_conflict="error")), app.task(name="plain")(lambda n: app.ran.append(n))
    present = loud.delay(1)
    calls = [loud.s(2), loud.s(1), plain.s(7), loud.s(2)]

    async def asend():
        try:
            return await app.asend_many(calls)
        finally:
            await app.aclose()

    with pytest.raises(DuplicateCalls) as caught:
        asyncio.run(asend()) if is_awaited else app.send_many(calls)
    error = caught.value
    sent, none, other, again = error.results
    assert (none, again) == (None, None)
    assert {place: each.task_id for place, each in error.refused.items()} == {1: present.id, 3: sent.id}
    assert str(error) == (
        f"2 of 4 calls were not sent, since other calls have their keys: 1 ({present.id}), 3 ({sent.id}); "
        "all others were sent"
    )
    run_pending(app)
    assert sorted(app.ran, key=str) == [(1, "hello"), (2, "hello"), 7]
    assert other.state == "SUCCESS"


def declared_loud(app):
    @app.task(unique=Unique(on_conflict="error"))
    def loud():
        pass

    return loud


def test_coroutines_send_the_same_way(app):
    mail = declared(app, unique=Unique(key="user", on_conflict="replace"))

    async def whole():
        first, second = await mail.adelay(1, "old"), await mail.adelay(1, "new")
        many = await app.asend_many([mail.s(1, "newest"), mail.s(2)])
        await app.aclose()
        return first, second, *many

    first, second, third, other = asyncio.run(whole())
    assert first.id == second.id == third.id != other.id
    run_pending(app)
    assert sorted(app.ran) == [(1, "newest"), (2, "hello")]


@pytest.mark.parametrize("app", ["memory"], indirect=True)
@pytest.mark.parametrize(
    "options",
    [
        {"unique": Unique(key="user")},
        {"unique": "start"},
        {"debounce": Debounce(5, key=["user"])},
        {"throttle": Throttle("5s")},
    ],
)
def test_a_signature_that_travels_keeps_its_rule(app, options):
    mail = declared(app)
    written = json.dumps(app.codecs.decode("json", app.codecs.encode("json", mail.s(1).set(**options).as_dict())))
    first, second = [app.signature(json.loads(written)).delay() for _ in range(2)]
    assert first.id == second.id


def test_steps_of_workflows_and_linked_tasks_have_to_run(app):
    mail = declared(app, unique=True)
    plain = app.task(name="plain")(lambda n=0: n)
    with pytest.raises(InvalidArguments, match=r"task 'mail': a step of a workflow.* cannot be unique="):
        (plain.s() | mail.s()).delay()
    with pytest.raises(InvalidArguments, match="cannot be unique="):
        plain.apply_async(link=mail.s())
    with pytest.raises(InvalidArguments, match="cannot be throttle="):
        group(plain.s().set(throttle=5), plain.s(), app=app).delay()
    result = (plain.s(3) | mail.s().set(unique=False)).delay()
    plain.apply_async((4,), link=mail.s().set(unique=False))
    run_pending(app)
    assert result.get(timeout=5) == "hello"
    assert sorted(app.ran) == [(3, "hello"), (4, "hello")]
    assert waiting(app) == 0


def test_of_many_who_call_at_the_same_time_one_sends(app):
    mail = declared(app, unique=True)
    sent, barrier = [], threading.Barrier(6)

    def call():
        barrier.wait()
        for number in range(5):
            sent.append(mail.delay(number))

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == 30
    assert len({each.id for each in sent}) == 5 == sum(not each.is_duplicate for each in sent)
    assert waiting(app) == 5


@pytest.mark.parametrize("how", ["replace", "return"])
def test_no_change_is_missed_while_a_worker_takes_what_is_replaced(app, how):
    """Until the start: whatever is called is seen by a run that begins after it, with the last arguments if they count."""
    state = [0, 0, 0]

    @app.task(unique=Unique("start", key="key", on_conflict=how))
    def save(key, number):
        app.ran.append((key, number, state[key]))

    handles = []
    with InProcessWorker(app, threads=2):
        for number in range(1, 151):
            key = number % 3
            state[key] = number
            handles.append(save.delay(key, number))
            if number % 7 == 0:
                handles[-1].get(timeout=20)
        for handle in handles:
            handle.get(timeout=20)
    for key in range(3):
        last = max(number for number in range(1, 151) if number % 3 == key)
        assert max(seen for of, _, seen in app.ran if of == key) == last
        if how == "replace":
            assert max(number for of, number, _ in app.ran if of == key) == last
    assert waiting(app) == 0


def test_a_task_that_is_parked_keeps_its_key(app):
    @app.task(bind=True, unique=True)
    def waits(self, n):
        app.ran.append(self.wait_for_event("go"))

    first = waits.delay(1)
    run_pending(app)
    assert waits.delay(1).id == first.id
    app.signal_event("go", 5)
    assert waits.delay(1).id == first.id
    run_pending(app)
    assert app.ran == [5]
    assert waits.delay(1).id != first.id


def test_a_call_that_its_limits_hold_back_has_its_key_and_is_replaced_as_any_other(app):
    mail = declared(app, rate_limit="1/h", unique=Unique(key="user", on_conflict="replace"))
    mail.delay(1)
    run_pending(app)
    held_back = mail.delay(2, "old")
    assert run_pending(app) == []
    assert mail.apply_async((2, "none"), unique=Unique(key="user")).is_duplicate
    assert mail.delay(2, "new").id == held_back.id
    link = app.connection()
    assert list(run(link.broker.locate([held_back.id]))) == [Place.LIMITED]
    (found,) = run(link.broker.cancel([held_back.id]))
    assert json.loads(found.body) == [[2, "new"], {}]
    assert not mail.delay(2).is_duplicate


def test_calls_of_a_batch_under_a_limit_run_as_many_at_a_time_as_it_allows(app):
    @app.task(batch=(10, 0.05), concurrency=2)
    def count(calls):
        app.ran.append(len(calls))

    results = [count.delay(number) for number in range(6)]
    with InProcessWorker(app):
        assert [each.get(timeout=20) for each in results] == [None] * 6
    assert sum(app.ran) == 6
    assert max(app.ran) <= 2


def test_a_call_whose_client_died_before_it_was_published_is_taken_over_in_time(app):
    """Between claiming and publishing, where those are two steps: it may still be about to publish, but not for ever."""
    mail = declared(app, unique=True)
    first, link = mail.delay(1), app.connection()
    (message,) = run(link.broker.cancel([first.id]))
    run(link.backend.claims.release([message]))
    run(link.backend.claims.take([message], object()))  # here its client has died
    is_joint = link.backend.joint(link.broker, "") is not None
    if not is_joint:
        assert mail.delay(1).id == first.id
    app.clock = lambda: time.time() + 60
    second = mail.delay(1)
    assert (second.is_duplicate, second.id == first.id) == (False, False)
    assert mail.delay(1).id == second.id
    assert waiting(app) == 1


@pytest.mark.parametrize("app", ["redis+sqlite", "sqlite+redis"], indirect=True)
def test_a_client_that_dies_while_it_replaces_loses_nothing(app):
    """Where broker and backend are two, the new message lies in the backend until it is published."""
    link = app.connection()
    mail = declared(app, unique=Unique(key="user", on_conflict="replace"))
    handle = mail.delay(1, "old")
    publish = link.broker.publish

    async def dies(messages):
        raise KeyboardInterrupt

    link.broker.publish = dies
    with pytest.raises(KeyboardInterrupt):
        mail.delay(1, "new")
    link.broker.publish = publish
    assert waiting(app) == 0
    assert mail.apply_async((1, "other"), unique=Unique(key="user")).id == handle.id  # it still has its key
    run(link.broker.publish(run(link.backend.journal.due(0.0, 10, link.broker))))  # not due yet
    run(link.broker.publish(run(link.backend.journal.unpark([handle.id]))))  # as the scheduler does then
    run_pending(app)
    assert app.ran == [(1, "new")]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"unique": "strat"}, "it lasts until \"start\", \"end\", or for a time such as \"10m\", not 'strat'"),
        ({"unique": Unique(on_conflict="ignore")}, "on_conflict is one of return, replace, error, not 'ignore'"),
        ({"unique": True, "throttle": 5}, "unique= and throttle= exclude one another: give one of them"),
        ({"debounce": 0.0001, "throttle": 5}, "debounce= and throttle= exclude one another: give one of them"),
        ({"debounce": Debounce("10s", max_wait="5s")}, "max_wait 5 s is less than wait 10 s"),
        ({"throttle": "21/m"}, "from 1 to 20 calls in each period run; for more of them"),
        ({"throttle": "0/m"}, "from 1 to 20 calls in each period run"),
        ({"throttle": "x/m"}, "from 1 to 20 calls in each period run"),
        ({"throttle": -1}, "a time is needed that is more than 0"),
        ({"unique": Unique(key=7)}, "not iterable"),
        ({"unique": Unique(key=["a", 7])}, "a key is made of arguments by name"),
        ({"throttle": Throttle("5s", key="user")}, "key='user' names no argument of it"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_says_what_is_wrong(options, reason):
    app = Faena("shop", broker="memory://never", set_as_current=False)
    with pytest.raises(InvalidTask) as caught:
        app.task(name="mail", **options)(lambda: None)
    assert str(caught.value).startswith("task 'mail': ")
    assert reason in str(caught.value)


def test_a_wrong_call_says_what_is_wrong(app):
    mail = declared(app, unique=True)
    with pytest.raises(InvalidArguments, match=r"key='usr' names no argument of it; did you mean 'user'\?"):
        mail.apply_async((1,), unique=Unique(key="usr"))
    with pytest.raises(InvalidArguments, match="give no countdown or eta with it"):
        mail.apply_async((1,), debounce=5, countdown=3, unique=False)
    with pytest.raises(InvalidArguments, match="its arguments make no key"):
        app.send_task("elsewhere", (object(),), serializer="pickle", unique=True)
    with pytest.raises(InvalidArguments, match="what its function takes is not known here"):
        app.send_task("elsewhere", (1,), unique=Unique(key="user"))
    assert app.send_task("elsewhere", (1,), unique=True).id == app.send_task("elsewhere", (1,), unique=True).id
    assert waiting(app) == 1
