"""Limits as tasks declare them: on what terms, in which lane; and a whole app under them, with a clock that is moved."""

import pytest

from faena import Faena, Limit, Queue, chain
from faena.errors import InvalidArguments, InvalidQueue, InvalidTask
from faena.model.limit import Obstacle, Refusal, Terms, lane_of, limit_name, shown
from faena.testing.clock import Clock
from faena.testing.embedded import in_memory
from faena.testing.worker import InProcessWorker, run_pending


@pytest.fixture
def app():
    return Faena("t", set_as_current=False)


@pytest.fixture
def clock():
    return Clock()


def lane(task, *args, **kwargs):
    sender = task.app.sender
    return sender.flow.lane_of(task.name, "default", args, kwargs)


def ran(app, **options):
    """Return the results of what ran."""
    return [event.text for event in run_pending(app, **options) if event.kind.value == "task-succeeded"]


# -- declaring -----------------------------------------------------------------------------------------------


def test_without_any_limit_the_sender_knows_of_none(app):
    @app.task
    def plain():
        pass

    assert app.sender.flow is None


def test_a_task_declared_later_brings_its_limit(app):
    assert app.sender.flow is None

    @app.task(rate_limit="100/m")
    def mail(to):
        pass

    assert lane(mail, "ana") == lane_of(["task:" + mail.name])
    assert app.sender.flow.declared() == {"task:" + mail.name: Terms(100 / 60), "breaker:" + mail.name: None}


def test_keys_come_from_arguments_by_place_by_name_by_default_and_from_functions(app):
    @app.task(concurrency=3, limit_key="user", fair_key=lambda user=5, plan="free": plan)
    def work(user=5, plan="free"):
        pass

    name = "task:" + work.name
    expected = lane_of([limit_name(name, 7)], "free")
    assert lane(work, 7) == lane(work, user=7) == expected
    assert lane(work, "7", "paid") == lane_of([limit_name(name, 7)], "paid")
    assert lane(work) == lane_of([limit_name(name, 5)], "free")
    assert app.sender.flow.declared() == {name: Terms(None, 3), "breaker:" + work.name: None}


def test_several_limits_of_one_task_and_one_of_several_tasks(app):
    crm = Limit("crm", rate="10/s")

    @app.task(rate_limit=5, limits=[crm, Limit(concurrency=2, key="user")])
    def one(user):
        pass

    @app.task(limits=[crm])
    def other():
        pass

    assert lane(one, 1) == lane_of([f"task:{one.name}", "limit:crm", limit_name(f"task:{one.name}#2", 1)])
    assert lane(other) == lane_of(["limit:crm"])


def test_a_key_that_is_long_or_cannot_be_read_is_made_short(app):
    @app.task(concurrency=1, limit_key="key")
    def work(key):
        pass

    assert len(lane(work, "x" * 5000)) < 300
    assert "\n" not in lane(work, "a\nb") and lane(work, "a\nb") != lane(work, "a\nc")
    assert shown(limit_name("task:a", "é/ü")) == "task:a/é/ü"


def test_what_makes_no_sense_of_a_queue_is_refused_too():
    for options in ({"rate_limit": "often"}, {"concurrency": 0}):
        with pytest.raises(InvalidQueue):
            Queue("mail", **options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"rate_limit": "ten"}, "a rate is a number of tasks per second, or a text such as '10/s'"),
        ({"rate_limit": "10/y"}, "not '10/y'"),
        ({"concurrency": 0}, "concurrency is a number from 1, not 0"),
        ({"limit_key": "user"}, "give rate_limit or concurrency, too"),
        ({"concurrency": 1, "limit_key": "usr"}, "has no argument 'usr' to make a key of; did you mean 'user'?"),
        ({"fair_key": 3}, "a key is the name of an argument or a function of them, not 3"),
        ({"limits": ["10/s"]}, "limits consist of Limit(...), not of '10/s'"),
        ({"limits": [Limit("a"), Limit("a")]}, "two of its limits are named 'limit:a'"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_declared(app, options, reason):
    with pytest.raises(InvalidTask) as caught:

        @app.task(**options)
        def work(user):
            pass

    assert reason in str(caught.value)


def test_a_key_that_cannot_be_made_is_an_error_of_the_call(app):
    @app.task(concurrency=1, limit_key=lambda user: user["id"])
    def work(user):
        pass

    with in_memory(app), pytest.raises(InvalidArguments, match="no key of its limits can be made"):
        work.delay({})


# -- running -------------------------------------------------------------------------------------------------


def test_a_rate_holds_in_the_time_of_the_test(app, clock):
    @app.task(rate_limit="2/m")
    def mail(to):
        return to

    with in_memory(app, clock):
        mail.delay(1)
        mail.delay(2)
        assert ran(app) == ["1"] and ran(app) == []
        clock.advance(30)
        assert ran(app) == ["2"]


def test_a_queue_has_limits_of_its_own_for_whatever_task_comes_there(app, clock):
    @app.task(queue="mail", rate_limit="3/h", fair_key="to")
    def mail(to):
        return to

    @app.task
    def other(number):
        return number

    with in_memory(app, clock, {"task_queues": [Queue("default"), Queue("mail", rate_limit="2/h")]}):
        assert lane(mail, "ana") == lane_of([f"task:{mail.name}"], "ana")
        for number in range(2):
            other.apply_async((number,), queue="mail")
            other.delay(f"free {number}")
        mail.delay("ana")
        assert sorted(ran(app)) == ["'free 0'", "'free 1'", "0"]
        clock.advance(1800)
        assert ran(app) == ["'ana'"]
        clock.advance(1800)
        assert ran(app) == ["1"]


def test_a_setting_gives_a_rate_to_tasks_that_name_none(app, clock):
    @app.task
    def mail(to):
        return to

    @app.task(rate_limit=0)
    def free(to):
        return to

    with in_memory(app, clock, {"task_default_rate_limit": "1/h"}):
        for number in range(2):
            mail.delay(number)
            free.delay(f"free {number}")
        assert sorted(ran(app)) == ["'free 0'", "'free 1'", "0"]


def test_what_is_sent_by_name_comes_under_the_limits_that_the_worker_knows(app, clock):
    @app.task(rate_limit="1/h", fair_key="key")
    def work(key):
        return key

    sender = Faena("elsewhere", set_as_current=False)
    with in_memory(app, clock):
        sender.conf.override({"broker_url": app.conf.broker_url, "broker_transport_options": {"clock": clock}})
        for number in range(3):
            sender.send_task(work.name, (number,))
        assert ran(app) == ["0"]
        clock.advance(3600)
        assert ran(app) == ["1"]


def test_a_step_of_a_workflow_waits_under_the_key_that_it_is_given(app, clock):
    @app.task
    def who(user):
        return user

    @app.task(rate_limit="1/h", limit_key="user")
    def greet(user):
        return f"hello {user}"

    with in_memory(app, clock):
        for user in ("ana", "ana", "bo"):
            chain(who.s(user), greet.s()).delay()
        assert [text for text in ran(app) if "hello" in text] == ["'hello ana'", "'hello bo'"]
        clock.advance(3600)
        assert ran(app) == ["'hello ana'"]


def test_a_retry_takes_another_token(app, clock):
    @app.task(bind=True, rate_limit="1/m", max_retries=1, default_retry_delay=0)
    def shaky(self):
        if not self.request.retries:
            raise self.retry()
        return "done"

    with in_memory(app, clock):
        shaky.delay()
        assert ran(app) == [] and ran(app) == []
        clock.advance(60)
        assert ran(app) == ["'done'"]


def test_a_retry_with_other_arguments_waits_under_their_key(app, clock):
    @app.task(bind=True, rate_limit="1/h", limit_key="key", max_retries=1, default_retry_delay=0)
    def work(self, key):
        if not self.request.retries:
            raise self.retry(args=("b",))
        return key

    with in_memory(app, clock):
        work.delay("a")
        assert ran(app) == ["'b'"]


def test_limits_are_changed_and_looked_at_through_the_app(app, clock):
    @app.task(rate_limit="1/h")
    def mail(to):
        return to

    with in_memory(app, clock):
        results = [mail.delay(number) for number in range(4)]
        assert ran(app) == ["0"]
        (obstacle,) = app.limits.obstacles(results[1].id)
        assert obstacle == Obstacle(f"task:{mail.name}", Refusal.RATE, obstacle.until_s)
        assert obstacle.until_s == pytest.approx(clock() + 3600)
        assert app.control.rate_limit(mail.name, "60/m") == Terms(1.0)
        clock.advance(3600)
        assert ran(app) == ["1"]
        assert app.limits.reset(mail.name) == Terms(1 / 3600)
        (status,) = app.limits.list()
        assert (status.name, status.waiting, status.change) == (f"task:{mail.name}", 0, None)


def test_a_task_that_declares_nothing_can_be_paused(app, clock):
    @app.task
    def work():
        return "done"

    with in_memory(app, clock):
        app.limits.pause(work.name)
        result = work.delay()
        assert ran(app) == []
        assert app.limits.obstacles(result.id) == [Obstacle(f"task:{work.name}", Refusal.PAUSED)]
        app.limits.resume(work.name)
        assert ran(app) == ["'done'"]


def test_run_eagerly_a_task_knows_no_limits(app, clock):
    @app.task(rate_limit="1/h")
    def work():
        return "done"

    with in_memory(app, clock, {"task_always_eager": True}):
        assert [work.delay().get(), work.delay().get()] == ["done", "done"]


def test_what_may_run_once_at_most_holds_its_permit_while_it_runs(app):
    running, most = [], []

    @app.task(concurrency=2, acks_late=False)
    async def work():
        import asyncio

        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.005)
        running.pop()

    with in_memory(app):
        results = [work.delay() for _ in range(20)]
        with InProcessWorker(app):
            for result in results:
                result.get(timeout=20)
        assert max(most) == 2
        assert [status.running for status in app.limits.list()] == [0]
