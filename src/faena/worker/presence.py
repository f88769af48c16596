"""Who is there: a worker lets others know of it every so often, and at once when something about it has changed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from faena.app.links import Link
from faena.errors import BackendError, StorageError
from faena.model.control import WorkerInfo

log = logging.getLogger("faena.worker")

_EVERY_S, _PRESENT_FOR_S = 7.0, 16.0
_BROKEN = (BackendError, StorageError, OSError)


class Presence:
    """Announces one worker. `info` says what there is to know of it now."""

    def __init__(self, link: Link, info: Callable[[], WorkerInfo]) -> None:
        self._link, self._info = link, info
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Let others know at once."""
        self._changed.set()

    async def announce_forever(self) -> None:
        await self._warn_of_twin()
        is_new = True
        while True:
            self._changed.clear()
            try:
                await self._link.backend.mailbox.announce(self._info(), _PRESENT_FOR_S)
            except _BROKEN as error:
                log.warning("announcing this worker: %s", error)
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                if is_new:  # of two that start at one moment neither sees the other at first
                    await self._warn_of_twin()
                is_new = False

    async def _warn_of_twin(self) -> None:
        own = self._info()
        try:
            present = await self._link.backend.mailbox.workers()
        except _BROKEN:
            return
        for info in present:
            if info.name == own.name and (info.host, info.pid) != (own.host, os.getpid()) and _may_be_there(info, own):
                log.warning(
                    "another worker is named %s, too (pid %d on %s): commands reach only one of them; "
                    "give each a name of its own with -n", own.name, info.pid, info.host,
                )  # fmt: skip


def _may_be_there(info: WorkerInfo, own: WorkerInfo) -> bool:
    """Whether it runs, as far as that can be seen from here: one that was killed is listed for some seconds more."""
    if info.host != own.host:
        return True
    try:
        os.kill(info.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        pass
    return True
