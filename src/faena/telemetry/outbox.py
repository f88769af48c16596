"""Events on their way to those who listen: gathered for a moment, sent in batches, dropped where that cannot be.

Whoever has something to tell puts it here and goes on. A backend that is slow or away costs events, which are counted, and
never holds up a task.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from faena.errors import FaenaError
from faena.model.event import Event

log = logging.getLogger("faena.worker")

_GATHER_S = 0.1
_AT_ONCE = 1000
_MOST_WAITING = 20_000
_PATIENCE_S, _LAST_PATIENCE_S = 2.0, 0.5  # with one batch; at the end
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0


class Outbox:
    """Takes events from any thread; `send_forever` runs in an event loop, and everything else is called in it.

    `publish` hands a batch to the backend; `call` runs a function in the loop, from any thread.
    """

    def __init__(
        self, publish: Callable[[Sequence[Event]], Awaitable[None]], call: Callable[[Callable[[], None]], None]
    ) -> None:
        self._publish, self._call = publish, call
        self._waiting: deque[Event] = deque()
        self._has_asked = False  # the loop knows that something waits
        self._wanted = asyncio.Event()
        self._pause_s = 0.0
        self._lost = 0  # since the backend was reached last
        self.sent = self.dropped = 0

    def put(self, event: Event) -> None:
        """Take one, in any thread."""
        self._waiting.append(event)
        if not self._has_asked:
            self._has_asked = True
            self._call(self._wanted.set)

    def put_all(self, events: Sequence[Event]) -> None:
        """Take several, in the thread of the loop."""
        self._waiting.extend(events)
        self._has_asked = True
        self._wanted.set()
        if len(self._waiting) > _MOST_WAITING:
            self._trim()

    async def send_forever(self) -> None:
        try:
            while True:
                await self._wanted.wait()
                await asyncio.sleep(max(_GATHER_S, self._pause_s))
                self._wanted.clear()
                self._has_asked = False  # before the look: who comes later asks again
                while self._waiting:
                    self._trim()
                    await self._send(_PATIENCE_S)
                    if self._pause_s:
                        self._wanted.set()
                        break
        finally:
            if self._waiting and not self._pause_s:
                await self._send(_LAST_PATIENCE_S)

    async def _send(self, patience_s: float) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
        try:
            async with asyncio.timeout(patience_s):
                await self._publish(batch)
        except (FaenaError, OSError) as error:  # TimeoutError is one of these
            self._failed(len(batch), str(error) or f"no answer within {patience_s:g} s")
            return
        except asyncio.CancelledError:
            self._drop(len(batch))
            raise
        self.sent += len(batch)
        if self._pause_s:
            log.info("events are told again; %d were dropped meanwhile", self._lost)
            self._pause_s, self._lost = 0.0, 0

    def _failed(self, count: int, why: str) -> None:
        self._drop(count)
        if not self._pause_s:
            log.warning("events cannot be told, and are dropped until they can: %s", why)
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2 or _FIRST_PAUSE_S)

    def _trim(self) -> None:
        """Drop the oldest where more wait than may."""
        surplus = len(self._waiting) - _MOST_WAITING
        for _ in range(surplus):
            self._waiting.popleft()
        if surplus > 0:
            self._drop(surplus)

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._lost += count
