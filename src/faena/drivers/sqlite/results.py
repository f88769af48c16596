"""The steps of a backend, each within the transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from faena.drivers.signals import Signals
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.statements import statements_of
from faena.model.result import TERMINAL_STATES, ResultRecord

RESULTS = statements_of("results")
CONTROL = statements_of("control")

TICKET_BYTES = 8
Tickets: TypeAlias = dict[str, bytearray]
"""What to write to whose FIFO: a ticket, times two, plus one where the state is terminal."""

_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(ResultRecord).decode
json_of = msgspec.json.Encoder().encode
ResultRow: TypeAlias = tuple[str, str, float | None, bytes]


def row_of(record: ResultRecord) -> ResultRow:
    return record.id, record.state, record.expires_at_s, _encode(record)


def ids_json(ids: Sequence[str]) -> str:
    """Return the ids as one parameter; `json_each` takes it apart."""
    return json_of(ids).decode()


def record_all(connection: Connection, rows: Sequence[ResultRow]) -> int:
    """Keep the records; return how many were kept."""
    before = _last(connection)
    kept = connection.executemany(RESULTS.record, rows).rowcount
    _note_expiries(connection, before, rows)
    return kept


def record_each(connection: Connection, rows: Sequence[ResultRow]) -> list[bool]:
    """Keep the records; say for each whether it was kept."""
    before = _last(connection)
    kept = [connection.execute(RESULTS.record, row).rowcount == 1 for row in rows]
    _note_expiries(connection, before, rows)
    return kept


def _last(connection: Connection) -> int:
    return int(connection.execute(RESULTS.last).fetchone()[0])


def _note_expiries(connection: Connection, before: int, rows: Sequence[ResultRow]) -> None:
    """Note where the records are that expire in a minute. A changed record has a new seq, so it is noted again."""
    after = _last(connection)
    moments = {row[2] for row in rows}
    for minute in {int(moment // 60) for moment in moments if moment is not None}:
        connection.execute(RESULTS.note_expiry, (minute, before, after))


def expire(connection: Connection, now_s: float, limit: int) -> int:
    """Remove results whose time is over; return how many went."""
    removed = 0
    for minute, first, last in connection.execute(RESULTS.expiries, (int(now_s // 60),)).fetchall():
        if removed >= limit:
            break
        removed += connection.execute(RESULTS.expire, (first, last, now_s, limit - removed)).rowcount
        if removed < limit and (minute + 1) * 60 <= now_s:
            connection.execute(RESULTS.end_expiry, (minute,))
    return removed


def take_tickets(connection: Connection, rows: Sequence[ResultRow]) -> Tickets:
    """Return what to tell those who wait for one of these; who was told of a terminal state waits no more."""
    tickets: Tickets = {}
    if not rows or connection.execute(RESULTS.any_waiter).fetchone() is None:
        return tickets
    states = {row[0]: row[1] for row in rows}
    for ticket, task_id, fifo in connection.execute(RESULTS.waiting_for, (ids_json(list(states)),)).fetchall():
        is_terminal = states[task_id] in TERMINAL_STATES
        if is_terminal:
            connection.execute(RESULTS.served, (ticket,))
        tickets.setdefault(fifo, bytearray()).extend((ticket * 2 + is_terminal).to_bytes(TICKET_BYTES, "little"))
    return tickets


def tell(signals: Signals, tickets: Tickets) -> None:
    for fifo, data in tickets.items():
        signals.send(fifo, bytes(data), TICKET_BYTES)


def read(connection: Connection, ids: Sequence[str]) -> list[ResultRecord | None]:
    found = {row[0]: decode(row[1]) for row in connection.execute(RESULTS.read, (ids_json(ids),)).fetchall()}
    return [found.get(task_id) for task_id in ids]
