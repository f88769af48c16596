"""Schedules of an app: declared in code, changed at run time, and ticking under a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from faena import Faena
from faena.errors import InvalidArguments, InvalidSchedule, ScheduleNotFound
from faena.model.event import EventKind
from faena.schedules import crontab, schedule, solar
from faena.testing import Clock, InProcessWorker, in_memory, run_pending

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def app():
    app = Faena("shop", timezone="Europe/Madrid", set_as_current=False)
    app.ran = []

    @app.task(name="shop.tick", bind=True)
    def tick(self, *args, **kwargs):
        headers = self.request.headers or {}
        app.ran.append((headers.get("schedule"), headers.get("scheduled_for", "")[:16], args, kwargs))

    return app


@pytest.fixture
def clock():
    return Clock(START)


def moments(app: Any) -> list[str]:
    return [moment for _, moment, _, _ in app.ran]


def test_the_shape_of_celery_is_understood(app, clock):
    app.conf.beat_schedule = {
        "every-30-seconds": {"task": "shop.tick", "schedule": 30.0, "args": (16, 16)},
        "monday-morning": {
            "task": "shop.tick",
            "schedule": crontab(hour=7, minute=30, day_of_week=1),
            "kwargs": {"full": True},
            "options": {"queue": "default", "priority": 9},
        },
        "delta": {"task": "shop.tick", "schedule": timedelta(minutes=1), "relative": True},
        "interval": {"task": "shop.tick", "schedule": schedule(run_every=timedelta(hours=12))},
        "melbourne": {"task": "shop.tick", "schedule": solar("sunset", -37.81753, 144.96715)},
    }
    with in_memory(app, clock):
        clock.advance(60)
        run_pending(app)
        assert app.ran[0] == ("every-30-seconds", "2024-01-01T00:00", (16, 16), {})
        assert sorted(app.ran[1:]) == [
            ("delta", "2024-01-01T00:01", (), {}),
            ("every-30-seconds", "2024-01-01T00:01", (16, 16), {}),
        ]
        app.schedules.remove("every-30-seconds")
        app.schedules.remove("delta")
        app.ran.clear()
        clock.travel_to(datetime(2024, 1, 1, 12, 0, tzinfo=UTC))
        run_pending(app)
        assert app.ran == [
            ("monday-morning", "2024-01-01T06:30", (), {"full": True}),
            ("melbourne", "2024-01-01T09:45", (), {}),
            ("interval", "2024-01-01T12:00", (), {}),
        ]


def test_a_decorated_function_ticks_in_its_time_zone(app, clock):
    @app.periodic("30 2 * * *", tz="America/New_York", args=(1,))
    def nightly(n):
        app.ran.append(("nightly", clock.now.isoformat()[:16], (n,), {}))

    assert nightly.name == "tests.unit.app.test_schedules.test_a_decorated_function_ticks_in_its_time_zone.nightly"
    with in_memory(app, clock):
        (standing,) = app.schedules.list()
        assert standing.schedule.name == nightly.name
        assert [str(each) for each in app.schedules.next_runs(standing, 2)] == [
            "2024-01-01 02:30:00-05:00",
            "2024-01-02 02:30:00-05:00",
        ]
        clock.advance(timedelta(hours=7, minutes=30))
        run_pending(app)
        assert app.ran == [("nightly", "2024-01-01T07:30", (1,), {})]


def test_a_task_can_have_several_schedules(app, clock):
    task = app.tasks["shop.tick"]
    app.periodic(60, name="by-minute")(task)
    app.periodic("0 * * * *", name="by-hour", args=["x"])(task)
    app.add_periodic_task(1800.0, task.s("hello"), name="by-half", expires=10)
    with in_memory(app, clock):
        assert [each.schedule.name for each in app.schedules.list()] == ["by-half", "by-hour", "by-minute"]
        clock.advance(3600)
        run_pending(app)
        assert len([each for each in app.ran if each[0] == "by-minute"]) == 60
        assert sorted(each for each in app.ran if each[0] != "by-minute") == [
            ("by-half", "2024-01-01T00:30", ("hello",), {}),
            ("by-half", "2024-01-01T01:00", ("hello",), {}),
            ("by-hour", "2024-01-01T01:00", ("x",), {}),
        ]


def test_a_moment_runs_once_and_is_over(app, clock):
    with in_memory(app, clock):
        app.schedules.add("once", "shop.tick", datetime(2024, 1, 1, 12, 30))
        clock.advance(timedelta(hours=11, minutes=29))
        assert run_pending(app) == []
        clock.advance(60)
        run_pending(app)
        clock.advance(timedelta(days=6))
        run_pending(app)
        assert moments(app) == ["2024-01-01T11:30"]
        assert app.schedules.get("once").state == "ended"
        clock.advance(timedelta(days=2))
        run_pending(app)
        assert (moments(app), list(app.schedules.list())) == (["2024-01-01T11:30"], [])


def test_what_was_missed_while_nobody_was_there_runs_once(app, clock):
    with in_memory(app, clock):
        app.schedules.add("last", "shop.tick", 600)
        app.schedules.add("all", "shop.tick", 600, catch_up="all", catch_up_window=1800)
        app.schedules.add("none", "shop.tick", 600, catch_up="none")
        clock.advance(7 * 3600 + 60)
        run_pending(app, was_down=True)
        assert sorted(app.ran) == [
            ("all", "2024-01-01T06:40", (), {}),
            ("all", "2024-01-01T06:50", (), {}),
            ("all", "2024-01-01T07:00", (), {}),
            ("last", "2024-01-01T07:00", (), {}),
        ]
        clock.advance(540)
        run_pending(app)
        assert len(app.ran) == 7


def test_a_paused_schedule_goes_on_from_when_it_is_resumed(app, clock):
    with in_memory(app, clock):
        app.schedules.add("s", "shop.tick", 600, catch_up="all")
        assert app.schedules.pause("s").state == "paused"
        assert app.schedules.next_runs("s") == ()
        clock.advance(3000)
        assert run_pending(app) == []
        assert app.schedules.resume("s").state == "active"
        clock.advance(600)
        run_pending(app)
        assert moments(app) == ["2024-01-01T01:00"]


def test_what_is_edited_changes_and_the_rest_stays(app, clock):
    with in_memory(app, clock):
        app.schedules.add(
            "s", "shop.tick", 600, args=(1,), options={"queue": "mail", "expires": 60, "headers": {"a": 1}}, overlap="skip"
        )
        before = app.schedules.get("s")
        edited = app.schedules.edit("s", kwargs={"x": 2}, jitter=5, end=datetime(2024, 2, 1, tzinfo=UTC))
        now = edited.schedule
        assert (now.message.queue, now.message.headers, now.expires_s, now.overlap) == ("mail", {"a": 1}, 60, "skip")
        assert (now.jitter_s, now.ends_at_s) == (5, datetime(2024, 2, 1, tzinfo=UTC).timestamp())
        assert (edited.next_s, now.timing) == (before.next_s, before.schedule.timing)
        assert app.codecs.decode("json", now.message.body) == [[1], {"x": 2}]
        again = app.schedules.edit("s", schedule="0 5 * * *", options={"queue": "default", "expires": None}, end=None)
        assert (again.schedule.message.queue, again.schedule.ends_at_s) == ("default", None)
        assert [str(each) for each in app.schedules.next_runs(again, 1)] == ["2024-01-01 05:00:00+01:00"]
        clock.advance(timedelta(hours=4))
        run_pending(app)
        assert app.ran == []  # it has jitter: within five seconds
        clock.advance(5)
        run_pending(app)
        assert app.ran == [("s", "2024-01-01T04:00", (1,), {"x": 2})]
        moved = app.schedules.edit("s", tz="Asia/Tokyo")
        assert [str(each) for each in app.schedules.next_runs(moved, 1)] == ["2024-01-02 05:00:00+09:00"]


def test_a_schedule_runs_now_and_for_a_time_that_has_passed(app, clock):
    with in_memory(app, clock):
        app.schedules.add("s", "shop.tick", "0 6 * * *", tz="UTC", jitter=600)
        handle = app.schedules.run("s")
        sent = app.schedules.backfill("s", datetime(2023, 12, 1, 6, tzinfo=UTC), datetime(2023, 12, 3, 5, tzinfo=UTC))
        run_pending(app)
        assert moments(app) == ["2024-01-01T00:00", "2023-12-01T06:00", "2023-12-02T06:00"]
        assert handle.successful()
        assert [each.state for each in sent] == ["SUCCESS", "SUCCESS"]
        with pytest.raises(
            InvalidSchedule, match=r"schedule 's' has more than 10,000 ticks in that time; take a part of it"
        ):
            app.schedules.backfill("s", datetime(1980, 1, 1, tzinfo=UTC), START)


def test_everything_can_be_awaited(app, clock):
    async def whole():
        added = await app.schedules.aadd("s", app.tasks["shop.tick"], 600)
        assert (await app.schedules.aget("s"), list(await app.schedules.alist())) == (added, [added])
        assert (await app.schedules.aedit("s", overlap="skip")).schedule.overlap == "skip"
        assert (await app.schedules.apause("s")).is_paused
        assert not (await app.schedules.aresume("s")).is_paused
        await app.schedules.arun("s")
        assert len(await app.schedules.abackfill("s", START, START + timedelta(hours=1))) == 7
        await app.schedules.aremove("s")
        assert list(await app.schedules.alist()) == []
        await app.aclose()

    with in_memory(app, clock):
        asyncio.run(whole())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"task": "shop.tick"}, "schedule 's' does not say its 'schedule'"),
        ({"schedule": 5}, "schedule 's' does not say its 'task'"),
        (
            {"task": "shop.tick", "schedule": 5, "overlapp": "skip"},
            "schedule 's' has no option 'overlapp'; did you mean 'overlap'?",
        ),
        (
            {"task": "shop.tick", "schedule": 5, "overlap": "skipp"},
            "schedule 's': overlap is one of allow, skip, queue, cancel, not 'skipp'; did you mean 'skip'?",
        ),
        ({"task": "shop.tick", "schedule": 0.01}, "an interval of 0.01 s cannot be kept: 0.1 s is the shortest"),
        (
            {"task": "shop.tick", "schedule": "* * *"},
            "'* * *' has 3 fields; cron has five: minute, hour, day of month, month, day of week",
        ),
        (
            {"task": "shop.tick", "schedule": "* * * * *", "tz": "Europe/Madird"},
            "there is no time zone 'Europe/Madird'; did you mean 'Europe/Madrid'?",
        ),
        (
            {"task": "shop.tick", "schedule": 5, "options": {"eta": START}},
            "schedule 's': the option 'eta' makes no sense here: the schedule says when",
        ),
        (
            {"task": "shop.tick", "schedule": 5, "options": {"expires": START}},
            "schedule 's': 'expires' counts from each tick, in seconds; the moment after which there is none is 'end'",
        ),
        (
            {"task": "shop.tick", "schedule": True},
            "schedule 's' cannot be due at True: give a cron expression, seconds, a timedelta, a moment, or what "
            "crontab(), schedule() or solar() return",
        ),
        (
            {"task": "shop.tick", "schedule": 5, "start": START, "end": START - timedelta(1)},
            "schedule 's' ends before it starts",
        ),
        ({"task": "shop.tick", "schedule": 5, "jitter": -1}, "schedule 's': jitter is a number of seconds, not -1"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused_with_what_is_wrong(app, entry, message):
    app.conf.beat_schedule = {"s": entry}
    with pytest.raises(InvalidSchedule) as caught:
        app.declared.schedules()
    assert str(caught.value) == message


def test_arguments_that_the_task_refuses_are_refused_when_they_are_scheduled(app, clock):
    @app.task(name="shop.add")
    def add(a, b): ...

    with pytest.raises(InvalidArguments):
        app.periodic(5)(add)
    with in_memory(app, clock), pytest.raises(InvalidArguments):
        app.schedules.add("s", add, 5, args=(1,))


def test_an_interval_can_be_written_as_people_say_it(app, clock):
    with in_memory(app, clock):
        app.schedules.add("s", "shop.tick", "1h30m")
        assert app.schedules.get("s").schedule.timing.every_ms == 5_400_000
        assert app.schedules.edit("s", schedule="@daily").schedule.timing.expression == "@daily"
        with pytest.raises(InvalidSchedule, match=r"an interval of 0.05 s cannot be kept"):
            app.schedules.edit("s", schedule="50ms")


@pytest.mark.parametrize("what", [None, 7, ["shop.tick"], {"kind": "task", "task": "shop.tick"}])
def test_what_is_no_task_is_refused(app, clock, what):
    with (
        in_memory(app, clock),
        pytest.raises(InvalidSchedule, match="a schedule runs a task, its name, a signature such as"),
    ):
        app.schedules.add("s", what, 5)


def test_names_that_are_taken_or_unknown_are_said(app, clock):
    with in_memory(app, clock):
        app.schedules.add("nightly", "shop.tick", 5)
        with pytest.raises(
            InvalidSchedule, match=r"there is a schedule 'nightly' already; change it with: faena schedule edit"
        ):
            app.schedules.add("nightly", "shop.tick", 5)
        with pytest.raises(
            ScheduleNotFound,
            match=r"no schedule 'nighly'; did you mean 'nightly'\? \(list them with: faena schedule list\)",
        ):
            app.schedules.pause("nighly")
        with pytest.raises(InvalidSchedule, match="schedule 'past' would never be due: all of its moments have passed"):
            app.schedules.add("past", "shop.tick", START - timedelta(1))
    app.periodic(5, name="one")(app.tasks["shop.tick"])
    with pytest.raises(InvalidSchedule, match=r"two schedules are named 'one': one runs shop.tick, and one other; give"):
        app.declared.add("one", "other", 5, {})


def test_the_zone_of_a_schedule_is_the_apps_where_it_says_none(app):
    app.conf.beat_schedule = {"s": {"task": "shop.tick", "schedule": crontab(hour=7, minute=0)}}
    (made,) = app.declared.schedules()
    assert made.timing.zone == "Europe/Madrid"
    assert ZoneInfo(made.timing.zone)


def test_functions_that_are_connected_declare_schedules_when_everything_is_loaded(app, clock):
    @app.on_after_configure.connect
    def set_up(sender, **kwargs):
        sender.add_periodic_task(10.0, sender.tasks["shop.later"].s("hello"), name="add every 10")
        sender.add_periodic_task(crontab(hour=7, minute=30, day_of_week=1), sender.tasks["shop.later"].s("mondays"))

    @app.task(name="shop.later")
    def later(text):
        app.ran.append(text)

    with in_memory(app, clock):
        assert [each.schedule.name for each in app.schedules.list()] == ["add every 10", "shop.later('mondays')"]
        clock.advance(20)
        run_pending(app)
        assert app.ran == ["hello", "hello"]


def test_a_worker_beside_the_test_sends_what_is_due_when_the_clock_is_moved(app, clock):
    with in_memory(app, clock), InProcessWorker(app) as worker:
        app.schedules.add("s", "shop.tick", 600)
        clock.advance(601)
        worker.recorder.wait_for(EventKind.TASK_SUCCEEDED)
        clock.advance(600)
        worker.recorder.wait_for(EventKind.TASK_SUCCEEDED, 2)
    assert moments(app) == ["2024-01-01T00:10", "2024-01-01T00:20"]
