"""Ticks that are more than one message, or that may come to nothing: workflows, and tasks that are unique."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from faena import Debounce, DuplicateCall, Faena, Unique, chain, chord, group
from faena._lib.drive import run
from faena.app.declared import schedule_of
from faena.errors import InvalidArguments, InvalidSchedule, WorkflowError
from faena.model.schedule import tick_id
from faena.model.workflow import WorkflowState
from faena.scheduler.loop import do_duties
from faena.scheduler.ticking import Ticker
from faena.testing import Clock, in_memory, run_pending

START = float(int(time.time()))


class Died(BaseException):
    """What no code catches: nothing after it happens."""


@pytest.fixture(params=["together", "apart"])
def app(tmp_path, request):
    backend = None if request.param == "together" else f"sqlite:///{tmp_path}/backend.db"
    with an_app(broker=f"sqlite:///{tmp_path}/broker.db", backend=backend) as app:
        app.clock = lambda: START
        yield app


def an_app(**urls: str | None) -> Faena:
    app = Faena("tick", set_as_current=False, **urls)
    app.ran = []

    @app.task(name="tick.add", bind=True)
    def add(self, a, b):
        app.ran.append((self.request.headers or {}).get("scheduled_for", "")[11:16])
        return a + b

    app.task(name="tick.total")(lambda values: app.ran.append(values))
    app.task(name="tick.one", unique=True)(lambda x=0: app.ran.append(x))
    return app


def send(app: Faena, at_s: float) -> int:
    return run(Ticker(app).send_due(app.connection(), START + at_s))


def waiting(app: Faena) -> list[str]:
    return sorted(message.id for _, message in run(app.connection().broker.queues.browse("default", 1000)))


def steps(name: str, *wanted: tuple[float, int]) -> list[str]:
    return sorted(f"{tick_id(name, START + tick)}.{number}" for tick, number in wanted)


# -- workflows ---------------------------------------------------------------------------------------------


def test_a_canvas_runs_at_each_tick_whichever_way_it_was_said():
    app, clock = an_app(), Clock(datetime(2026, 1, 5, 5, 0, tzinfo=UTC))
    add, total = app.tasks["tick.add"], app.tasks["tick.total"]
    app.conf.beat_schedule = {"chain": {"task": chain(add.s(1, 2), add.s(3)), "schedule": "1 * * * *", "tz": "UTC"}}
    app.periodic("2 * * * *", tz="UTC", name="chord")(chord([add.s(1, 1), add.s(2, 2)], total.s()))
    app.add_periodic_task(timedelta(minutes=3), group(add.s(5, 5), add.s(6, 6)), name="group", priority=7)
    with in_memory(app, clock):
        clock.advance(180)
        run_pending(app)
        assert app.ran == ["05:01", "05:01", "05:02", "05:02", [2, 4], "05:03", "05:03"]
        listed = {each.schedule.name: each for each in app.schedules.list()}
        assert {name: (each.sent, each.schedule.message.task) for name, each in listed.items()} == {
            "chain": (1, "chain(tick.add, tick.add)"),
            "chord": (1, "chord(tick.add, tick.add; tick.total)"),
            "group": (1, "group(tick.add, tick.add)"),
        }
        assert {node.message.priority for node in listed["group"].schedule.workflow.graph.nodes if node.message} == {7}
        status = app.workflows.status(listed["chord"].last_id)
        assert (status.state, status.workflow.name) == (WorkflowState.SUCCESS, "chord(tick.add, tick.add; tick.total)")

        by_hand = app.schedules.run("group")
        missed = app.schedules.backfill("chain", clock.now - timedelta(hours=1), clock.now)
        run_pending(app)
        assert by_hand.get() == [10, 12]
        assert [each.get() for each in missed] == [6]


def test_of_two_schedulers_that_see_the_same_tick_one_begins_the_workflow(app, monkeypatch):
    add = app.tasks["tick.add"]
    app.schedules.add("w", group(add.si(1, 1), add.si(2, 2)), 60)
    schedules = app.connection().backend.schedules
    seen = run(schedules.due(START + 60, 10))
    assert send(app, 60) == 1

    async def stale(now_s, limit):
        return seen

    monkeypatch.setattr(schedules, "due", stale)
    send(app, 60)
    assert waiting(app) == steps("w", (60, 0), (60, 1))
    assert (app.schedules.get("w").sent, app.schedules.get("w").starting) == (1, ())


@pytest.mark.parametrize("dies_at", ["before it begins", "before it is noted", "before it is published"])
def test_a_tick_whose_sender_dies_is_begun_once(app, monkeypatch, dies_at):
    add = app.tasks["tick.add"]
    app.schedules.add("w", chain(add.si(1, 1), add.si(2, 2)), 60)
    app.schedules.add("u", "tick.one", 60)
    backend, broker = app.connection().backend, app.connection().broker
    change = type(backend.schedules).change

    async def dies(*_, **__):
        raise Died

    async def dies_at_the_second(self, changes, broker, *, tells=True):
        patched.setattr(type(backend.schedules), "change", dies)
        return await change(self, changes, broker, tells=tells)

    with monkeypatch.context() as patched:
        if dies_at == "before it begins":
            patched.setattr(type(backend.workflows), "start", dies)
            patched.setattr(type(backend.claims), "take", dies)
        elif dies_at == "before it is published":
            patched.setattr(type(broker), "publish", dies)
        else:
            patched.setattr(type(backend.schedules), "change", dies_at_the_second)
        try:
            send(app, 60)
        except Died:
            assert app.schedules.get("w").starting or app.schedules.get("u").starting
    app.schedules.pause("w")  # what was taken is begun all the same
    for _ in range(2):
        send(app, 60)
        run(do_duties(app.connection(), grace_s=-1.0))
    assert waiting(app) == sorted([*steps("w", (60, 0)), tick_id("u", START + 60)])
    for name in "wu":
        standing = app.schedules.get(name)
        assert (standing.sent, standing.left_out, standing.starting) == (1, 0, ())


def test_a_tick_that_was_taken_is_sent_by_what_the_schedule_says_when_it_is_begun(app, monkeypatch):
    add = app.tasks["tick.add"]
    app.schedules.add("w", chain(add.si(1, 1), add.si(2, 2)), 60)

    async def dies(*_, **__):
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(type(app.connection().backend.workflows), "start", dies)
        with pytest.raises(Died):
            send(app, 60)
    app.schedules.edit("w", task="tick.add", args=[1, 1])
    for _ in range(2):
        send(app, 61)
    assert waiting(app) == [tick_id("w", START + 60)]
    assert (app.schedules.get("w").sent, app.schedules.get("w").starting) == (1, ())


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel"])
def test_a_workflow_has_not_ended_before_its_last_step_has(overlap):
    app, clock = an_app(), Clock(datetime(2026, 1, 5, 5, 0, tzinfo=UTC))
    add = app.tasks["tick.add"]
    with in_memory(app, clock):
        begun_s = clock()
        app.schedules.add("w", chain(add.si(1, 1), add.si(2, 2).set(countdown=90)), 60, overlap=overlap)
        first, second = (tick_id("w", begun_s + tick) for tick in (60, 120))
        clock.advance(60)
        run_pending(app)
        clock.advance(60)
        run_pending(app)
        standing = app.schedules.get("w")
        state = {each: getattr(app.workflows.status(each), "state", None) for each in (first, second)}
        if overlap == "cancel":
            assert state == {first: WorkflowState.REVOKED, second: WorkflowState.RUNNING}
            return
        assert state == {first: WorkflowState.RUNNING, second: None}
        assert (standing.sent, standing.left_out) == (1, int(overlap == "skip"))
        assert standing.left_out_why == ("the run before had not ended" if overlap == "skip" else "")
        clock.advance(31)
        run_pending(app)  # the first one ends
        assert app.workflows.status(first).state is WorkflowState.SUCCESS
        clock.advance(1)
        run_pending(app)
        assert (app.workflows.status(second) is not None) == (overlap == "queue")


def test_the_times_of_a_canvas_count_from_each_tick(app):
    add = app.tasks["tick.add"]
    app.schedules.add("w", chain(add.si(1, 1).set(expires=30), add.si(2, 2)), 60, options={"countdown": 5})
    app.schedules.add("j", group(add.si(1, 1), add.si(2, 2)), 60, jitter=20, options={"expires": 10})
    send(app, 60)
    found = {message.id: message for _, message in run(app.connection().broker.queues.browse("default", 10))}
    (first,) = steps("w", (60, 0))
    assert (found[first].due_at_s, found[first].expires_at_s) == (START + 65, START + 90)
    of_jitter = [found[each] for each in steps("j", (60, 0), (60, 1))]
    (due_at_s,) = {each.due_at_s for each in of_jitter}
    assert START + 60 < due_at_s < START + 80
    assert {each.expires_at_s for each in of_jitter} == {due_at_s + 10}


def test_a_canvas_that_makes_no_sense_in_a_schedule_is_refused(app):
    add = app.tasks["tick.add"]
    for canvas, options, error, text in (
        (chain(add.s(1, 2), add.s(3)), {"args": [1]}, InvalidSchedule, "arguments of a workflow stand in its signatures"),
        (chain(add.s(1, 2), add.s(3).set(task_id="mine")), {}, InvalidSchedule, "'task_id' makes no sense here"),
        (chain(), {}, WorkflowError, "a chain needs at least one step"),
        (chain(add.s(1), add.s(3)), {}, InvalidArguments, "tick.add"),
        (chain(add.si(1, 2), app.tasks["tick.one"].si()), {}, InvalidArguments, "it cannot be unique="),
        (group(add.s(n, n) for n in range(1001)), {}, InvalidSchedule, "its workflow has 1,002 steps; 1,000 can be kept"),
    ):
        with pytest.raises(error, match=text):
            app.schedules.add("w", canvas, 60, **options)
    assert app.schedules.list() == []


def test_a_workflow_is_edited_by_another_canvas_and_its_rules_as_always(app):
    add = app.tasks["tick.add"]
    app.schedules.add("w", chain(add.si(1, 1), add.si(2, 2)), 60, overlap="skip")
    app.schedules.edit("w", schedule=90)
    with pytest.raises(InvalidSchedule, match="schedule 'w' runs a workflow, whose canvas says arguments and options"):
        app.schedules.edit("w", args=[1])
    app.schedules.edit("w", task=group(add.si(3, 3)), jitter=0)
    send(app, 90)
    assert waiting(app) == steps("w", (90, 0))
    standing = app.schedules.edit("w", task="tick.add", args=[1, 1], options={"queue": "other"})
    assert (standing.schedule.workflow, standing.schedule.overlap) == (None, "skip")


def test_a_signature_is_a_task_with_its_arguments_and_becomes_a_workflow_where_it_needs_one(app):
    add = app.tasks["tick.add"]
    plain = schedule_of(app, "s", add.s(1, 2).set(priority=7), 60)
    assert plain == schedule_of(app, "s", "tick.add", 60, {"args": [1, 2], "options": {"priority": 7}})
    assert schedule_of(app, "s", add.s(1, 2), 60, {"args": [3, 4]}) == schedule_of(
        app, "s", "tick.add", 60, {"args": [3, 4]}
    )
    linked = add.s(1, 2)
    linked.link(chain(add.s(3), add.s(4)))
    assert schedule_of(app, "s", linked, 60).workflow is not None


def test_what_is_declared_of_a_workflow_is_the_same_in_every_process():
    code = """
from faena import Faena, chain
from faena.app.declared import digest_of, schedule_of
app = Faena("tick")
add = app.task(name="tick.add")(lambda a, b: a + b)
print(digest_of(schedule_of(app, "w", chain(add.s(1, 2), add.s(3)).set(expires=9), 60)))
"""
    digests = {subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout for _ in range(2)}
    assert len(digests) == 1


# -- unique tasks ------------------------------------------------------------------------------------------


def test_a_tick_of_a_unique_task_whose_key_is_held_is_left_out_and_said_so(app, caplog):
    caplog.set_level("INFO", "faena.scheduler")
    present = app.tasks["tick.one"].delay()
    app.schedules.add("u", "tick.one", 60)
    app.schedules.add("other", "tick.one", 60, args=[1])
    app.schedules.add("always", "tick.one", 60, options={"unique": False})
    send(app, 60)
    send(app, 120)
    assert waiting(app) == sorted(
        [present.id, tick_id("other", START + 60), tick_id("always", START + 60), tick_id("always", START + 120)]
    )
    counts = {each.schedule.name: (each.sent, each.left_out) for each in app.schedules.list()}
    assert counts == {"u": (0, 2), "other": (1, 1), "always": (2, 0)}
    assert app.schedules.get("u").last_id == ""
    assert app.schedules.get("u").left_out_why == f"task {present.id} has its key (unique)"
    assert f"schedule 'u': a tick was left out: tick.one[{present.id}] has its key" in caplog.text

    run(app.connection().broker.cancel([present.id]))  # its key is free
    send(app, 180)
    assert tick_id("u", START + 180) in waiting(app)
    assert app.schedules.run("u").is_duplicate
    first, last = (datetime.fromtimestamp(START + tick, UTC) for tick in (60, 180))
    assert len(app.schedules.backfill("u", first, last)) == 3  # each of them


def test_ticks_obey_every_rule_of_a_key(app):
    app.task(name="tick.late", debounce=Debounce("50s"))(lambda: None)
    app.task(name="tick.strict", unique=Unique("10m", on_conflict="error"))(lambda: None)
    app.schedules.add("late", "tick.late", 40)
    app.schedules.add("strict", "tick.strict", 60)
    for at_s in (40, 60, 80, 120):
        app.clock = lambda at_s=at_s: START + at_s
        send(app, at_s)
    (late,) = [each for _, each in run(app.connection().broker.queues.browse("default", 9)) if each.task == "tick.late"]
    assert (late.id, late.due_at_s) == (tick_id("late", START + 40), START + 170)
    strict = app.schedules.get("strict")
    assert (strict.sent, strict.left_out) == (1, 1)
    assert strict.left_out_why == f"task {tick_id('strict', START + 60)} has its key (unique)"
    with pytest.raises(DuplicateCall):
        app.schedules.run("strict")
    with pytest.raises(InvalidSchedule, match=r"debounce= of task 'tick.late' says when it runs"):
        app.schedules.add("never", "tick.late", 60, jitter=5)
