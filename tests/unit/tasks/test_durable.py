"""Steps that a task remembers, durable sleep, and waiting for events."""

import asyncio
from datetime import timedelta

import pytest

from faena import Faena, chain
from faena._lib.drive import run
from faena.errors import EncodeError, EventTimeout, InvalidArguments, WorkflowError
from faena.model.event import EventKind
from faena.testing import Clock, in_memory, run_pending


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def app(clock):
    with in_memory(Faena("durable", set_as_current=False), clock) as app:
        yield app


def kinds(app):
    return [event.kind for event in run_pending(app)]


def test_a_retry_goes_on_after_the_last_step_that_has_finished(app):
    done = []

    @app.task(bind=True, max_retries=3, default_retry_delay=0)
    def import_orders(self):
        names = self.step("list", lambda: done.append("list") or ["a", "b"])
        for name in names:
            self.step("load", lambda name=name: done.append(name) or name.upper())
        if self.request.retries < 2:
            raise self.retry()
        return [self.step("load", str), names]

    result = import_orders.delay()
    assert kinds(app) == [EventKind.TASK_RETRIED, EventKind.TASK_RETRIED, EventKind.TASK_SUCCEEDED]
    assert done == ["list", "a", "b"]
    assert result.get() == ["", ["a", "b"]]  # the third step of that name is another one


def test_a_step_gives_at_first_what_it_will_give_later(app):
    @app.task(bind=True)
    def pair(self):
        return type(self.step("pair", lambda: (1, 2))).__name__

    result = pair.delay()
    run_pending(app)
    assert result.get() == type(app.codecs.decode("json", app.codecs.encode("json", (1, 2)))).__name__


def test_a_step_that_fails_is_done_again(app):
    attempts = []

    @app.task(bind=True, autoretry_for=(OSError,), retry_kwargs={"countdown": 0}, max_retries=5)
    def fetch(self):
        def work():
            attempts.append(1)
            if len(attempts) < 3:
                raise OSError("no route")
            return "page"

        return self.step("fetch", work)

    result = fetch.delay()
    run_pending(app)
    assert (result.get(), len(attempts)) == ("page", 3)


def test_what_cannot_be_remembered_fails_the_task_with_the_reason(app):
    @app.task(bind=True)
    def odd(self):
        self.step("odd", object)

    result = odd.delay()
    run_pending(app)
    with pytest.raises(EncodeError, match="cannot be written as JSON"):
        result.get()


def test_a_coroutine_in_a_step_that_is_none_is_refused_with_what_to_write(app):
    async def fetch():
        """Never awaited: a step that does not wait cannot."""

    @app.task(bind=True)
    def odd(self):
        made = fetch()
        try:
            self.step("fetch", lambda: made)
        finally:
            made.close()

    result = odd.delay()
    run_pending(app)
    with pytest.raises(WorkflowError, match=r"write await self\.astep"):
        result.get()


def test_a_task_that_has_succeeded_remembers_nothing_any_more(app):
    @app.task(bind=True)
    def job(self):
        return self.step("a", lambda: 1)

    result = job.delay()
    run_pending(app)
    assert list(app.journal.read(result.id)) == []


def test_a_task_that_has_failed_goes_on_after_its_last_step_when_it_is_requeued(app):
    done, broken = [], [True]

    @app.task(bind=True)
    def job(self):
        self.step("a", lambda: done.append("a"))
        if broken:
            raise ValueError("not yet")

    job.delay()
    run_pending(app)
    broken.clear()
    from faena._lib.drive import run

    assert run(app.connection().broker.dead_letters.requeue()) == 1
    assert kinds(app) == [EventKind.TASK_SUCCEEDED]
    assert done == ["a"]


def test_a_durable_sleep_holds_nothing_and_goes_on_when_its_time_has_come(app, clock):
    done = []

    @app.task(bind=True)
    def remind(self):
        self.step("ask", lambda: done.append("ask"))
        self.sleep(timedelta(days=60))
        done.append("remind")
        self.sleep(5)
        return "reminded"

    result = remind.apply_async(expires=10)  # it begins in time: what comes after is its own affair
    assert kinds(app) == [EventKind.TASK_SUSPENDED]
    assert (result.state, result.info["event"]) == ("WAITING", None)
    assert result.info["until"] == clock() + 60 * 86400
    assert kinds(app) == []
    clock.advance(timedelta(days=60))
    assert kinds(app) == [EventKind.TASK_SUSPENDED]
    clock.advance(5)
    assert kinds(app) == [EventKind.TASK_SUCCEEDED]
    assert (result.get(), done) == ("reminded", ["ask", "remind", "remind"])


def test_a_sleep_counts_as_no_retry(app, clock):
    @app.task(bind=True, max_retries=0)
    def nap(self):
        self.sleep(1)
        return self.request.retries

    result = nap.delay()
    run_pending(app)
    clock.advance(1)
    run_pending(app)
    assert result.get() == 0


def test_an_event_wakes_everybody_who_waits_for_it_with_its_value(app):
    @app.task(bind=True)
    def ship(self, order):
        return self.wait_for_event(f"paid-{order}")["amount"]

    first, second, other = ship.delay(1), ship.delay(1), ship.delay(2)
    assert kinds(app) == [EventKind.TASK_SUSPENDED] * 3
    assert first.info == {"event": "paid-1", "until": None}
    app.signal_event("paid-1", {"amount": 30})
    assert kinds(app) == [EventKind.TASK_SUCCEEDED] * 2
    assert (first.get(), second.get(), other.state) == (30, 30, "WAITING")


def test_an_event_that_happens_before_somebody_waits_is_not_missed_and_happens_once(app):
    @app.task(bind=True)
    def ship(self):
        return [self.wait_for_event("paid"), self.wait_for_event("paid")]

    app.signal_event("paid", 1)
    app.signal_event("paid", 2)
    result = ship.delay()
    assert kinds(app) == [EventKind.TASK_SUCCEEDED]
    assert result.get() == [1, 1]


def test_an_event_that_does_not_happen_in_time_raises_and_stays_so(app, clock):
    seen = []

    @app.task(bind=True)
    def ship(self):
        try:
            self.wait_for_event("paid", timeout=timedelta(hours=1))
        except EventTimeout as error:
            seen.append(str(error))
        self.sleep(10)
        return "gave up"

    result = ship.delay()
    run_pending(app)
    clock.advance(3601)
    run_pending(app)
    app.signal_event("paid", 1)  # too late: what has been decided stays
    clock.advance(10)
    run_pending(app)
    assert result.get() == "gave up"
    assert seen == ["event 'paid' has not happened within 3600 s"] * 2


def test_coroutines_have_the_same(app, clock):
    done = []

    async def load(name):
        done.append(name)
        return name.upper()

    @app.task(bind=True)
    async def job(self):
        first = await self.astep("load", load, "a")
        second = await self.astep("plain", str.upper, "b")
        await self.asleep(10)
        with pytest.raises(EventTimeout):
            await self.await_for_event("never", timeout=5)
        return [first, second, await self.await_for_event("go")]

    result = job.delay()
    for seconds in (10, 5):
        run_pending(app)
        clock.advance(seconds)
    run_pending(app)
    assert result.state == "WAITING"
    asyncio.run(signal(app, "go", 7))
    run_pending(app)
    assert (result.get(), done) == (["A", "B", 7], ["a"])


async def signal(app, name, value):
    await app.asignal_event(name, value)
    await app.aclose()


def test_a_task_that_waits_can_be_revoked(app):
    @app.task(bind=True)
    def ship(self):
        self.wait_for_event("paid")

    result = ship.delay()
    run_pending(app)
    result.revoke()
    assert result.state == "REVOKED"
    app.signal_event("paid")
    assert kinds(app) == []


def test_a_member_of_a_workflow_may_sleep_and_wait(app, clock):
    @app.task(bind=True)
    def slow(self, n):
        self.sleep(n)
        return n + self.wait_for_event("go")

    @app.task
    def total(numbers):
        return sum(numbers)

    from faena import chord

    result = chord([slow.s(1), slow.s(2)], total.s()).apply_async()
    for _ in range(3):
        run_pending(app)
        clock.advance(1)
    app.signal_event("go", 10)
    run_pending(app)
    assert result.get() == 23


def test_called_directly_everything_happens_at_once(app, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)

    @app.task(bind=True)
    def job(self):
        self.sleep(7)
        return self.step("a", lambda x, y=0: x + y, 1, y=2)

    assert job() == 3
    assert slept == [7]


def test_run_in_place_steps_are_done_sleeps_are_over_at_once_and_events_refused(app):
    @app.task(bind=True)
    def job(self):
        self.sleep(1000)
        return self.step("a", lambda: 1)

    @app.task(bind=True)
    def waits(self):
        self.wait_for_event("go")

    assert job.apply().get() == 1
    with pytest.raises(WorkflowError, match="runs here and now: it cannot wait for event 'go'"):
        waits.apply().get()


@pytest.mark.parametrize("name", ["", "x" * 501, None, 5])
def test_an_event_needs_a_name(app, name):
    with pytest.raises(InvalidArguments, match="an event is named by a text of 1 to 500 characters"):
        app.signal_event(name)


def test_waiting_for_a_result_inside_a_coroutine_is_refused_with_the_reason(app):
    @app.task
    def other():
        return 1

    @app.task(bind=True)
    async def waits(self):
        return await (await other.adelay())

    result = waits.delay()
    run_pending(app)
    with pytest.raises(RuntimeError, match="must not wait for the result of another"):
        result.get()


def test_a_task_that_was_revoked_while_it_ran_does_not_wait_for_an_event(app):
    @app.task(bind=True)
    def wait(self):
        app.control.revoke(self.request.id)
        return self.wait_for_event("never")

    result = wait.delay()
    assert kinds(app) == [EventKind.TASK_SUSPENDED, EventKind.TASK_REVOKED]
    assert result.state == "REVOKED"


def test_a_task_of_a_workflow_that_was_cancelled_while_it_ran_is_not_kept_for_an_event(app):
    @app.task(bind=True)
    def wait(self):
        app.workflow(self.request.workflow_id).cancel()
        return self.wait_for_event("never")

    result = chain(wait.s(), wait.si()).delay()
    assert kinds(app) == [EventKind.TASK_SUSPENDED]
    assert list(run(app.connection().backend.journal.unpark([result.parent.id]))) == []
    assert (result.state, result.workflow.state) == ("REVOKED", "REVOKED")


@pytest.mark.parametrize("name", ["", "x" * 501, None, 7])
def test_a_name_by_which_nobody_can_signal_is_no_name_to_wait_for(app, name):
    @app.task(bind=True)
    def wait(self):
        return self.wait_for_event(name)

    @app.task(bind=True)
    async def await_it(self):
        return await self.await_for_event(name)

    with pytest.raises(InvalidArguments, match="named by a text of 1 to 500 characters"):
        app.signal_event(name)
    for task in (wait, await_it):
        result = task.delay()
        assert kinds(app) == [EventKind.TASK_FAILED]
        with pytest.raises(InvalidArguments, match="named by a text of 1 to 500 characters"):
            result.get()
