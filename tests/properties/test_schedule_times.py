"""Every cron expression and interval against a second reading of the rule: the periods of a zone, one offset in each.

FAENA_ZONES=all takes every zone of the tz database and 30 years; without it, a sample of both that keeps the hard ones.
"""

from __future__ import annotations

import os
import random
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faena.model.cron import Cron, Fields, following, read_cron
from faena.model.timing import Every, latest
from faena.model.timing import following as following_of

TAKES_ALL = os.environ.get("FAENA_ZONES") == "all"
FIRST_YEAR, YEARS = 2007, 30
HARD = (
    "Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "America/Santiago",
    "Asia/Gaza", "Africa/Cairo", "Antarctica/Troll", "America/St_Johns", "Asia/Kathmandu", "Pacific/Chatham",
    "America/Scoresbysund", "Asia/Pyongyang", "America/Caracas", "Europe/Dublin", "Africa/Juba", "UTC",
)  # fmt: skip
CRONS = (
    "*/5 * * * *", "17 * * * *", "0 */2 * * *", "30 2 * * *", "0 0 * * *", "15,45 1-3 * * *", "59 23 * * *", "0 3 * * 0",
    "30 1 1,31 * 5", "0 12 * * fri", "5 0 29 2 *", "0 0-4 * 3,10 *",
)  # fmt: skip
MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1)

Period = tuple[int, int, int]  # from, until (unix seconds), offset


@cache
def periods(name: str) -> list[Period]:
    """The periods of a zone with one offset each, found by looking at every hour and then closer."""
    zone = ZoneInfo(name)

    def offset(at_s: int) -> int:
        return round((datetime.fromtimestamp(at_s, UTC).astimezone(zone).utcoffset() or timedelta()).total_seconds())

    start = round(datetime(FIRST_YEAR - 1, 12, 1, tzinfo=UTC).timestamp())
    end = round(datetime(FIRST_YEAR + YEARS, 2, 1, tzinfo=UTC).timestamp())
    found: list[Period] = []
    since, here = start, offset(start)
    for at in range(start, end, 6 * 3600):
        if offset(at) != here:
            low, high = at - 6 * 3600, at
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == here else (low, middle)
            found.append((since, high, here))
            since, here = high, offset(at)
    return [*found, (since, end, here)]


def zones() -> list[str]:
    every = sorted(available_timezones())
    if not TAKES_ALL:
        return [*HARD, *random.Random(7).sample(every, 12)]
    return list({tuple(periods(name)): name for name in every}.values())  # many names stand for the same clocks


def names_minute(fields: Fields, wall_s: int) -> bool:
    """Whether an expression names a minute, by looking at it alone."""
    wall = EPOCH + timedelta(seconds=wall_s)
    in_month, in_week = wall.day in fields.days, (wall.weekday() + 1) % 7 in fields.weekdays
    is_day = (in_month or in_week) if fields.either_day else (in_month and in_week)
    return wall.minute in fields.minutes and wall.hour in fields.hours and wall.month in fields.months and is_day


def expected(expression: str, zone: str, start_s: int, end_s: int) -> list[int]:
    """The moments in (start, end] by the stated rule, minute after minute of every clock that goes at that time."""
    fields, spans = read_cron(expression), periods(zone)
    found: set[int] = set()
    seen: set[int] = set()  # times that have come already: once is enough
    first = max(0, bisect_right(spans, (start_s - 2 * 86400, 0, 0)) - 1)
    for at, (since, until, offset) in enumerate(spans[first:], first):
        if since > end_s:
            break
        if at > first and not fields.is_every_hour and offset > spans[at - 1][2]:
            left_out = range(-(-(since + spans[at - 1][2]) // 60) * 60, since + offset, 60)
            if any(names_minute(fields, wall) for wall in left_out):
                found.add(since)
        opens = max(since, start_s - 2 * 86400)
        for wall in range(-(-(opens + offset) // 60) * 60, min(until, end_s + 1) + offset, 60):
            if names_minute(fields, wall) and not (wall in seen and not fields.is_every_hour):
                found.add(wall - offset)
                seen.add(wall)
    return sorted(moment for moment in found if start_s < moment <= end_s)


def computed(expression: str, zone: str, start_s: int, end_s: int) -> Iterator[int]:
    moment = following(Cron(expression), start_s, ZoneInfo(zone))
    while moment is not None and moment <= end_s:
        yield round(moment)
        moment = following(Cron(expression), moment, ZoneInfo(zone))


@pytest.mark.parametrize("zone", zones())
def test_cron_expressions_keep_to_the_rule_around_every_change_of_the_clocks(zone: str) -> None:
    changes = [since for since, _, _ in periods(zone)[1:]]
    if not TAKES_ALL:
        changes = random.Random(zone).sample(changes, min(2, len(changes)))
    for number, change in enumerate(changes):
        for expression in (CRONS[number % 6 + 6], *CRONS[:6]):
            start_s, end_s = change - 30 * 3600, change + 30 * 3600
            assert list(computed(expression, zone, start_s, end_s)) == expected(expression, zone, start_s, end_s), (
                expression, datetime.fromtimestamp(change, UTC),
            )  # fmt: skip


@pytest.mark.parametrize("zone", zones() if TAKES_ALL else HARD[:4])
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 0 1 * *", "5 0 29 2 *"])
def test_all_ticks_of_thirty_years_keep_to_the_rule(zone: str, expression: str) -> None:
    years = YEARS if TAKES_ALL else 5
    spans = periods(zone)
    start_s = round(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    end_s = round(datetime(FIRST_YEAR + years, 1, 1, tzinfo=UTC).timestamp())
    fields = read_cron(expression)
    moments = list(computed(expression, zone, start_s, end_s))
    assert moments == sorted(set(moments))
    walls: dict[int, int] = {}
    for moment in moments:
        since, until, offset = spans[bisect_right(spans, (moment, 1 << 60, 0)) - 1]
        if not names_minute(fields, moment + offset):
            assert moment == since, "a moment that the expression does not name is the end of a gap"
            before = spans[spans.index((since, until, offset)) - 1][2]
            left_out = range(moment + before, moment + offset, 60)
            walls |= {wall: moment for wall in left_out if names_minute(fields, wall)}
        walls[moment + offset] = moment
    day, step = EPOCH + timedelta(seconds=start_s + 86400), timedelta(days=1)
    while (wall_s := round((day - EPOCH).total_seconds())) < end_s - 2 * 86400:
        wall = wall_s + fields.hours[0] * 3600 + fields.minutes[0] * 60
        if names_minute(fields, wall):
            assert wall in walls, f"{day} has no tick"
        day += step


@given(
    every_ms=st.integers(100, 90 * 86_400_000),
    anchor_ms=st.integers(0, 2_000_000_000_000),
    after_ms=st.integers(1_000_000_000_000, 2_500_000_000_000),
)
def test_ticks_of_an_interval_are_its_anchor_and_whole_multiples(every_ms: int, anchor_ms: int, after_ms: int) -> None:
    timing = Every(every_ms, anchor_ms)
    tick_s = following_of(timing, after_ms / 1000, ZoneInfo)
    assert tick_s is not None
    tick_ms = round(tick_s * 1000)
    assert (tick_ms - anchor_ms) % every_ms == 0
    assert after_ms < tick_ms <= after_ms + every_ms
    again_s = following_of(timing, tick_s, ZoneInfo)
    assert again_s is not None
    assert round(again_s * 1000) == tick_ms + every_ms


@given(
    expression=st.sampled_from(CRONS),
    start=st.integers(1_200_000_000, 2_000_000_000),
    passed=st.one_of(st.integers(60, 100_000), st.integers(60, 20_000_000)),
)
def test_the_latest_tick_is_the_last_one_that_following_comes_to(expression: str, start: int, passed: int) -> None:
    timing = Cron(expression, "Europe/Madrid")
    first_s = following_of(timing, start, ZoneInfo)
    assert first_s is not None
    found_s = latest(timing, first_s, first_s + passed, ZoneInfo)
    after_s = following_of(timing, found_s, ZoneInfo)
    assert first_s <= found_s <= first_s + passed
    assert after_s is not None
    assert after_s > first_s + passed
    assert found_s == first_s or following_of(timing, found_s - 1, ZoneInfo) == found_s
