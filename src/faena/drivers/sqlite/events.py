"""Events told by a small ring of batches in the file, and a FIFO for each one who listens.

Nothing is written while nobody listens. Who is slower than the ring misses some, and finds that by the numbers.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from faena.drivers.signals import Listener
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.driver import Driver
from faena.drivers.sqlite.statements import statements_of
from faena.model.event import Event, packed, unpacked

EVENTS = statements_of("events")

_KEPT_BATCHES = 256
_READ_AT_ONCE = 64
_NET_FIRST_S, _NET_LONGEST_S = 1.0, 5.0  # who waits looks of its own accord after this time, should a token have been lost
_POLL_FIRST_S, _POLL_LONGEST_S = 0.001, 0.05  # where there are no FIFOs
_STANDS_S, _RENEW_S = 60.0, 20.0  # one who has died, or does not come to fetch, is forgotten


class SqliteEvents:
    """See `faena.backend.Events`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def publish(self, events: Sequence[Event]) -> None:
        if events:
            await self._driver.call(self._publish, events)

    def _publish(self, events: Sequence[Event]) -> None:
        database, now_s = self._driver.database, time.time()
        fifos = [fifo for (fifo,) in database.read(lambda sql: sql.execute(EVENTS.fifos, (now_s,)).fetchall())]
        if not fifos:
            return
        body = packed(events)

        def work(sql: Connection) -> int:
            sql.execute(EVENTS.tell, (body,))
            return sql.execute(EVENTS.trim, (_KEPT_BATCHES,)).rowcount

        database.write(work)
        self._driver.signals.notify(fifos)

    async def listen(self) -> SqliteFeed:
        feed = SqliteFeed(self._driver)
        await feed.open()
        return feed


class SqliteFeed:
    """See `faena.backend.EventFeed`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._fifo = f"e-{secrets.token_hex(12)}"
        self._listener: Listener | None = None
        self._last, self._renew_at_s = 0, 0.0
        self.missed = 0

    async def open(self) -> None:
        listener = self._listener = self._driver.signals.listen([self._fifo])
        try:
            self._last = await self._driver.write(self._enter)
        except BaseException:
            listener.close()
            raise

    async def receive(self, timeout_s: float) -> Sequence[Event]:
        deadline = time.monotonic() + timeout_s
        listener = self._listener
        if listener is None:
            return ()  # closed
        pause_s, longest_s = (_NET_FIRST_S, _NET_LONGEST_S) if listener.is_pushed else (_POLL_FIRST_S, _POLL_LONGEST_S)
        while True:
            if time.monotonic() > self._renew_at_s:
                await self._renew()
            found = await self._look()
            left_s = deadline - time.monotonic()
            if found or left_s <= 0:
                return found
            if self._driver.io == "blocking":
                listener.wait(min(left_s, pause_s))
            else:
                await listener.await_token(min(left_s, pause_s))
            pause_s = min(longest_s, pause_s * 2)

    async def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            self._driver.signals.remove(self._fifo)
            await self._driver.write(lambda sql: sql.execute(EVENTS.leave, (self._fifo,)).rowcount)

    # -- internals -----------------------------------------------------------------------------------------

    def _enter(self, sql: Connection) -> int:
        """Say that we listen; return the number of the last batch that is not for us."""
        sql.execute(EVENTS.listen, (self._fifo, time.time() + _STANDS_S))
        self._renew_at_s = time.monotonic() + _RENEW_S
        return int(sql.execute(EVENTS.last).fetchone()[0])

    async def _renew(self) -> None:
        row = (time.time() + _STANDS_S, self._fifo)
        if await self._driver.write(lambda sql: sql.execute(EVENTS.renew, row).rowcount):
            self._renew_at_s = time.monotonic() + _RENEW_S
        else:  # nobody has fetched for so long that we were forgotten
            self._last = await self._driver.write(self._enter)
            self.missed += 1

    async def _look(self) -> list[Event]:
        wanted = (self._last, _READ_AT_ONCE)
        rows = await self._driver.read(lambda sql: sql.execute(EVENTS.after, wanted).fetchall())
        if not rows:
            return []
        self.missed += rows[0][0] != self._last + 1
        self._last = rows[-1][0]
        return [event for _, body in rows for event in unpacked(body)]


def clean(driver: Driver, now_s: float) -> None:
    """Forget those who listen no more, and what was told to nobody else."""
    if not driver.database.read(lambda sql: sql.execute(EVENTS.leftovers, (now_s,)).fetchone()[0]):
        return

    def work(sql: Connection) -> int:
        gone = sql.execute(EVENTS.expire, (now_s,)).rowcount
        return gone + sql.execute(EVENTS.clear).rowcount

    driver.database.write(work)
