"""The helpers that users test their tasks with."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from faena import Faena
from faena.errors import ResultTimeout
from faena.model.event import EventKind
from faena.testing import Clock, InProcessWorker, in_memory, run_pending


@pytest.fixture
def app():
    return Faena("shop", set_as_current=False)


def kinds(events):
    return [event.kind for event in events]


def test_what_waits_runs_in_the_calling_thread_and_keeps_its_result(app):
    @app.task
    def double(n: int) -> int:
        return 2 * n

    with in_memory(app):
        result = double.delay(21)
        assert result.state == "PENDING"
        assert kinds(run_pending(app)) == [EventKind.TASK_SUCCEEDED]
        assert result.get(timeout=1) == 42


def test_a_delayed_task_runs_when_the_clock_has_moved_past_its_time_and_not_before(app):
    @app.task
    def remind() -> str:
        return "now"

    clock = Clock(datetime(2030, 1, 1, tzinfo=UTC))
    with in_memory(app, clock):
        result = remind.apply_async(countdown=3600)
        assert run_pending(app) == []
        clock.advance(timedelta(minutes=59))
        assert run_pending(app) == []
        clock.advance(60)
        assert kinds(run_pending(app)) == [EventKind.TASK_SUCCEEDED]
        assert result.date_done == datetime(2030, 1, 1, 1, tzinfo=UTC)


def test_retries_wait_for_their_time_and_end_in_the_dead_letters_when_used_up(app):
    @app.task(bind=True, max_retries=2, default_retry_delay=60)
    def fetch(self):
        raise self.retry(exc=ConnectionError("down"))

    clock = Clock()
    with in_memory(app, clock):
        result = fetch.delay()
        seen = []
        for _ in range(4):
            seen.extend(kinds(run_pending(app)))
            clock.advance(60)
        assert seen == [EventKind.TASK_RETRIED, EventKind.TASK_RETRIED, EventKind.TASK_FAILED]
        with pytest.raises(ConnectionError, match="down"):
            result.get(timeout=1)
        assert result.retries == 2


def test_tasks_that_a_task_sends_run_too_and_are_known_as_its_children(app):
    @app.task
    def leaf(n: int) -> int:
        return n

    @app.task
    def root() -> None:
        for n in range(3):
            leaf.delay(n)

    with in_memory(app):
        result = root.delay()
        assert len(run_pending(app)) == 4
        children = result.children
        assert [child.get(timeout=1) for child in children] == [0, 1, 2]
        assert {child.parent.id for child in children} == {result.id}


def test_an_endless_chain_of_tasks_is_an_error(app):
    @app.task
    def again() -> None:
        again.delay()

    with in_memory(app):
        again.delay()
        with pytest.raises(AssertionError, match="20 tasks have run"):
            run_pending(app, most=20)


def test_two_blocks_share_nothing_and_the_settings_come_back(app):
    @app.task
    def note() -> None:
        pass

    before = app.conf.broker_url
    with in_memory(app):
        note.delay()
    with in_memory(app):
        assert run_pending(app) == []
    assert app.conf.broker_url == before


def test_links_follow_a_success_with_its_result_and_a_failure_with_its_id(app):
    seen = []

    @app.task
    def tell(*args) -> None:
        seen.append(args)

    @app.task
    def halve(n: int) -> float:
        return 10 / n

    with in_memory(app):
        halve.apply_async((5,), link=[tell.s("ok"), tell.si("fixed")], link_error=tell.s("bad"))
        failing = halve.apply_async((0,), link=tell.s("ok"), link_error=tell.s("bad"))
        run_pending(app)
    assert sorted(seen, key=str) == sorted([(2.0, "ok"), ("fixed",), (failing.id, "bad")], key=str)


def test_a_worker_beside_the_test_runs_functions_and_coroutines(app):
    @app.task
    def plain(n: int) -> int:
        return n + 1

    @app.task
    async def waits(n: int) -> int:
        await asyncio.sleep(0)
        return n + 2

    with in_memory(app), InProcessWorker(app, threads=2) as worker:
        results = app.send_many([plain.s(1), waits.s(1), plain.s(10)])
        assert results.join(timeout=10) == [2, 3, 11]
        assert len(worker.recorder.wait_for(EventKind.TASK_SUCCEEDED, 3)) == 3


def test_awaiting_results_works_beside_a_worker(app):
    @app.task
    async def waits(n: int) -> int:
        return n * n

    async def client() -> list[int]:
        results = [await waits.adelay(n) for n in range(5)]
        found = [await result for result in results]
        await app.aclose()
        return found

    with in_memory(app), InProcessWorker(app):
        assert asyncio.run(client()) == [0, 1, 4, 9, 16]


def test_soft_limits_hold_in_the_threads_of_a_test_worker(app):
    @app.task(soft_time_limit=0.2)
    def forever() -> None:
        while True:
            pass

    with in_memory(app), InProcessWorker(app), pytest.raises(Exception, match="soft time limit"):
        forever.delay().get(timeout=10)


def test_get_gives_up_after_its_time_and_says_what_to_look_for(app):
    @app.task
    def never() -> None:
        pass

    with in_memory(app), pytest.raises(ResultTimeout, match="is a worker running"):
        never.delay().get(timeout=0.05)


def test_the_clock_moves_forward_only():
    clock = Clock(datetime(2030, 1, 1, tzinfo=UTC))
    clock.travel_to(datetime(2030, 1, 2, tzinfo=UTC))
    assert clock.now == datetime(2030, 1, 2, tzinfo=UTC)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="time zone"):
        clock.travel_to(datetime(2031, 1, 1))
