"""Events on their way to those who listen: gathered for a moment, sent in batches, dropped where that cannot be.

Whoever has something to tell leaves it and goes on. A backend that is slow or away costs events, which are counted, and
never holds up a task.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import islice

from faena.errors import FaenaError
from faena.model.event import Event

log = logging.getLogger("faena.worker")

_GATHER_S = 0.1
AT_ONCE = 500  # some 45 kB: what goes into a socket at one go costs half as much
_MOST_WAITING = 20_000
_PATIENCE_S, _LAST_PATIENCE_S = 2.0, 0.5  # with one batch; at the end
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0


class Outbox:
    """Sends what `collect` finds, in the loop that `send_forever` runs in; `publish` hands a batch to the backend.

    It looks when it is told to (`want`), and, with `look_s`, so often of its own accord.
    """

    def __init__(
        self,
        collect: Callable[[], Sequence[Event]],
        publish: Callable[[Sequence[Event]], Awaitable[None]],
        look_s: float | None = None,
    ) -> None:
        self._collect, self._publish, self._look_s = collect, publish, look_s
        self._waiting: deque[Event] = deque()
        self._wanted, self._is_urgent = asyncio.Event(), asyncio.Event()
        self._pause_s = self._again_at_s = 0.0  # how long nothing is tried, and until when
        self._lost = 0  # since the backend was reached last
        self.sent = self.dropped = 0

    def want(self, *, now: bool = False) -> None:
        """Look soon, or at once: there is enough for a batch. Called in the loop."""
        self._wanted.set()
        if now:
            self._is_urgent.set()

    async def send_forever(self) -> None:
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._look_s):
                        await self._wanted.wait()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_GATHER_S):
                        await self._is_urgent.wait()
                self._wanted.clear()
                self._is_urgent.clear()
                self._take()
                while self._waiting and time.monotonic() >= self._again_at_s:
                    await self._send(_PATIENCE_S)
                if self._waiting:
                    self._wanted.set()
        finally:
            self._take()
            if self._waiting and not self._pause_s:
                await self._send(_LAST_PATIENCE_S)

    def _take(self) -> None:
        """Take what is there, and drop the oldest where more waits than may."""
        self._waiting.extend(self._collect())
        surplus = len(self._waiting) - _MOST_WAITING
        if surplus > 0:
            for _ in range(surplus):
                self._waiting.popleft()
            self._drop(surplus)

    async def _send(self, patience_s: float) -> None:
        waiting = self._waiting
        batch = list(islice(waiting, AT_ONCE))
        if len(batch) == len(waiting):
            waiting.clear()
        else:
            for _ in batch:
                waiting.popleft()
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
        self._again_at_s = time.monotonic() + self._pause_s

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._lost += count
