"""Lets the supervisor know what a process has counted: a second after something has happened, if asked, and at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from faena.model.event import Event
from faena.telemetry.metrics import MetricsSink
from faena.worker.wire import Counted

_TELL_AFTER_S = 1.0


class Counting(MetricsSink):
    """The sink of metrics of a process. `say` is how the supervisor is told, `events` how many were sent and dropped.

    Everything is called in the I/O thread.
    """

    def __init__(self, say: Callable[[Counted], None], events: Callable[[], tuple[int, int]]) -> None:
        super().__init__()
        self._say, self._events = say, events
        self._told_soon: asyncio.TimerHandle | None = None

    def emit(self, events: Sequence[Event]) -> None:
        super().emit(events)
        if self._told_soon is None:
            self._told_soon = asyncio.get_running_loop().call_later(_TELL_AFTER_S, self.tell)

    def tell(self) -> None:
        """Tell now."""
        if self._told_soon is not None:
            self._told_soon.cancel()
            self._told_soon = None
        self._say(Counted(tuple(self.rows()), self._events()))

    def close(self) -> None:
        self.tell()
