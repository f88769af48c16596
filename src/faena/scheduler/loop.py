"""The loop of the scheduler: one process of all holds its lease, and does what has to be done once.

    every process ──lead──▶ backend: one of them holds the lease ──▶ duties
                                     dies ─▶ lease ends ─▶ another one takes it, within 15 s

Being two for a moment would be wasteful, not wrong: every duty may be repeated. Today they are the repair of what a crash
has left half done (steps of workflows that nobody published, or whose message is gone: `strays.py`) and the waking of tasks
whose time of waiting is over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from faena._lib.ids import new_id
from faena.app.links import Link
from faena.engine.completion import carry_on
from faena.errors import BackendError, BrokerError, StorageError
from faena.scheduler.strays import Strays

log = logging.getLogger("faena.scheduler")

ROLE = "scheduler"
LEASE_S = 9.0
_LETTING_GO_S, _OVER_S = 1.0, -1.0
_GRACE_S = 10.0  # what was to be published, and was not, this long ago: whoever was to do it is gone
_AT_ONCE = 1000

_BROKEN = (BrokerError, BackendError, StorageError, OSError)


class Scheduler:
    """Does the duties while this process holds the lease. `link` gives an open connection."""

    def __init__(self, owner: str, link: Callable[[], Awaitable[Link]], *, lease_s: float = LEASE_S) -> None:
        self._owner, self._link, self._lease_s = f"{owner}/{new_id()}", link, lease_s
        self.is_leader = False
        self._strays = Strays()

    async def run_forever(self) -> None:
        """Go on until cancelled; who holds the lease then lets go of it, so that nobody has to wait for its end."""
        try:
            while True:
                await self._turn()
                await asyncio.sleep(self._lease_s * 2 / 3)
        finally:
            if self.is_leader:
                self.is_leader = False
                await self._let_go()

    async def _turn(self) -> None:
        try:
            link = await self._link()
            self.is_leader = await link.backend.lead(ROLE, self._owner, self._lease_s)
            if self.is_leader:
                await do_duties(link)
                await self._strays.look(link)
        except _BROKEN as error:
            self.is_leader = False
            log.warning("the scheduler waits: %s", error)

    async def _let_go(self) -> None:
        try:
            async with asyncio.timeout(_LETTING_GO_S):
                await (await self._link()).backend.lead(ROLE, self._owner, _OVER_S)
        except (*_BROKEN, TimeoutError) as error:
            log.debug("letting go of the scheduler's lease: %s", error)


async def do_duties(link: Link, *, grace_s: float = _GRACE_S) -> int:
    """Do what is due; return how many messages were published for it."""
    broker, backend = link.broker, link.backend
    woken = await backend.journal.due(grace_s, _AT_ONCE, broker)
    if woken:
        await broker.publish(woken)
    left = await backend.workflows.unpublished(time.time() - grace_s, _AT_ONCE)
    if left:
        log.warning("%d steps of workflows were ready and not published: a crash in between; published now", len(left))
        await carry_on(broker, backend, left)
    return len(woken) + len(left)
