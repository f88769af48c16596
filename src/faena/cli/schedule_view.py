"""Schedules as people and programs read them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, assert_never

from faena.errors import CodecError, InvalidSchedule
from faena.model.cron import Cron
from faena.model.schedule import Standing
from faena.model.sun import Solar
from faena.model.timing import Every, Once, Timing

if TYPE_CHECKING:
    from faena.app.app import Faena

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))


def timing_text(timing: Timing, zone: tzinfo = UTC) -> str:
    """Say when something is due in a few words."""
    match timing:
        case Cron():
            return f"{timing.expression} {timing.zone}".rstrip()
        case Every():
            return f"every {_length(timing.every_ms)}"
        case Solar():
            return f"{timing.event} at {timing.latitude:g}, {timing.longitude:g}"
        case Once():
            return f"once, {datetime.fromtimestamp(timing.at_s, zone):%Y-%m-%d %H:%M:%S}"
    assert_never(timing)


def moment_text(moment: datetime | None) -> str:
    """Say a moment with its offset, to the second."""
    return "" if moment is None else moment.isoformat(" ", "seconds")


def as_dict(app: Faena, standing: Standing, runs: int = 1) -> dict[str, Any]:
    """Return what programs are told of a schedule."""
    schedule, message = standing.schedule, standing.schedule.message
    args, kwargs = _arguments(app, standing) if schedule.workflow is None else (None, None)
    return {
        "name": schedule.name,
        "state": standing.state,
        "due": timing_text(schedule.timing, app.zone),
        "task": message.task,
        "steps": None if schedule.workflow is None else schedule.workflow.size,
        "args": args,
        "kwargs": kwargs,
        "queue": message.queue,
        "priority": message.priority,
        "expires": schedule.expires_s,
        "catch_up": schedule.catch_up,
        "catch_up_window": schedule.window_s,
        "overlap": schedule.overlap,
        "jitter": schedule.jitter_s,
        "start": _moment(schedule.starts_at_s),
        "end": _moment(schedule.ends_at_s),
        "declared_by": standing.app or None,
        "edited": standing.is_edited,
        "last_run": _moment(standing.last_s),
        "last_task_id": standing.last_id or None,
        "waiting": _moment(standing.held_s),
        "sent": standing.sent,
        "left_out": standing.left_out,
        "left_out_last": _moment(standing.left_out_s),
        "left_out_why": standing.left_out_why or None,
        "next_runs": [moment.isoformat() for moment in next_runs(app, standing, runs)],
    }


def next_runs(app: Faena, standing: Standing, count: int) -> list[datetime]:
    """Return the next runs; none where this machine does not know the time zone."""
    try:
        return list(app.schedules.next_runs(standing, count))
    except InvalidSchedule:
        return []


def _arguments(app: Faena, standing: Standing) -> tuple[Any, Any]:
    message = standing.schedule.message
    try:
        args, kwargs = app.codecs.decode(message.content, message.body)
    except CodecError as error:
        return f"cannot be shown: {error}", None
    return args, kwargs


def _moment(at_s: float | None) -> str | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat()


def _length(length_ms: int) -> str:
    for size, unit in _UNITS:
        if length_ms % size == 0:
            return f"{length_ms // size} {unit}"
    return f"{length_ms} ms" if length_ms < 1000 else f"{length_ms / 1000:g} s"
