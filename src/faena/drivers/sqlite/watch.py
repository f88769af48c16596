"""Wait for results without polling.

Who waits has a FIFO of its own, and a row (a ticket) for each result it waits for. Who records a result writes the
tickets of that result to their FIFOs after its commit. Should one be lost (its writer was killed in between, the FIFO
was full), the watch finds the change by itself: a changed record has a new seq.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from functools import partial

from faena.drivers.signals import OVERFLOW_BYTES, Listener
from faena.drivers.sqlite import results
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.driver import Driver
from faena.drivers.sqlite.results import RESULTS, TICKET_BYTES, ids_json
from faena.model.result import TERMINAL_STATES, ResultRecord

_NET_FIRST_S, _NET_LONGEST_S = 1.0, 5.0
"""A watch looks of its own accord after this time, should a ticket have been lost."""
_POLL_FIRST_S, _POLL_LONGEST_S = 0.001, 0.05  # where there are no FIFOs
_ADD_AT_ONCE = 2000  # ids in one transaction, so that others get their turn


class SqliteWatch:
    """See `faena.backend.Watch`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._fifo = f"w-{secrets.token_hex(12)}"
        self._listener: Listener | None = None
        self._seqs: dict[str, int] = {}  # watched id -> seq of its record when we looked last; 0: there was none
        self._ids: dict[int, str] = {}  # ticket -> id
        self._version: tuple[int, int] | None = None

    async def add(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]:
        if not ids:
            return ()
        if self._listener is None:
            self._listener = self._driver.signals.listen_for_records(self._fifo)
        found: list[ResultRecord | None] = []
        for at in range(0, len(ids), _ADD_AT_ONCE):
            part = ids[at : at + _ADD_AT_ONCE]
            found += await self._driver.write(partial(self._add, ids=part))
        return found

    def _add(self, connection: Connection, ids: Sequence[str]) -> list[ResultRecord | None]:
        records = results.read(connection, ids)
        seqs = {row[0]: row[1] for row in connection.execute(RESULTS.changes, (ids_json(ids),)).fetchall()}
        for task_id, record in zip(ids, records, strict=True):
            if record is not None and record.is_terminal:
                continue
            self._seqs[task_id] = seqs.get(task_id, 0)
            if self._listener is not None and self._listener.is_pushed:
                self._ids[connection.execute(RESULTS.wait, (task_id, self._fifo)).fetchone()[0]] = task_id
        return records

    async def changed(self, timeout_s: float | None) -> Sequence[str]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        listener = self._listener
        if listener is None:
            return ()  # nothing is watched
        pause_s, longest_s = (_NET_FIRST_S, _NET_LONGEST_S) if listener.is_pushed else (_POLL_FIRST_S, _POLL_LONGEST_S)
        while self._seqs:
            data = listener.drain()
            if data:
                found = await self._look() if len(data) >= OVERFLOW_BYTES else self._told(data)
                if found:
                    return found
            left_s = pause_s if deadline is None else deadline - time.monotonic()
            is_last = left_s <= 0
            if not is_last and await self._rest(listener, min(left_s, pause_s)):
                continue
            pause_s = min(longest_s, pause_s * 2)
            found = await self._look_if_changed()
            if found or is_last:
                return found
        return ()

    async def _rest(self, listener: Listener, timeout_s: float) -> bool:
        if self._driver.io == "blocking":
            return listener.wait(timeout_s)
        return await listener.await_token(timeout_s)

    def _told(self, data: bytes) -> list[str]:
        """Read tickets; each comes doubled, plus one where the state is terminal."""
        found: dict[str, None] = {}
        for at in range(0, len(data) - TICKET_BYTES + 1, TICKET_BYTES):
            number = int.from_bytes(data[at : at + TICKET_BYTES], "little")
            task_id = self._ids.get(number >> 1)
            if task_id is not None and task_id in self._seqs:
                found[task_id] = None
                if number & 1:
                    del self._ids[number >> 1], self._seqs[task_id]
        return list(found)

    async def _look_if_changed(self) -> list[str]:
        version = await self._driver.call(self._driver.database.version)
        if version == self._version:
            return []
        self._version = version
        return await self._look()

    async def _look(self) -> list[str]:
        """Return the watched ids whose record has changed since we looked last."""
        ids, found = list(self._seqs), []
        for at in range(0, len(ids), _ADD_AT_ONCE):
            wanted = ids_json(ids[at : at + _ADD_AT_ONCE])
            rows = await self._driver.read(lambda sql, wanted=wanted: sql.execute(RESULTS.changes, (wanted,)).fetchall())  # type: ignore[misc]
            for task_id, seq, state in rows:
                if self._seqs[task_id] == seq:
                    continue
                found.append(task_id)
                self._seqs[task_id] = seq
                if state in TERMINAL_STATES:
                    del self._seqs[task_id]
        return found

    async def remove(self, ids: Sequence[str]) -> None:
        wanted = [(task_id, self._fifo) for task_id in ids if self._seqs.pop(task_id, None) is not None]
        if wanted:
            await self._driver.write(lambda sql: sql.executemany(RESULTS.stop_waiting, wanted).rowcount)
            gone = {task_id for task_id, _ in wanted}
            self._ids = {ticket: task_id for ticket, task_id in self._ids.items() if task_id not in gone}

    async def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.close()
        self._driver.signals.remove(self._fifo)
        if self._ids:
            self._ids, self._seqs = {}, {}
            await self._driver.write(lambda sql: sql.execute(RESULTS.leave, (self._fifo,)).rowcount)
