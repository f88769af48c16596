"""Circuit breakers, on every store and on pairs of different ones: what fails too often is held back, and comes back."""

import pytest

from faena import CircuitBreaker, Faena
from faena._lib.drive import run
from faena.app.breakers import close_breaker, set_breaker
from faena.errors import InvalidArguments, NotRegistered
from faena.model.breaker import Phase
from faena.model.limit import Change, Refusal
from faena.scheduler.breakers import turn_breakers
from faena.testing.clock import Clock
from faena.testing.worker import run_pending

STORES = ["memory", "sqlite", "redis", "redis+sqlite", "sqlite+redis"]
FAMILY = "breaker:pay"


@pytest.fixture(params=STORES)
def app(request, app_on):
    app = app_on(request.param)
    app.clock = Clock()
    app.is_down = True

    @app.task(
        name="pay", concurrency=5,
        circuit_breaker=CircuitBreaker(least=4, pause="30s", max_pause="100s", errors=(OSError, EOFError)),
    )  # fmt: skip
    def pay(order):
        app.ran.append(order)
        if app.is_down:
            raise ConnectionError("the bank is away")

    @app.task(name="other")
    def other(order):
        app.ran.append(order)

    return app


def limits(app):
    return next(each for each in app.limits.list() if each.name == FAMILY)


def opened(app, calls=6):
    for number in range(calls):
        app.tasks["pay"].delay(number)
    run_pending(app)
    assert app.ran == [0, 1, 2, 3]
    app.ran.clear()


def test_what_fails_too_often_is_held_back_tried_again_and_comes_back(app):
    opened(app)
    standing = app.breakers.list()["pay"]
    assert (standing.phase, standing.attempts, standing.errors, standing.pause_s) == (Phase.OPEN, 4, 4, 30.0)
    assert standing.error == "ConnectionError: the bank is away"
    held = app.tasks["pay"].delay(6)
    app.tasks["other"].delay("other")
    run_pending(app)
    assert app.ran == ["other"]  # it holds back nothing else, and loses nothing
    (obstacle,) = app.limits.obstacles(held.id)
    assert (obstacle.limit, obstacle.reason) == (FAMILY, Refusal.PAUSED)
    assert app.explain(held.id).reasons[1] == (
        "It is held back: the circuit breaker of task 'pay' is open (4 of 4 attempts failed, the last with "
        "ConnectionError: the bank is away): the next try is in 30 s."
    )

    app.clock.advance(29)
    run_pending(app)
    app.clock.advance(1.5)
    run_pending(app)
    assert app.ran == ["other", 4]  # one try, which failed: twice the pause
    assert app.breakers.list()["pay"].pause_s == 60.0
    app.clock.advance(60)
    run_pending(app)
    assert app.ran == ["other", 4, 5]
    assert app.breakers.list()["pay"].pause_s == 100.0  # and no longer than that

    app.is_down = False
    app.clock.advance(100)
    run_pending(app)
    assert app.ran == ["other", 4, 5, 6]
    assert app.breakers.list() == {}
    assert limits(app).change is None
    assert held.get(timeout=5) is None


def test_what_people_set_of_a_task_stays_as_it_is(app):
    app.limits.set("pay", concurrency=7)
    opened(app)
    app.limits.set("pay", rate="50/s")
    app.is_down = False
    app.clock.advance(31)
    run_pending(app)
    assert app.ran == [4, 5]
    changes = {each.name: each.change for each in app.limits.list()}
    assert (changes["task:pay"], changes[FAMILY]) == (Change(50.0, 7), None)


def test_errors_that_are_not_meant_hold_nothing_back(app):
    @app.task(name="check", circuit_breaker=CircuitBreaker(least=2, errors=OSError), throws=(FileNotFoundError,))
    def check(kind):
        app.ran.append(kind)
        raise {"value": ValueError, "file": FileNotFoundError}[kind]("no")

    for kind in ("value", "file", "value", "file", "value"):
        check.delay(kind)
    check.apply_async(("file",), expires=-1)
    run_pending(app)
    assert (len(app.ran), app.breakers.list()) == (5, {})


def test_retries_count_and_wait_too(app):
    @app.task(name="fetch", circuit_breaker=CircuitBreaker(least=3, pause=10), autoretry_for=(OSError,), retry_jitter=False,
              default_retry_delay=0, max_retries=None)  # fmt: skip
    def fetch():
        app.ran.append("fetch")
        if app.is_down:
            raise ConnectionError("away")
        return "here"

    result = fetch.delay()
    run_pending(app)
    assert (app.ran, result.state) == (["fetch"] * 3, "RETRY")
    app.is_down = False
    app.clock.advance(10)
    run_pending(app)
    assert result.get(timeout=5) == "here"
    assert app.breakers.list() == {}


def test_it_is_opened_and_closed_by_hand(app):
    app.is_down = False
    app.tasks["pay"].delay(1)
    assert app.breakers.open("pay", "5m").until_s == app.clock() + 300
    run_pending(app)
    assert app.ran == []
    assert app.breakers.close("pay") is True
    assert app.breakers.close("pay") is False
    run_pending(app)
    assert app.ran == [1]
    with pytest.raises(InvalidArguments, match="it has no circuit_breaker="):
        app.breakers.open("other")
    with pytest.raises(NotRegistered, match="did you mean 'pay'"):
        app.breakers.open("pya")
    with pytest.raises(InvalidArguments, match="pause is a time of more than 0"):
        app.breakers.open("pay", 0)


def test_what_a_crash_leaves_between_two_steps_is_repaired(app):
    opened(app)
    link, family = app.links.blocking(), FAMILY
    standing = app.breakers.list()["pay"]
    run(link.broker.limits.change(family, None))  # it was opened, and the limits were not set yet
    run(turn_breakers(link, app.clock(), app.tasks))
    assert limits(app).terms.is_paused

    run(close_breaker(link, "pay"))
    run(link.broker.limits.change(family, standing.change()))  # of two at the same time one was too late
    run(turn_breakers(link, app.clock(), app.tasks))
    assert limits(app).change is None

    half = standing.half_opened(app.clock())
    run(set_breaker(link, "pay", half))
    run(link.broker.limits.change(family, standing.change()))  # it was half-opened, and the limits were not set yet
    app.is_down = False
    run_pending(app)
    assert (app.ran, app.breakers.list()) == ([4, 5], {})


def test_a_breaker_that_the_code_knows_no_more_lets_everything_go(app):
    opened(app)
    bare = Faena("shop", broker=app.conf.broker_url, backend=app.conf.result_backend, set_as_current=False)
    bare.clock = app.clock

    @bare.task(name="pay")
    def pay(order):
        app.ran.append(order)

    run_pending(bare)
    assert (app.ran, bare.breakers.list()) == ([4, 5], {})
    bare.close()
