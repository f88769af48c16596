"""What cron expressions mean, and what is said of those that mean nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from faena.errors import InvalidSchedule
from faena.model.cron import Cron, following, read_cron


def ticks(cron: Cron, start: str, count: int, zone: str = "UTC") -> list[str]:
    at_s: float | None = datetime.fromisoformat(start).astimezone(UTC).timestamp()
    found = []
    for _ in range(count):
        assert at_s is not None
        at_s = following(cron, at_s, ZoneInfo(zone))
        found.append("never" if at_s is None else datetime.fromtimestamp(at_s, ZoneInfo(zone)).isoformat(" ", "minutes"))
    return found


@pytest.mark.parametrize(
    ("field", "text", "numbers"),
    [
        ("minutes", "*/15 * * * *", (0, 15, 30, 45)),
        ("minutes", "1,5-9/2,58 * * * *", (1, 5, 7, 9, 58)),
        ("hours", "0 22-2 * * *", (0, 1, 2, 22, 23)),
        ("weekdays", "0 0 * * mon-FRI", {1, 2, 3, 4, 5}),
        ("weekdays", "0 0 * * sunday", {0}),
        ("weekdays", "0 0 * * 5-7", {5, 6, 0}),
        ("weekdays", "0 0 * * fri-mon", {5, 6, 0, 1}),
        ("weekdays", "0 0 * * */2", {0, 2, 4, 6}),
        ("months", "0 0 1 jan,December *", {1, 12}),
        ("days", "0 0 */10 * *", {1, 11, 21, 31}),
        ("hours", "@daily", (0,)),
    ],
)
def test_fields_are_read_as_cron_reads_them(field: str, text: str, numbers: Any) -> None:
    assert getattr(read_cron(text), field) == numbers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("* * *", "'* * *' has 3 fields; cron has five: minute, hour, day of month, month, day of week"),
        (
            "0 * * * * *",
            "'0 * * * * *' has 6 fields; cron has five: minute, hour, day of month, month, day of week; "
            "for seconds use an interval",
        ),
        ("60 * * * *", "minute goes from 0 to 59, and '60' is outside"),
        ("0 0 0 * *", "day of month goes from 1 to 31, and '0' is outside"),
        ("0 0 * * mondey", "day of week is 'mondey': a number from 0 to 7 or a name is wanted; did you mean 'monday'?"),
        ("x * * * *", "minute is 'x': a number from 0 to 59 is wanted"),
        ("1, * * * *", "minute is empty: a number from 0 to 59 is wanted"),
        ("5/15 * * * *", "minute '5/15': a step follows a range or *; did you mean '5-59/15'?"),
        ("*/0 * * * *", "minute goes from 1 to 59, and '0' is outside"),
        ("0 0 31 2,4 *", "'0 0 31 2,4 *' names a day that no month of it has: it would never come"),
        ("@hourley", "cron has no word '@hourley'; did you mean '@hourly'?"),
        ("@reboot", "cron has no word '@reboot'; a worker that starts is no moment of a calendar"),
    ],
)
def test_an_expression_that_means_nothing_is_refused_with_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        read_cron(text)
    assert str(caught.value) == message


def test_two_restricted_days_are_alternatives_in_cron_and_conditions_in_celery() -> None:
    either = Cron("0 0 13 * 5")
    both = Cron("0 0 13 * 5", either_day=False)
    assert ticks(either, "2024-09-01T00:00Z", 3) == [
        "2024-09-06 00:00+00:00",
        "2024-09-13 00:00+00:00",
        "2024-09-20 00:00+00:00",
    ]
    assert ticks(both, "2024-09-01T00:00Z", 2) == ["2024-09-13 00:00+00:00", "2024-12-13 00:00+00:00"]
    assert ticks(Cron("0 0 */2 * 5"), "2024-09-01T00:00Z", 2) == ["2024-09-13 00:00+00:00", "2024-09-27 00:00+00:00"]


def test_the_rarest_day_is_found() -> None:
    assert ticks(Cron("0 0 29 2 1", either_day=False), "2072-03-01T00:00Z", 1) == ["2112-02-29 00:00+00:00"]


def test_a_time_that_the_clocks_leave_out_is_the_first_moment_after_the_gap() -> None:
    start, zone = "2024-03-30T12:00Z", "Europe/Madrid"
    assert ticks(Cron("30 2 * * *"), start, 2, zone) == ["2024-03-31 03:00+02:00", "2024-04-01 02:30+02:00"]
    assert ticks(Cron("*/20 2,3 * * *"), start, 3, zone) == [
        "2024-03-31 03:00+02:00", "2024-03-31 03:20+02:00", "2024-03-31 03:40+02:00",
    ]  # fmt: skip
    assert ticks(Cron("30 2 * * *", gap="skip"), start, 1, zone) == ["2024-04-01 02:30+02:00"]


def test_a_time_that_comes_twice_is_taken_once() -> None:
    start, zone = "2024-10-26T12:00Z", "Europe/Madrid"
    assert ticks(Cron("30 2 * * *"), start, 2, zone) == ["2024-10-27 02:30+02:00", "2024-10-28 02:30+01:00"]
    assert ticks(Cron("30 2 * * *", fold="twice"), start, 2, zone) == ["2024-10-27 02:30+02:00", "2024-10-27 02:30+01:00"]


def test_an_expression_for_every_hour_follows_the_time_that_goes_by() -> None:
    zone = "Europe/Madrid"
    assert ticks(Cron("30 * * * *"), "2024-10-26T23:00Z", 3, zone) == [
        "2024-10-27 01:30+02:00", "2024-10-27 02:30+02:00", "2024-10-27 02:30+01:00",
    ]  # fmt: skip
    assert ticks(Cron("30 * * * *"), "2024-03-31T00:00Z", 2, zone) == ["2024-03-31 01:30+01:00", "2024-03-31 03:30+02:00"]
    assert ticks(Cron("30 * * * *", gap="next"), "2024-03-31T00:00Z", 3, zone) == [
        "2024-03-31 01:30+01:00", "2024-03-31 03:00+02:00", "2024-03-31 03:30+02:00",
    ]  # fmt: skip
    assert ticks(Cron("30 * * * *", fold="once"), "2024-10-26T23:00Z", 3, zone) == [
        "2024-10-27 01:30+02:00", "2024-10-27 02:30+02:00", "2024-10-27 03:30+01:00",
    ]  # fmt: skip


def test_a_day_that_a_zone_has_left_out_is_made_up_for_at_its_end() -> None:
    assert ticks(Cron("0 12 * * *"), "2011-12-29T23:00Z", 3, "Pacific/Apia") == [
        "2011-12-31 00:00+14:00", "2011-12-31 12:00+14:00", "2012-01-01 12:00+14:00",
    ]  # fmt: skip
