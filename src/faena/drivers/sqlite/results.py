"""The steps of a backend, each within the transaction of its caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from faena.drivers.signals import Signals
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


def record_all(connection: sqlite3.Connection, rows: Sequence[ResultRow]) -> int:
    """Keep the records; return how many were kept."""
    return connection.executemany(RESULTS.record, rows).rowcount


def record_one(connection: sqlite3.Connection, row: ResultRow) -> bool:
    return connection.execute(RESULTS.record, row).rowcount == 1


def take_tickets(connection: sqlite3.Connection, states: dict[str, str]) -> Tickets:
    """Return what to tell those who wait for one of these ids; who was told of a terminal state waits no more."""
    tickets: Tickets = {}
    if connection.execute(RESULTS.any_waiter).fetchone() is None:
        return tickets
    for ticket, task_id, fifo in connection.execute(RESULTS.waiting_for, (ids_json(list(states)),)).fetchall():
        is_terminal = states[task_id] in TERMINAL_STATES
        if is_terminal:
            connection.execute(RESULTS.served, (ticket,))
        tickets.setdefault(fifo, bytearray()).extend((ticket * 2 + is_terminal).to_bytes(TICKET_BYTES, "little"))
    return tickets


def tell(signals: Signals, tickets: Tickets) -> None:
    for fifo, data in tickets.items():
        signals.send(fifo, bytes(data), TICKET_BYTES)


def read(connection: sqlite3.Connection, ids: Sequence[str]) -> list[ResultRecord | None]:
    found = {row[0]: decode(row[1]) for row in connection.execute(RESULTS.read, (ids_json(ids),)).fetchall()}
    return [found.get(task_id) for task_id in ids]
