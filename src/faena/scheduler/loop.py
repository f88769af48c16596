"""The loop of the scheduler: one process of all holds its lease, and does what has to be done once.

    every process ──lead──▶ backend: one of them holds the lease ──▶ ticks of schedules, duties
                                     dies ─▶ lease ends ─▶ another one takes it, within 8 s

Being two for a moment would be wasteful, not wrong: every duty may be repeated, and of two who send a tick the first one
does. Duties are the repair of what a crash has left half done (steps of workflows and ticks that nobody published), the end
of steps whose message is gone (`strays.py`), and the waking of tasks whose time of waiting is over. Between two of its
turns the holder sleeps until a tick is due, or a schedule is changed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from faena._lib.ids import new_id
from faena.app.links import Link
from faena.backend import Vigil
from faena.broker import is_several, publish_possible
from faena.engine.completion import carry_on
from faena.errors import BackendError, BrokerError, FaenaError, StorageError
from faena.scheduler.breakers import BreakerDuty
from faena.scheduler.copies import Copies
from faena.scheduler.declaring import Declarer
from faena.scheduler.strays import Strays
from faena.scheduler.ticking import Ticker, send_left_over

if TYPE_CHECKING:
    from faena.app.app import Faena

log = logging.getLogger("faena.scheduler")

ROLE = "scheduler"
LEASE_S = 5.0
_LETTING_GO_S, _OVER_S = 1.0, -1.0
_GRACE_S = 10.0  # what was to be published, and was not, this long ago: whoever was to do it is gone
_AT_ONCE = 1000
_RENEW_AFTER, _ASK_AFTER, _DUTIES_AFTER = 0.6, 0.5, 1.2  # parts of a lease
_SHORTEST_REST_S = 0.002

_BROKEN = (BrokerError, BackendError, StorageError, OSError)


class Scheduler:
    """Sends ticks and does the duties while this process holds the lease. `link` gives an open connection."""

    def __init__(
        self, owner: str, link: Callable[[], Awaitable[Link]], *, app: Faena | None = None, lease_s: float = LEASE_S
    ) -> None:
        self._owner, self._link, self._lease_s = f"{owner}/{new_id()}", link, lease_s
        self._ticker = None if app is None else Ticker(app)
        self._declarer = None if app is None else Declarer(app)
        self._copies = None if app is None else Copies(app)
        self._clock: Callable[[], float] = time.time if app is None else app.clock
        self._vigil: tuple[Link, Vigil] | None = None
        self._renew_at_s = self._duties_at_s = 0.0
        self._due_s: float | None = None  # the next tick, as long as there is no news
        self._has_news = True
        self.is_leader = False
        self._strays, self._breakers = Strays(), BreakerDuty()
        self._tasks = {} if app is None else app.tasks

    async def run_forever(self) -> None:
        """Go on until cancelled; who holds the lease then lets go of it, so that nobody has to wait for its end."""
        try:
            while True:
                await self._turn()
                await self._rest()
        finally:
            await self._end_vigil()
            if self.is_leader:
                self.is_leader = False
                await self._let_go()

    async def _turn(self) -> None:
        """Ask for the lease where that is due, and do what there is to do for who holds it."""
        try:
            link = await self._link()
            if time.monotonic() >= self._renew_at_s:
                asked_s = time.monotonic()
                was_leader, self.is_leader = self.is_leader, await link.backend.lead(ROLE, self._owner, self._lease_s)
                self._has_news |= self.is_leader and not was_leader
                self._renew_at_s = asked_s + self._lease_s * (_RENEW_AFTER if self.is_leader else _ASK_AFTER)
                await self._declare(link)
            if not self.is_leader:
                await self._end_vigil()
                return
            if time.monotonic() >= self._duties_at_s:
                self._duties_at_s = time.monotonic() + self._lease_s * _DUTIES_AFTER
                await _apart(link, do_duties(link))
                await _apart(link, self._strays.look(link))
                if self._copies is not None:
                    await _apart(link, self._copies.sweep(link))
            await _apart(link, self._breakers.look(link, self._clock(), self._tasks))
            if self._ticker is not None:
                await self._keep_vigil(link)
                await self._send_due(link, self._ticker)
        except _BROKEN as error:
            self._fail(error)
        except Exception as error:
            self._fail(error)
            log.debug("where it came from", exc_info=error)

    async def _send_due(self, link: Link, ticker: Ticker) -> None:
        """Send what is due, until the lease has to be renewed, and remember when there is more."""
        if not self._has_news and (self._due_s is None or self._due_s > self._clock()):
            return
        self._has_news = True
        while await ticker.send_due(link, self._clock()):
            if time.monotonic() >= self._renew_at_s:
                return
        self._due_s, self._has_news = await link.backend.schedules.next_due_s(), False

    def _fail(self, error: Exception) -> None:
        self.is_leader = False
        self._renew_at_s = time.monotonic() + self._lease_s * _ASK_AFTER
        log.warning("the scheduler waits: %s", error)

    async def _declare(self, link: Link) -> None:
        if self._declarer is not None:
            try:
                await self._declarer.keep(link)
            except FaenaError as error:
                if isinstance(error, _BROKEN):
                    raise
                log.error("the schedules of this app cannot be kept: %s", error)

    async def _rest(self) -> None:
        """Sleep until the next turn: a tick is due, a schedule has changed, the lease has to be renewed."""
        left_s = max(_SHORTEST_REST_S, self._renew_at_s - time.monotonic())
        if self.is_leader:
            left_s = max(_SHORTEST_REST_S, self._breakers.left_s(left_s, self._clock()))
        if not self.is_leader or self._vigil is None:
            await asyncio.sleep(left_s)
            return
        if self._has_news:  # there is more to send
            return
        if self._due_s is not None:
            left_s = max(_SHORTEST_REST_S, min(left_s, self._due_s - self._clock()))
        try:
            self._has_news = await self._vigil[1].wait(left_s)
        except _BROKEN as error:
            await self._end_vigil()
            self._fail(error)

    async def _keep_vigil(self, link: Link) -> None:
        if self._vigil is None or self._vigil[0] is not link:
            await self._end_vigil()
            self._vigil = (link, link.backend.schedules.vigil())
            self._has_news = True

    async def _end_vigil(self) -> None:
        vigil, self._vigil = self._vigil, None
        if vigil is not None:
            await vigil[1].close()

    async def _let_go(self) -> None:
        try:
            async with asyncio.timeout(_LETTING_GO_S):
                await (await self._link()).backend.lead(ROLE, self._owner, _OVER_S)
        except (*_BROKEN, TimeoutError) as error:
            log.debug("letting go of the scheduler's lease: %s", error)


async def _apart(link: Link, duty: Awaitable[object]) -> None:
    """Do a duty; where one of several brokers is away, it is left for the next time, and keeps no other from being done."""
    try:
        await duty
    except (BrokerError, StorageError, OSError) as error:
        if not is_several(link.broker):
            raise
        log.warning("a duty of the scheduler is left for later: %s", error)


async def do_duties(link: Link, *, grace_s: float = _GRACE_S) -> int:
    """Do what is due; return how many messages were published for it."""
    broker, backend = link.broker, link.backend
    if not await backend.may_have_duties():
        return 0
    woken = await backend.journal.due(grace_s, _AT_ONCE, broker)
    if woken:  # what is left over is handed out once more when its grace is over
        sent = await publish_possible(broker, woken)
        if not broker.capabilities.deduplicates:
            await backend.journal.published([message.id for message in sent])
    left = await backend.workflows.unpublished(time.time() - grace_s, _AT_ONCE)
    if left:
        log.warning("%d steps of workflows were ready and not published: a crash in between; published now", len(left))
        await carry_on(broker, backend, left)
    return len(woken) + len(left) + await send_left_over(link, grace_s, _AT_ONCE)
