"""Ticks are sent once, whoever sends them, and whatever dies in between."""

from __future__ import annotations

import asyncio
import time

import pytest
from msgspec.structs import replace

from faena import Faena
from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.app.zones import zone_of
from faena.errors import BrokerUnavailable
from faena.model.result import ResultRecord, State
from faena.model.schedule import Change, Standing, begun, message_of, tick_id
from faena.scheduler.loop import Scheduler, do_duties
from faena.scheduler.ticking import Ticker, send_left_over

START = 1_700_000_000.0


def an_app(tmp_path, *, together: bool) -> Faena:
    backend = None if together else f"sqlite:///{tmp_path}/backend.db"
    app = Faena("tick", broker=f"sqlite:///{tmp_path}/broker.db", backend=backend, set_as_current=False)
    app.task(name="tick.run")(lambda: None)
    return app


@pytest.fixture(params=["together", "apart"])
def app(tmp_path, request):
    with an_app(tmp_path, together=request.param == "together") as app:
        app.clock = lambda: START
        yield app


def send(app: Faena, at_s: float) -> int:
    return run(Ticker(app).send_due(app.connection(), START + at_s))


def waiting(app: Faena, queue: str = "default") -> list[str]:
    """The moments of the ticks that wait in the queue, since START."""
    found = run(app.connection().broker.queues.browse(queue, 1000))
    return sorted(message.id for _, message in found)


def ids(name: str, *ticks: float) -> list[str]:
    return sorted(tick_id(name, START + tick) for tick in ticks)


def test_a_tick_is_sent_when_it_is_due_and_once(app):
    app.schedules.add("s", "tick.run", 60)
    assert send(app, 59) == 0
    assert send(app, 60) == 1
    assert send(app, 60) == 0
    assert waiting(app) == ids("s", 60)
    send(app, 121)
    assert waiting(app) == ids("s", 60, 120)
    assert run(app.connection().backend.schedules.unpublished(time.time() + 1, 10)) == []


def test_of_two_schedulers_that_see_the_same_tick_one_sends_it(app, monkeypatch):
    app.schedules.add("s", "tick.run", 60)
    schedules = app.connection().backend.schedules
    seen = run(schedules.due(START + 60, 10))
    assert send(app, 60) == 1

    async def stale(now_s, limit):
        return seen

    monkeypatch.setattr(schedules, "due", stale)
    send(app, 60)
    assert waiting(app) == ids("s", 60)
    assert app.schedules.get("s").sent == 1


def test_only_what_is_due_is_looked_at(app):
    for number in range(20):
        app.schedules.add(f"s{number}", "tick.run", 60 + number)
    assert send(app, 62) == 3


@pytest.mark.parametrize(
    ("overlap", "sent"), [("allow", (60, 120)), ("skip", (60,)), ("queue", (60,)), ("cancel", (60, 120))]
)
def test_a_tick_that_comes_while_the_one_before_has_not_ended(app, overlap, sent):
    app.schedules.add("s", "tick.run", 60, overlap=overlap)
    send(app, 60)
    send(app, 120)
    (first,) = ids("s", 60)
    expected = {tick_id("s", START + tick) for tick in sent}
    if overlap == "cancel":
        expected.discard(first)
        (record,) = run(app.connection().backend.read([first]))
        assert record is not None
        assert record.state == State.REVOKED
    assert set(waiting(app)) == expected
    standing = app.schedules.get("s")
    assert (standing.left_out, standing.held_s) == (int(overlap == "skip"), START + 120 if overlap == "queue" else None)
    if overlap != "cancel":
        app.control.revoke(first)  # it has ended
        send(app, 121)
        assert set(waiting(app)) == expected - {first} | ({tick_id("s", START + 120)} if overlap == "queue" else set())
        send(app, 180)
        assert tick_id("s", START + 180) in waiting(app) or overlap == "queue"


def test_a_tick_that_sleeps_in_its_task_has_not_ended(app):
    app.schedules.add("s", "tick.run", 60, overlap="skip")
    send(app, 60)
    (first,) = ids("s", 60)
    run(app.connection().broker.cancel([first]))
    run(app.connection().backend.record([ResultRecord(first, "tick.run", State.WAITING)]))
    send(app, 120)
    assert waiting(app) == []


def test_a_schedule_of_a_zone_that_is_unknown_here_stops_no_other(app, caplog):
    app.schedules.add("good", "tick.run", 60)
    app.schedules.add("bad", "tick.run", "* * * * *")
    bad = app.schedules.get("bad")
    moved = replace(bad.schedule, timing=replace(bad.schedule.timing, zone="Mars/Olympus"))
    after = replace(bad, schedule=moved, revision=new_id())
    change = Change("bad", bad.revision, after, after.wakes_at_s)
    run(app.connection().backend.schedules.change([change], app.connection().broker))
    send(app, 60)
    assert waiting(app) == ids("good", 60)
    assert "schedule 'bad' has to wait: there is no time zone 'Mars/Olympus'" in caplog.text
    assert send(app, 61) == 0


def test_ticks_of_one_who_died_before_publishing_are_published_once(tmp_path):
    with an_app(tmp_path, together=False) as app:
        link = app.connection()
        schedule = app.schedules.add("s", "tick.run", 60).schedule
        messages = [message_of(schedule, START + tick, tick_id("s", START + tick), START) for tick in (60, 120, 180)]
        standing = app.schedules.get("s")
        change = Change("s", standing.revision, replace(standing, revision=new_id()), None, tuple(messages))
        assert list(run(link.backend.schedules.change([change], link.broker))) == [True]
        run(link.broker.publish(messages[:1]))  # this one was published, not noted
        run(link.backend.record([ResultRecord(messages[1].id, "tick.run", State.SUCCESS)]))  # this one has run already
        assert run(send_left_over(link, 1000.0, 10)) == 0  # whoever took them may still be at it
        assert run(do_duties(link, grace_s=-1.0)) == 1
        assert waiting(app) == ids("s", 60, 180)
        assert run(do_duties(link, grace_s=-1.0)) == 0


def test_ten_thousand_schedules_cost_what_is_due(app):
    link, made = app.connection(), []
    schedule = app.schedules.add("one", "tick.run", 60).schedule
    for number in range(10_000):
        each: Standing = begun(replace(schedule, name=f"s{number}"), START + 1000 + number, zone_of)
        made.append(replace(each, revision=new_id()))
    run(link.backend.schedules.change([Change(e.schedule.name, "", e, e.wakes_at_s) for e in made], link.broker))
    began_s = time.process_time()
    assert send(app, 60) == 1
    assert time.process_time() - began_s < 0.05


def test_the_holder_is_woken_by_a_change_and_sends_on_time(tmp_path):
    async def whole() -> None:
        with an_app(tmp_path, together=True) as app:
            scheduler = Scheduler("one", app.links.asyncio, app=app)
            task = asyncio.create_task(scheduler.run_forever())
            try:
                async with asyncio.timeout(20):
                    while not scheduler.is_leader:
                        await asyncio.sleep(0.01)
                    began_s = time.time()
                    await app.schedules.aadd("s", "tick.run", 0.5)
                    link = await app.links.asyncio()
                    while len(found := await link.broker.queues.browse("default", 10)) < 3:
                        await asyncio.sleep(0.02)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await app.aclose()
            late_s = [message.sent_at_s - began_s - 0.5 * number for number, (_, message) in enumerate(found, 1)]
            assert all(-0.1 < each < 1.0 for each in late_s), late_s

    asyncio.run(whole())


def test_a_tick_that_is_on_its_way_to_the_broker_has_not_ended(tmp_path, monkeypatch):
    async def unreachable(messages):
        raise BrokerUnavailable("it is gone")

    with an_app(tmp_path, together=False) as app:
        app.clock = lambda: START
        app.schedules.add("s", "tick.run", 60, overlap="skip")
        with monkeypatch.context() as patch:
            patch.setattr(app.connection().broker, "publish", unreachable)
            with pytest.raises(BrokerUnavailable):
                send(app, 60)
        send(app, 120)
        assert (waiting(app), app.schedules.get("s").left_out) == ([], 1)
        assert run(do_duties(app.connection(), grace_s=-1.0)) == 1
        assert waiting(app) == ids("s", 60)


@pytest.mark.parametrize(
    ("record", "ignored", "passed", "is_sent"),
    [
        (None, False, 60, False),
        (State.STARTED, False, 60, False),
        (State.SUCCESS, False, 60, True),
        (None, True, 60, True),  # nothing will be known of its end
        (None, False, 86_400, True),  # what is known of its end is not kept for ever
    ],
)
def test_where_the_broker_cannot_say_what_it_has_results_tell_what_has_ended(
    tmp_path, monkeypatch, record, ignored, passed, is_sent
):
    with an_app(tmp_path, together=False) as app:
        app.clock = lambda: START
        broker = app.connection().broker
        blind = replace(broker.capabilities, locates=False)
        monkeypatch.setattr(type(broker), "capabilities", property(lambda _: blind))
        app.schedules.add("s", "tick.run", passed, overlap="skip", options={"ignore_result": ignored})
        send(app, passed)
        (first,) = ids("s", passed)
        if record is not None:
            run(app.connection().backend.record([ResultRecord(first, "tick.run", record)]))
        send(app, 2 * passed)
        assert (tick_id("s", START + 2 * passed) in waiting(app)) is is_sent
