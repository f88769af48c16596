"""Events told within one process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from faena.drivers.memory.bell import Bell
from faena.drivers.memory.state import MemoryState
from faena.model.event import Event
from faena.types import Io

_KEPT_MOST = 100_000  # for one who does not come to fetch them


class MemoryEvents:
    """See `faena.backend.Events`."""

    def __init__(self, state: MemoryState, io: Io) -> None:
        self._state = state
        self._io: Io = io

    async def publish(self, events: Sequence[Event]) -> None:
        with self._state.lock:
            for feed in self._state.feeds:
                feed.take(events)

    async def listen(self) -> MemoryFeed:
        feed = MemoryFeed(self._state, self._io)
        with self._state.lock:
            self._state.feeds.append(feed)
        return feed


class MemoryFeed:
    """See `faena.backend.EventFeed`."""

    def __init__(self, state: MemoryState, io: Io) -> None:
        self._state, self._bell = state, Bell(io)
        self._told: deque[Event] = deque()
        self.missed = 0

    def take(self, events: Sequence[Event]) -> None:
        """Take what was published; called with the lock of the state held."""
        if len(self._told) + len(events) > _KEPT_MOST:
            self._told.clear()
            self.missed += 1
        self._told.extend(events)
        self._bell.ring()

    async def receive(self, timeout_s: float) -> Sequence[Event]:
        deadline = time.monotonic() + timeout_s
        while not (found := self._taken()) and (left_s := deadline - time.monotonic()) > 0:
            await self._bell.rest(left_s)
        return found

    def _taken(self) -> list[Event]:
        with self._state.lock:
            found = list(self._told)
            self._told.clear()
        return found

    async def close(self) -> None:
        with self._state.lock:
            if self in self._state.feeds:
                self._state.feeds.remove(self)
