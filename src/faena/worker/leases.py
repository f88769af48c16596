"""The leases of a worker's processes, which it renews, and those of workers that are gone, which it ends."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from faena.app.links import Link
from faena.broker import Holder
from faena.errors import BackendError, BrokerError, StorageError
from faena.worker.custody import put_off
from faena.worker.handle import ProcessHandle

log = logging.getLogger("faena.worker")

_REAP_EVERY_S = 2.0
_BROKEN = (BrokerError, BackendError, StorageError, OSError)


class LeaseKeeper:
    """Renews what `held` names, and reaps what others have let end.

    `first` is awaited before each turn of renewing, `lost` told of each holder that was taken away, and `moved` called
    when the broker is reached again, or no more; `name`: of several.
    """

    def __init__(
        self,
        link: Link,
        lease_s: float,
        held: Callable[[], Mapping[Holder, ProcessHandle]],
        *,
        name: str = "",
        first: Callable[[], Awaitable[None]] | None = None,
        moved: Callable[[], None] = lambda: None,
        lost: Callable[[ProcessHandle], None] = lambda handle: handle.kill(signal.SIGKILL, "lease lost"),
    ) -> None:
        self._link, self._lease_s, self._held = link, lease_s, held
        self._moved = moved
        self._first, self._lost, self._says = first, lost, f"broker '{name}': " if name else ""
        self._changed = asyncio.Event()
        self._renewed_since_s: float | None = None
        self._reaps_from_s = 0.0

    @property
    def is_renewing(self) -> bool:
        """Whether the broker was reached the last time."""
        return self._renewed_since_s is not None

    def changed(self) -> None:
        """Take a turn at once: there are others to hold leases for."""
        self._changed.set()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so, looking when something has changed."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def renew_forever(self) -> None:
        while True:
            self._changed.clear()
            try:
                if self._first is not None:
                    await self._first()
                held = self._held()
                renewed = await self._link.broker.leases.renew(list(held), self._lease_s) if held else ()
            except _BROKEN as error:
                was_renewing, self._renewed_since_s = self.is_renewing, None
                self._reaps_from_s = math.inf
                if was_renewing:
                    self._moved()
                log.warning("%srenewing leases: %s", self._says, error)
                await asyncio.sleep(min(1.0, self._lease_s / 6))
                continue
            if self._renewed_since_s is None:
                self._renewed_since_s = time.monotonic()
                self._moved()
                if self._reaps_from_s:  # others could not renew either, perhaps: they get a whole lease to do so
                    self._reaps_from_s = self._renewed_since_s + self._lease_s
            for holder in held.keys() - set(renewed):
                self._lost(held[holder])  # what it runs was given to others
            await self._put_off(held)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease_s / 3):
                    await self._changed.wait()

    async def _put_off(self, held: Mapping[Holder, ProcessHandle]) -> None:
        """Renew what is in custody of the backend, too (see `faena.worker.custody`)."""
        running = [each.task_id for handle in held.values() for each in handle.slots.running()]
        try:
            await put_off(self._link, running, self._lease_s)
        except _BROKEN as error:
            log.warning("renewing what is in custody: %s", error)

    async def reap_forever(self) -> None:
        """Hand back what workers held that are gone."""
        while True:
            if self._renewed_since_s is not None and time.monotonic() >= self._reaps_from_s:
                try:
                    back = await self._link.broker.leases.reap()
                    if back:
                        log.warning("%s%d tasks of workers that are gone went back to their queues", self._says, back)
                except _BROKEN as error:
                    log.warning("%sreaping ended leases: %s", self._says, error)
            await asyncio.sleep(_REAP_EVERY_S)
