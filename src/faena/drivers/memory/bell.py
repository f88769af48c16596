"""Wake one who waits, thread or task, from any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Iterable

from faena.types import Io


class Bell:
    """Belongs to one who waits. What rings before the wait is kept for it."""

    def __init__(self, io: Io) -> None:
        self._io = io
        self._rung = threading.Event()
        self._at_ring: Callable[[], object] | None = None

    def ring(self) -> None:
        self._rung.set()
        at_ring = self._at_ring
        if at_ring is not None:
            at_ring()

    async def rest(self, timeout_s: float | None) -> None:
        """Wait until it rings or the time is up, and silence it."""
        if self._io == "blocking":
            self._rung.wait(timeout_s)
        else:
            await self._suspend(timeout_s)
        self._rung.clear()

    async def _suspend(self, timeout_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        def at_ring() -> None:
            try:
                loop.call_soon_threadsafe(wake)
            except RuntimeError:
                pass  # the loop was closed: nobody waits any more

        self._at_ring = at_ring
        timer = None if timeout_s is None else loop.call_later(max(0.0, timeout_s), wake)
        try:
            if not self._rung.is_set():  # looked at after `_at_ring` was set: no ring can fall between
                await woken
        finally:
            self._at_ring = None
            if timer is not None:
                timer.cancel()


class Bells:
    """Who is to be woken by what. Used with the lock of the state held."""

    def __init__(self) -> None:
        self._of: dict[Hashable, dict[Bell, None]] = {}

    def hang(self, bell: Bell, keys: Iterable[Hashable]) -> None:
        for key in keys:
            self._of.setdefault(key, {})[bell] = None

    def take_down(self, bell: Bell, keys: Iterable[Hashable]) -> None:
        for key in keys:
            bells = self._of.get(key)
            if bells is not None:
                bells.pop(bell, None)
                if not bells:
                    del self._of[key]

    def ring(self, keys: Iterable[Hashable]) -> None:
        for key in keys:
            for bell in self._of.get(key, ()):
                bell.ring()

    def ring_all(self) -> None:
        self.ring(list(self._of))
