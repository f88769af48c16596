"""What tasks remember, events, and tasks that wait for them: in one SQLite file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from faena.backend import JournalEnd
from faena.drivers.signals import name_of
from faena.drivers.sqlite import steps, workflows
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.driver import Driver
from faena.drivers.sqlite.results import CONTROL, ids_json
from faena.drivers.sqlite.statements import statements_of
from faena.drivers.sqlite.stepping import shares_file
from faena.model.journal import TO_GO_ON_S, Entry, Parked
from faena.model.message import Message

JOURNAL = statements_of("journal")

_encode = msgspec.msgpack.Encoder().encode
_decode_entry = msgspec.msgpack.Decoder(Entry).decode
_decode_message = msgspec.msgpack.Decoder(Message).decode


class SqliteJournal:
    """See `faena.backend.Journal`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def read(self, task_id: str) -> Sequence[Entry]:
        rows = await self._driver.read(lambda sql: sql.execute(JOURNAL.read, (task_id,)).fetchall())
        return [_decode_entry(body) for (body,) in rows]

    async def write(self, task_id: str, entry: Entry, expires_at_s: float) -> Entry:
        def work(sql: Connection) -> Entry:
            sql.execute(JOURNAL.write, (task_id, entry.name, _encode(entry)))
            sql.execute(JOURNAL.keep_until, (task_id, expires_at_s))
            return _decode_entry(sql.execute(JOURNAL.find, (task_id, entry.name)).fetchone()[0])

        return await self._driver.write(work)

    async def event(self, name: str) -> Entry | None:
        return await self._driver.read(lambda sql: find_event(sql, name))

    async def signal(self, event: Entry, expires_at_s: float, broker: object) -> Sequence[Message]:
        def work(sql: Connection) -> list[tuple[str, bytes]]:
            sql.execute(JOURNAL.happen, (event.name, expires_at_s, _encode(event), time.time()))
            return sql.execute(JOURNAL.waiting_for, (event.name,)).fetchall()

        return await self._wake(work, broker)

    async def published(self, ids: Sequence[str]) -> None:
        if ids:
            await self._driver.write(lambda sql: sql.executemany(JOURNAL.published, [(each,) for each in ids]).rowcount)

    async def park(self, parked: Sequence[Parked]) -> Sequence[bool]:
        return await self._driver.write(lambda sql: [park_one(sql, each) for each in parked]) if parked else ()

    async def due(self, grace_s: float, limit: int, broker: object) -> Sequence[Message]:
        now_s = time.time()
        if not await self._driver.read(lambda sql: _has_due(sql, now_s, grace_s)):
            return ()

        def work(sql: Connection) -> list[tuple[str, bytes]]:
            late = sql.execute(JOURNAL.not_back, (now_s - grace_s, limit)).fetchall()
            for task_id, _ in late:  # handed out twice is enough
                sql.execute(JOURNAL.unpark, (task_id,)).fetchall()
            return late + sql.execute(JOURNAL.overdue, (now_s, limit)).fetchall()

        return await self._wake(work, broker)

    async def parked(self, ids: Sequence[str]) -> Sequence[bool]:
        words = (msgspec.json.encode(list(ids)).decode(),)
        rows = await self._driver.read(lambda sql: sql.execute(JOURNAL.parked, words).fetchall()) if ids else ()
        found = {task_id for (task_id,) in rows}
        return [task_id in found for task_id in ids]

    async def unpark(self, ids: Sequence[str]) -> Sequence[Message]:
        def work(sql: Connection) -> list[Message]:
            rows = [row for task_id in ids for row in sql.execute(JOURNAL.unpark, (task_id,)).fetchall()]
            return [_decode_message(body) for (body,) in rows]

        return await self._driver.write(work) if ids else ()

    async def postpone(self, ids: Sequence[str], due_at_s: float) -> None:
        if ids:
            await self._driver.write(lambda sql: sql.execute(JOURNAL.postpone, (due_at_s, ids_json(ids))).rowcount)

    async def waiting(self, ids: Sequence[str] | None, limit: int) -> Sequence[Parked]:
        wanted = (None if ids is None else ids_json(ids), limit)
        rows = await self._driver.read(lambda sql: sql.execute(JOURNAL.waiting, wanted).fetchall())
        return [Parked(_decode_message(body), event, due_s) for event, due_s, body in rows]

    async def end(self, ends: Mapping[str, JournalEnd]) -> None:
        if ends:
            await self._driver.write(lambda sql: end_all(sql, ends.items()))

    async def _wake(self, work: Any, broker: object) -> Sequence[Message]:
        """Publish what `work` finds where the broker shares the file; else note that it was handed out, and return it."""
        driver, joint = self._driver, shares_file(self._driver, broker)
        touched: set[str] = set()

        def whole(sql: Connection) -> list[Message]:
            rows = work(sql)
            sql.executemany(JOURNAL.keep_longer, [(time.time() + TO_GO_ON_S, task_id) for task_id, _ in rows])
            messages = [_decode_message(body) for _, body in rows]
            if joint:
                lined_up = [steps.row_of(message, driver.location.largest_message_bytes) for message in messages]
                steps.insert(sql, lined_up)
                touched.update([row[0] for row in lined_up])
                for task_id, _ in rows:
                    sql.execute(JOURNAL.unpark, (task_id,)).fetchall()
            else:
                sql.executemany(JOURNAL.hand_out, [(time.time(), task_id) for task_id, _ in rows])
            return messages

        def carry_out() -> list[Message]:
            messages = driver.database.write(whole)
            driver.signals.notify([name_of("q", queue) for queue in touched])
            return messages

        messages = await driver.call(carry_out)
        return () if joint else messages


def find_event(connection: Connection, name: str) -> Entry | None:
    row = connection.execute(JOURNAL.event, (name, time.time())).fetchone()
    return None if row is None else _decode_entry(row[0])


def may_wait(connection: Connection, parked: Parked) -> bool:
    """Whether there is something to wait for: else nobody would wake it, and its next delivery says how it ends."""
    message, now_s = parked.message, time.time()
    if find_event(connection, parked.event) is not None:
        return False
    if connection.execute(CONTROL.is_revoked, (message.id, now_s)).fetchone() is not None:
        return False
    return message.member is None or workflows.wants(connection, message.member)


def park_one(connection: Connection, parked: Parked) -> bool:
    """Keep the message of a task that waits; False: it has nothing to wait for."""
    if not may_wait(connection, parked):
        return False
    connection.execute(JOURNAL.park, (parked.message.id, parked.event, parked.due_at_s, _encode(parked.message)))
    return True


def end_all(connection: Connection, ends: Iterable[tuple[str, JournalEnd]]) -> None:
    for task_id, end in ends:
        connection.execute(JOURNAL.unpark, (task_id,)).fetchall()
        if end is JournalEnd.FORGOTTEN:
            _forget(connection, task_id)


def expire(connection: Connection, now_s: float, limit: int) -> int:
    """Remove what is over; return how many journals and events went."""
    gone = connection.execute(JOURNAL.expired, (now_s, limit)).fetchall()
    for (task_id,) in gone:
        _forget(connection, task_id)
    return len(gone) + connection.execute(JOURNAL.expire_events, (now_s, limit)).rowcount


def _forget(connection: Connection, task_id: str) -> None:
    connection.execute(JOURNAL.forget, (task_id,))
    connection.execute(JOURNAL.forget_expiry, (task_id,))


def _has_due(connection: Connection, now_s: float, grace_s: float) -> bool:
    return bool(
        connection.execute(JOURNAL.overdue, (now_s, 1)).fetchall()
        or connection.execute(JOURNAL.not_back, (now_s - grace_s, 1)).fetchall()
    )
