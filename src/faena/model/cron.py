"""The law of cron expressions: which minutes of the calendar one names, and which moments those are in a time zone.

Five fields (minute, hour, day of month, month, day of week), each of: `*`, numbers, names (`mon`, `january`), ranges
(`1-5`; one that runs over the end, such as `22-2`, goes on from the start), steps (`*/5`, `8-18/2`), and lists of these.
Sunday is 0 or 7.

Where both days are restricted, Vixie cron takes a day that fits *either*, unless one of them begins with `*` (crontab(5)),
and Celery's `crontab` one that fits *both*: `either_day` says which law is meant.

Daylight saving: a time that the clocks leave out becomes the first moment after the gap (once, however many times fall
into it), one that comes twice is taken at its first coming. An expression for every hour of the day means the time that
goes by, not the face of the clock: it goes on in both hours that have one name, and a gap leaves nothing to be made up for.
`gap` and `fold` say so where something else is wanted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from faena.errors import InvalidSchedule, did_you_mean

Gap = Literal["auto", "next", "skip"]
Fold = Literal["auto", "once", "twice"]

WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_HORIZON_YEARS = 50  # 29 February on a given day of the week: 40 years at most, over the end of a century


class Cron(Struct, frozen=True, gc=False, tag="cron"):
    """Minutes by the calendar of a zone. `zone` is a name of the tz database; "" means the app's `timezone`."""

    expression: str
    zone: str = ""
    either_day: bool = True
    gap: Gap = "auto"
    fold: Fold = "auto"


class Fields(Struct, frozen=True):
    """An expression, read."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either_day: bool

    @property
    def is_every_hour(self) -> bool:
        return len(self.hours) == 24

    def is_day(self, day: date) -> bool:
        """Whether the expression names times on this day."""
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (in_month or in_week) if self.either_day else (in_month and in_week)


def following(cron: Cron, after_s: float, zone: tzinfo) -> float | None:
    """Return the first moment after `after_s` (unix seconds); None: there is none within 50 years."""
    fields = read_cron(cron.expression, cron.either_day)
    after = datetime.fromtimestamp(after_s, UTC)
    by_clock = cron.fold == "once" or (cron.fold == "auto" and not fields.is_every_hour)
    makes_up = cron.gap == "next" or (cron.gap == "auto" and not fields.is_every_hour)
    if by_clock:
        found = _first_coming(fields, after, zone, makes_up=makes_up)
    else:
        found = _any_coming(fields, after, zone)
        if makes_up:
            made_up = _first_coming(fields, after, zone, makes_up=True, only_gaps_before=found)
            found = made_up or found
    return None if found is None else found.timestamp()


@lru_cache(maxsize=4096)
def read_cron(expression: str, either_day: bool = True) -> Fields:
    """Read an expression. Raises InvalidSchedule: it says what is wrong with which field."""
    text = WORDS.get(expression.strip().lower(), expression)
    if text.lstrip().startswith("@"):
        hint = "; a worker that starts is no moment of a calendar" if text.strip().lower() == "@reboot" else ""
        raise InvalidSchedule(f"cron has no word '{text.strip()}'{hint}{did_you_mean(text.strip().lower(), WORDS)}")
    parts = text.split()
    if len(parts) != 5:
        hint = "; for seconds use an interval" if len(parts) == 6 else ""
        raise InvalidSchedule(
            f"'{expression}' has {len(parts)} fields; cron has five: minute, hour, day of month, month, day of week{hint}"
        )
    minute, hour, day, month, weekday = parts
    days = _read_field("day of month", day, 1, 31)
    months = _read_field("month", month, 1, 12, _MONTHS)
    weekdays = frozenset(number % 7 for number in _read_field("day of week", weekday, 0, 7, _DAYS))
    restricts_both = not day.startswith("*") and not weekday.startswith("*")
    fields = Fields(
        minutes=tuple(sorted(_read_field("minute", minute, 0, 59))),
        hours=tuple(sorted(_read_field("hour", hour, 0, 23))),
        days=days,
        months=months,
        weekdays=weekdays,
        either_day=either_day and restricts_both,
    )
    if not fields.either_day and not any(number <= _LENGTHS[each - 1] for each in months for number in days):
        raise InvalidSchedule(f"'{expression}' names a day that no month of it has: it would never come")
    return fields


def _read_field(field: str, text: str, least: int, most: int, names: Sequence[str] = ()) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _read_number(field, step_text, 1, most) if slash else 1
        if span == "*":
            numbers: Sequence[int] = range(least, most + (0 if field == "day of week" else 1))
        elif "-" in span:
            first, _, last = span.partition("-")
            numbers = _span(_read_number(field, first, least, most, names), _read_number(field, last, least, most, names),
                            least, most if field != "day of week" else 6)  # fmt: skip
        else:
            number = _read_number(field, span, least, most, names)
            if slash:
                raise InvalidSchedule(
                    f"{field} '{part}': a step follows a range or *; did you mean '{number}-{most}/{step}'?"
                )
            numbers = range(number, number + 1)
        found.update(numbers[::step])
    return frozenset(found)


def _span(first: int, last: int, least: int, most: int) -> Sequence[int]:
    if first <= last:
        return range(first, last + 1)
    return [*range(first, most + 1), *range(least, last + 1)]


def _read_number(field: str, text: str, least: int, most: int, names: Sequence[str] = ()) -> int:
    if text.isascii() and text.isdigit():
        number = int(text)
        if least <= number <= most:
            return number
        raise InvalidSchedule(f"{field} goes from {least} to {most}, and '{text}' is outside")
    word = text.lower()
    for at, name in enumerate(names):
        if word == name or word == name[:3]:
            return at + (1 if field == "month" else 0)
    known = did_you_mean(word, names) if names else ""
    what = "empty" if not text else f"'{text}'"
    raise InvalidSchedule(
        f"{field} is {what}: a number from {least} to {most}{' or a name' if names else ''} is wanted{known}"
    )


# -- from the calendar to moments --------------------------------------------------------------------------


def _walls(fields: Fields, start: datetime) -> Iterator[datetime]:
    """Yield the times that the expression names, from `start` on, as a clock on a wall shows them."""
    day = start.date()
    last_year = min(day.year + _HORIZON_YEARS, date.max.year - 1)
    hours = fields.hours[bisect_left(fields.hours, start.hour) :]
    while day.year <= last_year:
        if day.month not in fields.months:
            day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
            hours = fields.hours
            continue
        if fields.is_day(day):
            for hour in hours:
                for minute in fields.minutes:
                    wall = datetime.combine(day, time(hour, minute))
                    if wall >= start:
                        yield wall
        day += _DAY
        hours = fields.hours


def _first_coming(
    fields: Fields, after: datetime, zone: tzinfo, *, makes_up: bool, only_gaps_before: datetime | None = None
) -> datetime | None:
    """Return the first moment after `after` at which a time of the expression comes for the first time.

    Times grow with the moments of their first coming, so that nothing before the wall time of `after` can come later.
    With `only_gaps_before`, those alone count that the clocks have left out.
    """
    local = after.astimezone(zone).replace(tzinfo=None)
    until = None if only_gaps_before is None else only_gaps_before.astimezone(zone).replace(tzinfo=None)
    for wall in _walls(fields, _next_minute(local)):
        if until is not None and wall > until:
            return None
        early, late = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
        if early < late:  # left out
            if not makes_up:
                continue
            moment = _turn_of(zone, (wall - late).replace(tzinfo=UTC), (wall - early).replace(tzinfo=UTC))
        elif until is not None:
            continue
        else:
            moment = (wall - early).replace(tzinfo=UTC)
        if moment > after:
            return moment if only_gaps_before is None or moment < only_gaps_before else None
    return None


def _any_coming(fields: Fields, after: datetime, zone: tzinfo) -> datetime | None:
    """Return the first moment after `after` at which a clock shows a time of the expression, for whichever time."""
    at = datetime.fromtimestamp(after.timestamp() // 60 * 60, UTC) + _MINUTE
    while True:
        offset = at.astimezone(zone).utcoffset() or timedelta()
        wall = next(_walls(fields, _whole_minute((at + offset).replace(tzinfo=None))), None)
        if wall is None:
            return None
        found = (wall - offset).replace(tzinfo=UTC)
        turn = _first_turn(zone, at, found)
        if turn is None:
            return found
        at = turn


def _first_turn(zone: tzinfo, start: datetime, end: datetime) -> datetime | None:
    """Return the first moment after `start`, up to `end`, at which the offset differs from that at `start`."""
    offset = start.astimezone(zone).utcoffset()
    at = start
    while at < end:
        later = min(end, at + _DAY)
        if later.astimezone(zone).utcoffset() != offset:
            return _turn_of(zone, at, later)
        at = later
    return None


def _turn_of(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """Return the moment between the two at which the clocks are changed, to the second."""
    first, last = int(before.timestamp()), int(after.timestamp())
    offset = before.astimezone(zone).utcoffset()
    while last - first > 1:
        middle = (first + last) // 2
        if datetime.fromtimestamp(middle, UTC).astimezone(zone).utcoffset() == offset:
            first = middle
        else:
            last = middle
    return datetime.fromtimestamp(last, UTC)


def _next_minute(wall: datetime) -> datetime:
    return wall.replace(second=0, microsecond=0) + _MINUTE


def _whole_minute(wall: datetime) -> datetime:
    whole = wall.replace(second=0, microsecond=0)
    return whole if whole == wall else whole + _MINUTE
