"""Removes what has had its time, now and then."""

from __future__ import annotations

import asyncio
import logging
import time

from faena.app.links import Link
from faena.errors import BackendError, BrokerError, StorageError

log = logging.getLogger("faena.worker")

_EVERY_S = 30.0
_AT_ONCE = 1000


async def expire_forever(link: Link, dead_letters_kept_s: float | None) -> None:
    """Remove what has expired of a backend, and dead letters that are older than so many seconds."""
    while True:
        try:
            removed = _AT_ONCE
            while removed >= _AT_ONCE:
                removed = await link.backend.expire(_AT_ONCE)
            if dead_letters_kept_s and not link.broker.capabilities.expires_dead_letters:
                await link.broker.dead_letters.purge(before_s=time.time() - dead_letters_kept_s)
        except (BrokerError, BackendError, StorageError, OSError) as error:
            log.warning("removing what has expired: %s", error)
        await asyncio.sleep(_EVERY_S)
