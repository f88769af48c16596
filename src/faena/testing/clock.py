"""Time that moves when it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """A clock for tests: call it for unix seconds. It stands still between two calls of `advance` or `travel_to`."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now_s = start.timestamp() if start is not None else time.time()
        self._listeners: list[Callable[[], None]] = []

    def __call__(self) -> float:
        return self._now_s

    @property
    def now(self) -> datetime:
        """The moment it is, in UTC."""
        return datetime.fromtimestamp(self._now_s, UTC)

    def advance(self, by: float | timedelta) -> None:
        """Move forward. Unit: seconds, or a timedelta. What has become due can run then."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else float(by)
        if seconds < 0:
            raise ValueError(f"time moves forward only, not by {seconds:g} s")
        self._now_s += seconds
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` whenever time has moved; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def travel_to(self, moment: datetime) -> None:
        """Move forward to an aware moment."""
        if moment.tzinfo is None:
            raise ValueError(f"{moment!r} has no time zone")
        self.advance(moment.timestamp() - self._now_s)
