"""Who is there: a worker lets others know of it every so often, and at once when something about it has changed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress

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
        self._twins: set[tuple[str, int]] = set()  # that were told of

    def changed(self) -> None:
        """Let others know at once."""
        self._changed.set()

    async def announce_forever(self) -> None:
        while True:
            self._changed.clear()
            own = self._info()
            try:
                before = await self._link.backend.mailbox.announce(own, _PRESENT_FOR_S)
            except _BROKEN as error:
                log.warning("announcing this worker: %s", error)
            else:
                self._warn_of_twin(own, before)
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await self._changed.wait()

    def _warn_of_twin(self, own: WorkerInfo, before: WorkerInfo | None) -> None:
        """Each of two finds the other in its own place, at the latest when both have announced themselves twice."""
        if before is None or (before.host, before.pid) in {(own.host, os.getpid()), *self._twins}:
            return
        if _may_be_there(before, own):
            self._twins.add((before.host, before.pid))
            log.warning(
                "another worker is named %s, too (pid %d on %s): commands reach only one of them; "
                "give each a name of its own with -n", own.name, before.pid, before.host,
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
