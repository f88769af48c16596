"""The leases of a worker's processes, which it renews, and those of workers that are gone, which it ends."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import time
from collections.abc import Callable, Mapping

from faena.app.links import Link
from faena.broker import Holder
from faena.errors import BackendError, BrokerError, StorageError
from faena.worker.custody import put_off
from faena.worker.handle import ProcessHandle

log = logging.getLogger("faena.worker")

_REAP_EVERY_S = 2.0
_BROKEN = (BrokerError, BackendError, StorageError, OSError)


class LeaseKeeper:
    """Renews what `held` names, and reaps what others have let end."""

    def __init__(self, link: Link, lease_s: float, held: Callable[[], Mapping[Holder, ProcessHandle]]) -> None:
        self._link, self._lease_s, self._held = link, lease_s, held
        self._renewed_since_s: float | None = None
        self._reaps_from_s = 0.0

    @property
    def is_renewing(self) -> bool:
        """Whether the broker was reached the last time."""
        return self._renewed_since_s is not None

    async def renew_forever(self) -> None:
        while True:
            held = self._held()
            try:
                renewed = await self._link.broker.leases.renew(list(held), self._lease_s) if held else ()
            except _BROKEN as error:
                self._renewed_since_s = None
                self._reaps_from_s = math.inf
                log.warning("renewing leases: %s", error)
                await asyncio.sleep(min(1.0, self._lease_s / 6))
                continue
            if self._renewed_since_s is None:
                self._renewed_since_s = time.monotonic()
                if self._reaps_from_s:  # others could not renew either, perhaps: they get a whole lease to do so
                    self._reaps_from_s = self._renewed_since_s + self._lease_s
            for holder in held.keys() - set(renewed):
                held[holder].kill(signal.SIGKILL, "lease lost")  # what it runs was given to others
            await self._put_off(held)
            await asyncio.sleep(self._lease_s / 3)

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
                        log.warning("%d tasks of workers that are gone went back to their queues", back)
                except _BROKEN as error:
                    log.warning("reaping ended leases: %s", error)
            await asyncio.sleep(_REAP_EVERY_S)
