"""What becomes of ticks: on time, late, missed, and while the one before still runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from faena.model.cron import Cron
from faena.model.message import Message
from faena.model.schedule import (
    LOOK_AGAIN_S,
    MOST_AT_ONCE,
    Schedule,
    Standing,
    begun,
    message_of,
    next_ticks,
    take_turn,
    tick_id,
    ticks_between,
)
from faena.model.timing import Every, Once

START = 1_700_000_000.0


def schedule(every_s: float = 60.0, **options: Any) -> Schedule:
    message = Message("", "app.tick", "celery", b"[[],{}]")
    return Schedule(name="s", timing=Every(round(every_s * 1000)), message=message, **options)


def standing(every_s: float = 60.0, **options: Any) -> Standing:
    return begun(schedule(every_s, **options), START, ZoneInfo)


@dataclass
class Seen:
    ticks: list[float]
    after: Standing
    cancels: str = ""
    looks_at_s: float | None = None


def turn(before: Standing, passed_s: float, *, is_running: bool = False) -> Seen:
    taken = take_turn(before, START + passed_s, ZoneInfo, is_running=is_running)
    looks = None if taken.wakes_at_s is None else taken.wakes_at_s - START
    return Seen([tick - START for tick in taken.ticks], taken.standing, taken.cancels, looks)


def test_an_interval_begins_when_it_is_made_and_ticks_one_interval_later() -> None:
    assert standing().next_s == START + 60
    assert turn(standing(), 59.9).ticks == []
    seen = turn(standing(), 60.0)
    assert (seen.ticks, seen.looks_at_s, seen.after.sent) == ([60.0], 120.0, 1)
    assert seen.after.last_id == tick_id("s", START + 60)


def test_ticks_that_are_a_little_late_are_all_sent_whatever_is_said_of_missed_ones() -> None:
    for catch_up in ("last", "all", "none"):
        assert turn(standing(2.0, catch_up=catch_up), 8.5).ticks == [2.0, 4.0, 6.0, 8.0], catch_up


def test_after_a_long_time_the_last_tick_is_sent_and_no_flood() -> None:
    seen = turn(standing(60.0), 3650.0)
    assert (seen.ticks, seen.looks_at_s, seen.after.left_out) == ([3600.0], 3660.0, 1)
    assert turn(standing(60.0), 3605.0).ticks == [3600.0]


def test_all_missed_ticks_are_sent_where_that_is_wanted_in_portions() -> None:
    seen = turn(standing(60.0, catch_up="all"), 60.0 * 1200)
    assert seen.ticks == [60.0 * number for number in range(1, MOST_AT_ONCE + 1)]
    assert turn(seen.after, 60.0 * 1200).ticks[0] == 60.0 * (MOST_AT_ONCE + 1)


def test_what_was_missed_by_more_than_the_window_is_never_sent() -> None:
    assert turn(standing(60.0, catch_up="all", window_s=200.0), 3650.0).ticks == [3480.0, 3540.0, 3600.0]
    assert turn(standing(3600.0, window_s=600.0), 3600.0 + 599).ticks == [3600.0]
    seen = turn(standing(3600.0, window_s=600.0), 3600.0 + 601)
    assert (seen.ticks, seen.looks_at_s, seen.after.left_out) == ([], 7200.0, 1)


def test_missed_ticks_are_left_out_where_that_is_wanted() -> None:
    seen = turn(standing(60.0, catch_up="none"), 3650.0)
    assert (seen.ticks, seen.looks_at_s) == ([], 3660.0)
    assert turn(standing(60.0, catch_up="none"), 3610.0).ticks == [3600.0]


def test_a_tick_is_left_out_while_the_one_before_runs() -> None:
    first = turn(standing(overlap="skip"), 60.0)
    second = turn(first.after, 120.0, is_running=True)
    assert (second.ticks, second.after.left_out, second.after.last_id) == ([], 1, first.after.last_id)
    assert turn(second.after, 180.0).ticks == [180.0]


def test_one_tick_waits_for_the_end_of_the_one_before() -> None:
    first = turn(standing(overlap="queue"), 60.0)
    second = turn(first.after, 120.0, is_running=True)
    assert (second.ticks, second.looks_at_s) == ([], 120.0 + LOOK_AGAIN_S)
    third = turn(second.after, 180.0, is_running=True)
    assert (third.ticks, third.after.held_s, third.after.left_out) == ([], START + 120.0, 1)
    fourth = turn(third.after, 200.0)
    assert (fourth.ticks, fourth.after.held_s, fourth.looks_at_s) == ([120.0], None, 240.0)


def test_the_one_before_is_cancelled_and_the_latest_sent() -> None:
    first = turn(standing(overlap="cancel"), 60.0)
    second = turn(first.after, 120.0, is_running=True)
    assert (second.ticks, second.cancels) == ([120.0], first.after.last_id)
    assert turn(second.after, 180.0).cancels == ""
    assert turn(standing(2.0, overlap="cancel"), 9.0).ticks == [8.0]


def test_a_schedule_ticks_between_its_start_and_its_end() -> None:
    bounded = schedule(60.0, starts_at_s=START + 1000.0, ends_at_s=START + 1130.0)
    assert next_ticks(bounded, START, 10, ZoneInfo) != []
    began = begun(bounded, START, ZoneInfo)
    assert began.next_s == START + 1000.0
    assert [tick - START for tick in next_ticks(began.schedule, START, 10, ZoneInfo)] == [1000.0, 1060.0, 1120.0]
    seen = turn(began, 5000.0)
    assert (seen.ticks, seen.looks_at_s, seen.after.state) == ([1120.0], None, "ended")


def test_one_moment_comes_once() -> None:
    once = begun(replace(schedule(), timing=Once(START + 5)), START, ZoneInfo)
    assert turn(once, 4.9).ticks == []
    seen = turn(once, 300.0)
    assert (seen.ticks, seen.after.state) == ([5.0], "ended")


def test_nothing_is_sent_of_a_paused_schedule() -> None:
    paused = replace(standing(), is_paused=True)
    assert turn(paused, 600.0).ticks == []
    assert (paused.wakes_at_s, paused.state) == (None, "paused")


def test_ticks_of_a_time_that_has_passed_can_be_listed() -> None:
    daily = replace(schedule(), timing=Cron("0 6 * * *"))
    found = ticks_between(daily, 1_700_028_000.0, 1_700_028_000.0 + 3 * 86400, 10, lambda _: ZoneInfo("UTC"))
    assert found == [1_700_028_000.0 + 86400 * day for day in range(4)]
    assert len(ticks_between(daily, 0.0, START, 7, lambda _: ZoneInfo("UTC"))) == 7


@pytest.mark.parametrize("jitter_s", [0.0, 30.0])
def test_the_message_of_a_tick_says_which_one_it_is(jitter_s: float) -> None:
    made = schedule(jitter_s=jitter_s, expires_s=100.0)
    task_id = tick_id("s", START)
    message = message_of(made, START, task_id, START)
    assert message == message_of(made, START, task_id, START)
    assert message.headers == {"schedule": "s", "scheduled_for": "2023-11-14T22:13:20+00:00"}
    assert message.id == task_id
    late_s = (message.due_at_s or START) - START
    assert 0 < late_s < 30 if jitter_s else message.due_at_s is None
    assert message.expires_at_s == START + late_s + 100.0
