"""When something is due: by the calendar, at intervals, by the sun, or once.

A timing and the moment of its last tick give the next one, whoever asks: ticks are derived, never counted from when
somebody happened to look. All moments are unix seconds, to the millisecond.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from math import floor
from typing import TypeAlias

from msgspec import Struct

from faena.model import cron, sun
from faena.model.cron import Cron
from faena.model.sun import Solar

ZoneOf: TypeAlias = Callable[[str], tzinfo]
"""The time zone of a name of the tz database: reading it is not the business of a law."""

_SPANS_S = (3600.0, 86400.0, 32 * 86400.0, 367 * 86400.0, 9 * 366 * 86400.0, 42 * 366 * 86400.0)


class Every(Struct, frozen=True, gc=False, tag="every"):
    """At `anchor_s` plus any whole multiple of an interval. An anchor None: the moment when the schedule is made.

    Milliseconds, so that all machines come to the same moments.
    """

    every_ms: int
    anchor_ms: int | None = None


class Once(Struct, frozen=True, gc=False, tag="once"):
    """At one moment, and never again."""

    at_s: float


Timing: TypeAlias = Cron | Every | Solar | Once


def following(timing: Timing, after_s: float, zone_of: ZoneOf) -> float | None:
    """Return the first tick after a moment; None: there is none any more."""
    match timing:
        case Cron():
            return cron.following(timing, after_s, zone_of(timing.zone))
        case Solar():
            return sun.following(timing, after_s)
        case Once():
            return timing.at_s if timing.at_s > after_s else None
        case Every():
            anchor_ms = timing.anchor_ms or 0
            number = (floor(after_s * 1000 + 0.5) - anchor_ms) // timing.every_ms + 1
            return (anchor_ms + number * timing.every_ms) / 1000


def latest(timing: Timing, first_s: float, until_s: float, zone_of: ZoneOf) -> float:
    """Return the last tick up to `until_s`, where `first_s` is one that is not later than that.

    A long time is not gone through tick by tick: the last hour, day, month, ... is looked at first.
    """
    if isinstance(timing, Every):
        first_ms = round(first_s * 1000)
        passed = (floor(until_s * 1000 + 0.5) - first_ms) // timing.every_ms
        return (first_ms + passed * timing.every_ms) / 1000
    for span_s in _SPANS_S:
        found = None
        start_s = max(first_s, until_s - span_s)
        tick_s = following(timing, start_s, zone_of)
        while tick_s is not None and tick_s <= until_s:
            found = tick_s
            tick_s = following(timing, tick_s, zone_of)
        if found is not None or start_s <= first_s:
            return first_s if found is None else found
    return first_s
