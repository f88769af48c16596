"""From what people say of a schedule (Celery's shape, and more) to the timing and the rules that are kept of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeAlias, TypedDict, get_args

from msgspec import Struct
from msgspec.structs import replace

from faena._lib.arguments.convert import to_seconds
from faena.errors import InvalidSchedule, did_you_mean
from faena.model.cron import Cron
from faena.model.schedule import CatchUp, Overlap
from faena.model.sun import Solar
from faena.model.timing import Every, Once, Timing
from faena.schedules import Interval, cron, schedule
from faena.tasks.options import seconds

When: TypeAlias = str | float | timedelta | datetime | Timing
"""A cron expression, an interval (a number, a timedelta, a text such as "5m"), a moment, or what `crontab`, `schedule` and
`solar` return."""

_FIRST_MONDAY = datetime.fromisoformat(
    "2018-01-01"
)  # intervals by the clock count from here, so that weeks begin on Monday


class ScheduleOptions(TypedDict, total=False):
    """What may be said of a schedule besides its name, its task and when. Durations are seconds or timedeltas."""

    args: Iterable[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]  # of the call, as for apply_async: queue, priority, expires (from each tick), ...
    tz: str  # of a cron expression; default: the app's timezone
    relative: bool  # an interval by the clock, not from when it is made
    catch_up: CatchUp  # what becomes of ticks that were missed: "last" (default), "all", "none"
    catch_up_window: float | timedelta | None  # what was missed longer ago than this never runs
    overlap: Overlap  # while the task of the tick before has not ended: "allow" (default), "skip", "queue", "cancel"
    jitter: float | timedelta  # each tick is sent up to so much later
    start: datetime | None  # no tick before; also what an interval is counted from
    end: datetime | None  # no tick after


SCHEDULE_OPTIONS = frozenset(ScheduleOptions.__annotations__)
_ENTRY_KEYS = SCHEDULE_OPTIONS | {"task", "schedule"}
_REFUSED = {
    "task_id": "each tick has its own id",
    "eta": "the schedule says when",
    "root_id": "a tick follows from no task",
    "parent_id": "a tick follows from no task",
    "retry": "the scheduler sends it as often as it takes",
    "retry_policy": "the scheduler sends it as often as it takes",
}


class Rules(Struct, frozen=True):
    """What is kept of the options of a schedule."""

    catch_up: CatchUp = "last"
    window_s: float | None = None
    overlap: Overlap = "allow"
    jitter_s: float = 0.0
    starts_at_s: float | None = None
    ends_at_s: float | None = None


def check_entry(name: str, entry: Any) -> None:
    """Raise InvalidSchedule for an entry of `beat_schedule` that cannot be read."""
    if not isinstance(entry, Mapping):
        raise InvalidSchedule(f"schedule '{name}' is {entry!r}: a mapping with 'task' and 'schedule' is wanted")
    for key in entry:
        if key not in _ENTRY_KEYS:
            raise InvalidSchedule(f"schedule '{name}' has no option '{key}'{did_you_mean(str(key), _ENTRY_KEYS)}")
    for key in ("task", "schedule"):
        if entry.get(key) is None:
            raise InvalidSchedule(f"schedule '{name}' does not say its '{key}'")


def check_options(name: str, options: Iterable[str]) -> None:
    """Raise InvalidSchedule for an option that a schedule does not have."""
    for key in options:
        if key not in SCHEDULE_OPTIONS:
            raise InvalidSchedule(f"schedule '{name}' has no option '{key}'{did_you_mean(key, SCHEDULE_OPTIONS)}")


def call_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the call. Raises InvalidSchedule for one that makes no sense in a schedule."""
    for key in options:
        if key in _REFUSED and options[key] is not None:
            raise InvalidSchedule(f"schedule '{name}': the option '{key}' makes no sense here: {_REFUSED[key]}")
    if isinstance(options.get("expires"), datetime):
        raise InvalidSchedule(
            f"schedule '{name}': 'expires' counts from each tick, in seconds; the moment after which there is none is 'end'"
        )
    return {key: value for key, value in options.items() if value is not None}


def timing_of(name: str, when: When, zone_name: str, zone: tzinfo, *, relative: bool = False) -> Timing:
    """Return when a schedule is due. A naive moment is in `zone`. Raises InvalidSchedule."""
    match when:
        case Cron():
            return replace(when, zone=when.zone or zone_name)
        case Interval():
            return _interval(when, zone, relative=relative or when.relative)
        case Every() | Solar() | Once():
            return when
        case bool():
            pass
        case timedelta() | int() | float():
            return _interval(schedule(when), zone, relative=relative)
        case datetime():
            return Once(moment_s(when, zone))
        case str() if (every_s := _duration_s(when)) is not None:
            return _interval(schedule(every_s), zone, relative=relative)
        case str():
            return replace(cron(when), zone=zone_name)
    raise InvalidSchedule(
        f"schedule '{name}' cannot be due at {when!r}: give a cron expression, seconds, a timedelta, a moment, or what "
        "crontab(), schedule() or solar() return"
    )


def rules_of(name: str, options: ScheduleOptions, zone: tzinfo) -> Rules:
    """Return the rules that the options say. Raises InvalidSchedule."""
    starts, ends = options.get("start"), options.get("end")
    window_s = seconds(options.get("catch_up_window"))
    jitter_s = seconds(options.get("jitter")) or 0.0
    for word, value in (("catch_up_window", window_s), ("jitter", jitter_s)):
        if value is not None and not 0 <= value < float("inf"):
            raise InvalidSchedule(f"schedule '{name}': {word} is a number of seconds, not {value:g}")
    rules = Rules(
        catch_up=_one_of(name, "catch_up", options.get("catch_up") or "last", get_args(CatchUp)),
        window_s=window_s,
        overlap=_one_of(name, "overlap", options.get("overlap") or "allow", get_args(Overlap)),
        jitter_s=jitter_s,
        starts_at_s=None if starts is None else moment_s(starts, zone),
        ends_at_s=None if ends is None else moment_s(ends, zone),
    )
    if rules.starts_at_s is not None and rules.ends_at_s is not None and rules.starts_at_s > rules.ends_at_s:
        raise InvalidSchedule(f"schedule '{name}' ends before it starts")
    return rules


def moment_s(moment: datetime, zone: tzinfo) -> float:
    """Return a moment in unix seconds; a naive one is in `zone`."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    return aware.astimezone(UTC).timestamp()


def _duration_s(text: str) -> float | None:
    """Return the length of a text such as "5m"; None: it is a line of cron."""
    try:
        return to_seconds(text)
    except ValueError:
        return None


def _interval(interval: Every, zone: tzinfo, *, relative: bool) -> Every:
    anchor_ms = round(moment_s(_FIRST_MONDAY, zone) * 1000) if relative else interval.anchor_ms
    return Every(interval.every_ms, anchor_ms)


def _one_of(name: str, word: str, value: Any, known: Iterable[str]) -> Any:
    if value not in known:
        raise InvalidSchedule(
            f"schedule '{name}': {word} is one of {', '.join(known)}, not {value!r}{did_you_mean(str(value), known)}"
        )
    return value
