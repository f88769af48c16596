"""When a schedule is due, with the words of `celery.schedules`: `crontab`, `schedule`, `solar`; and `cron` for expressions.

app.conf.beat_schedule = {"report": {"task": "app.report", "schedule": crontab(hour=7, minute=30, day_of_week="mon-fri")}}
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TypeAlias

from faena.errors import InvalidSchedule
from faena.model.cron import Cron, Fold, Gap, read_cron
from faena.model.sun import Solar, checked_solar
from faena.model.timing import Every

Field: TypeAlias = str | int | Iterable[int | str]
"""A field of `crontab`: `"*/15"`, `"1-5"`, `"mon,fri"`, a number, or several."""

SHORTEST_S = 0.1


class Interval(Every, frozen=True, gc=False, tag="every"):
    """What `schedule` returns. `relative`: at whole multiples of the interval by the clock of the app's time zone."""

    relative: bool = False


def crontab(
    minute: Field = "*",
    hour: Field = "*",
    *,
    day_of_week: Field = "*",
    day_of_month: Field = "*",
    month_of_year: Field = "*",
    tz: str = "",
    gap: Gap = "auto",
    fold: Fold = "auto",
) -> Cron:
    """Return minutes by the calendar, as Celery's `crontab`: a day has to fit both `day_of_month` and `day_of_week`.

    `tz` is a name such as "Europe/Madrid"; without it the app's `timezone` counts. `gap` ("next", "skip") and `fold`
    ("once", "twice") say what becomes of times that daylight saving leaves out or repeats.
    Raises InvalidSchedule.
    """
    fields = (minute, hour, day_of_month, month_of_year, day_of_week)
    return cron(" ".join(map(_field, fields)), tz=tz, either_day=False, gap=gap, fold=fold)


def cron(expression: str, *, tz: str = "", either_day: bool = True, gap: Gap = "auto", fold: Fold = "auto") -> Cron:
    """Return minutes by a line of crontab(5) such as "30 7 * * mon-fri" or "@daily".

    A day has to fit either of both days where both are restricted, as cron has it. Raises InvalidSchedule.
    """
    read_cron(expression, either_day)
    return Cron(" ".join(expression.split()), tz, either_day, gap, fold)


def schedule(run_every: float | timedelta, relative: bool = False) -> Interval:
    """Return an interval, counted from when the schedule is made; `relative`: from midnight in the app's time zone.

    Unit: seconds, or a timedelta. Raises InvalidSchedule: it is shorter than 0.1 s.
    """
    seconds = run_every.total_seconds() if isinstance(run_every, timedelta) else float(run_every)
    if not seconds >= SHORTEST_S or seconds == float("inf"):
        raise InvalidSchedule(f"an interval of {seconds:g} s cannot be kept: {SHORTEST_S:g} s is the shortest")
    return Interval(round(seconds * 1000), relative=relative)


def solar(event: str, lat: float, lon: float) -> Solar:
    """Return an event of the sun at a place: sunrise, sunset, solar_noon, dawn_civil, dusk_nautical, ...

    Degrees; north and east are positive. Raises InvalidSchedule.
    """
    return checked_solar(event, lat, lon)


def _field(value: Field) -> str:
    if isinstance(value, str):
        return "".join(value.split()) or "(empty)"
    if isinstance(value, int):
        return str(value)
    return ",".join(sorted((str(each) for each in value), key=lambda each: (len(each), each)))
