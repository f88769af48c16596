"""The embedded backend: results, control, presence and revocations in one SQLite file.

See docs/internals/sqlite.md for the design.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

from faena.backend import Claims, Events, JointSettler, Journal, Mailbox, Orders, Revocations, Schedules, Watch, Workflows
from faena.drivers.sqlite import results
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.driver import Driver, driver_for
from faena.drivers.sqlite.events import SqliteEvents
from faena.drivers.sqlite.events import clean as clean_events
from faena.drivers.sqlite.journal import SqliteJournal
from faena.drivers.sqlite.journal import expire as expire_journals
from faena.drivers.sqlite.mailbox import SqliteMailbox, SqliteOrders, SqliteRevocations
from faena.drivers.sqlite.results import CONTROL, RESULTS, ids_json
from faena.drivers.sqlite.settling import SqliteJoint
from faena.drivers.sqlite.stepping import SqliteWorkflows
from faena.drivers.sqlite.unique import UNIQUE, SqliteClaims
from faena.drivers.sqlite.watch import SqliteWatch
from faena.drivers.sqlite.workflows import WORKFLOWS
from faena.drivers.sqlite.workflows import forget as forget_workflows
from faena.model.result import ResultRecord
from faena.types import Io


class SqliteBackend:
    """See `faena.backend.Backend`."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._is_open = False
        self._mailbox = SqliteMailbox(driver)
        self._revocations = SqliteRevocations(driver)
        self._orders = SqliteOrders(driver)
        self._workflows = SqliteWorkflows(driver)
        self._journal = SqliteJournal(driver)
        self._schedules: Schedules | None = None
        self._events = SqliteEvents(driver)
        self._claims = SqliteClaims(driver)

    @classmethod
    def connect(cls, url: str, *, io: Io, options: Mapping[str, object] = {}) -> SqliteBackend:
        """Options: `synchronous` (NORMAL; FULL survives a power cut), `busy_timeout_s`."""
        return cls(driver_for(url, io, options))

    @property
    def mailbox(self) -> Mailbox:
        return self._mailbox

    @property
    def revocations(self) -> Revocations:
        return self._revocations

    @property
    def orders(self) -> Orders:
        return self._orders

    @property
    def workflows(self) -> Workflows:
        return self._workflows

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def claims(self) -> Claims:
        return self._claims

    @property
    def schedules(self) -> Schedules:
        if self._schedules is None:
            from faena.drivers.sqlite.schedules import SqliteSchedules  # what knows when; who only sends does not load it

            self._schedules = SqliteSchedules(self.driver)
        return self._schedules

    @property
    def events(self) -> Events:
        return self._events

    async def open(self) -> None:
        if not self._is_open:
            await self.driver.open()
            self._is_open = True

    async def close(self) -> None:
        was_open, self._is_open = self._is_open, False
        self._mailbox.close()
        await self.driver.close(was_open=was_open)

    async def record(self, records: Sequence[ResultRecord]) -> Sequence[bool]:
        return await self.driver.call(self._record, records) if records else ()

    def _record(self, records: Sequence[ResultRecord]) -> list[bool]:
        rows = [results.row_of(record) for record in records]

        def work(connection: Connection) -> tuple[list[bool], results.Tickets]:
            kept = results.record_each(connection, rows)
            return kept, results.take_tickets(connection, [row for row, is_kept in zip(rows, kept, strict=True) if is_kept])

        kept, tickets = self.driver.database.write(work)
        results.tell(self.driver.signals, tickets)
        return kept

    async def read(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]:
        return await self.driver.read(partial(results.read, ids=ids)) if ids else ()

    async def latest(self, limit: int, state: str | None = None) -> Sequence[ResultRecord]:
        rows = await self.driver.read(lambda sql: sql.execute(RESULTS.latest, (state, limit)).fetchall())
        return [results.decode(record) for (record,) in rows]

    async def forget(self, ids: Sequence[str]) -> int:
        if not ids:
            return 0
        return await self.driver.write(lambda sql: sql.execute(RESULTS.forget, (ids_json(ids),)).rowcount)

    def watch(self) -> Watch:
        return SqliteWatch(self.driver)

    async def expire(self, limit: int) -> int:
        removed = await self.driver.write(partial(_expire, now_s=time.time(), limit=limit))
        await self.driver.call(self._clean)
        return removed

    def _clean(self) -> None:
        """Forget those who waited and are gone, and their FIFOs."""
        database, signals = self.driver.database, self.driver.signals
        fifos = [row[0] for row in database.read(lambda sql: sql.execute(RESULTS.waiting_fifos).fetchall())]
        gone = [(fifo,) for fifo in fifos if not signals.has_listener(fifo)]
        if gone:
            database.write(lambda sql: sql.executemany(RESULTS.leave, gone).rowcount)
        clean_events(self.driver, time.time())
        signals.clean(time.time())

    async def may_have_duties(self) -> bool:
        return True  # to look costs nobody else anything

    async def lead(self, role: str, owner: str, lease_s: float) -> bool:
        now_s = time.time()
        return await self.driver.write(
            lambda sql: sql.execute(WORKFLOWS.lead, (role, owner, now_s + lease_s, now_s)).rowcount == 1
        )

    def joint(self, broker: object, holder: str) -> JointSettler | None:  # noqa: ARG002 - the claims carry it
        driver = getattr(broker, "driver", None)
        if isinstance(driver, Driver) and (driver.location.path, driver.io) == (self.driver.location.path, self.driver.io):
            return SqliteJoint(driver)
        return None


def _expire(connection: Connection, now_s: float, limit: int) -> int:
    removed = results.expire(connection, now_s, limit)
    if removed < limit:
        over = connection.execute(WORKFLOWS.expired, (now_s, limit - removed)).fetchall()
        removed += forget_workflows(connection, [number for (number,) in over])
    if removed < limit:
        removed += expire_journals(connection, now_s, limit - removed)
    for statement in (
        CONTROL.expire_commands,
        CONTROL.expire_replies,
        CONTROL.expire_workers,
        CONTROL.expire_revocations,
        CONTROL.expire_orders,
        UNIQUE.expire,
    ):
        if removed < limit:
            removed += connection.execute(statement, (now_s, limit - removed)).rowcount
    return removed
