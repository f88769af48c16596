"""The steps of a broker, each within the transaction of its caller."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from faena.drivers.sqlite.claims import claims_of, new_claim
from faena.drivers.sqlite.statements import statements_of
from faena.errors import LeaseLost, MessageTooLarge
from faena.model.delivery import (
    Ack,
    Bury,
    Delivery,
    Malformed,
    Release,
    Settlement,
    Verdict,
)
from faena.model.message import HIGHEST_PRIORITY, LOWEST_PRIORITY, Message

Row: TypeAlias = tuple[str, str, int, float | None, bytes]
"""id, queue, rank, due, body"""

MESSAGES = statements_of("messages")
HOLDERS = statements_of("holders")
QUEUES = statements_of("queues")

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Message).decode
decode_verdict = msgspec.msgpack.Decoder(Verdict).decode


def message_in(body: bytes) -> Message | None:
    """Return the message; None: it is malformed."""
    try:
        return decode(body)
    except (msgspec.DecodeError, TypeError):
        return None


def rank_of(message: Message) -> int:
    """Return the place of its priority; those out of range count as the nearest."""
    return HIGHEST_PRIORITY - max(LOWEST_PRIORITY, min(HIGHEST_PRIORITY, message.priority))


def row_of(message: Message, largest_bytes: int) -> Row:
    body = encode(message)
    if len(body) > largest_bytes:
        raise MessageTooLarge(len(body), largest_bytes, "SQLite")
    due_s = message.due_at_s
    if due_s is not None and due_s <= time.time():
        due_s = None
    return message.id, message.queue, rank_of(message), due_s, body


def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    connection.executemany(MESSAGES.insert, rows)


class Received(msgspec.Struct, frozen=True):
    """What one look at the queues gave."""

    batch: list[Delivery | Malformed]
    full: tuple[str, ...] = ()  # queues that may hold more
    next_due_s: float | None = None  # when nothing was there: when to look again


def receive(connection: sqlite3.Connection, holder: int, queues: Sequence[str], limit: int) -> Received:
    """Claim up to `limit` messages, from the queues in the order given."""
    check_holder(connection, holder)
    paused = _paused(connection)
    claim = new_claim(holder)
    now_s = time.time()
    batch: list[Delivery | Malformed] = []
    for queue in queues:
        if queue in paused:
            continue
        connection.execute(MESSAGES.ripen, (queue, now_s))
        rows = connection.execute(MESSAGES.claim, (claim, queue, limit - len(batch))).fetchall()
        if rows:
            rows.sort()  # by rank and seq, which differ: RETURNING keeps no order
            batch += [_delivery(row, claim, queue) for row in rows]
            if len(batch) >= limit:
                return Received(batch, full=(queue,))
    if batch:
        return Received(batch)
    return Received(batch, next_due_s=_next_due(connection, queues, paused))


def look(connection: sqlite3.Connection, holder: int, queues: Sequence[str]) -> float | None:
    """Return when `receive` would find something; a moment that has passed: now; None: not foreseeable."""
    check_holder(connection, holder)
    paused = _paused(connection)
    for queue in queues:
        if queue not in paused and connection.execute(MESSAGES.has_ready, (queue,)).fetchone() is not None:
            return 0.0
    return _next_due(connection, queues, paused)


def check_holder(connection: sqlite3.Connection, holder: int) -> None:
    if connection.execute(HOLDERS.stands, (holder,)).fetchone() is None:
        raise LeaseLost(holder)


def _paused(connection: sqlite3.Connection) -> frozenset[str]:
    return frozenset([row[0] for row in connection.execute(QUEUES.paused).fetchall()])


def _next_due(connection: sqlite3.Connection, queues: Sequence[str], paused: frozenset[str]) -> float | None:
    moments = [connection.execute(MESSAGES.next_due, (queue,)).fetchone()[0] for queue in queues if queue not in paused]
    return min([moment for moment in moments if moment is not None], default=None)


def _delivery(row: tuple[Any, ...], claim: int, queue: str) -> Delivery | Malformed:
    _, seq, body, deliveries, crashes, redelivered, verdict = row
    try:
        message = decode(body)
    except (msgspec.DecodeError, TypeError) as error:  # TypeError: not even bytes
        raw = body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogateescape")
        return Malformed((seq, claim), queue, raw, str(error))
    return Delivery(
        message, (seq, claim), deliveries, crashes, None if verdict is None else decode_verdict(verdict), redelivered
    )


# -- settling ----------------------------------------------------------------------------------------------


def settle_one(connection: sqlite3.Connection, settlement: Settlement, touched: set[str], largest_bytes: int) -> bool:
    """Carry out one settlement if its delivery is still ours; add the queues that have something new to `touched`."""
    match settlement:
        case Ack(delivery=delivery):
            return connection.execute(MESSAGES.ack, delivery.grip).rowcount == 1
        case Release(delivery=delivery, message=None):
            row = connection.execute(MESSAGES.release, delivery.grip).fetchone()
            if row is None:
                return False
            touched.add(row[0])
            return True
        case Release(delivery=delivery, message=message) if message is not None:
            _, queue, rank, due, body = row_of(message, largest_bytes)
            if connection.execute(MESSAGES.replace, (queue, rank, due, body, *delivery.grip)).rowcount == 0:
                return False
            touched.add(queue)
            return True
        case Bury(delivery=delivery, reason=reason, detail=detail):
            row = connection.execute(MESSAGES.take_out, delivery.grip).fetchone()
            if row is None:
                return False
            task_id, queue, deliveries, crashes, body = row
            connection.execute(MESSAGES.bury, (task_id, queue, str(reason), detail, time.time(), deliveries, crashes, body))
            return True
    raise AssertionError(f"no settlement: {settlement!r}")


def ack_all(connection: sqlite3.Connection, grips: list[tuple[int, int]]) -> int:
    """Remove what these grips hold; return how many were still ours."""
    return connection.executemany(MESSAGES.ack, grips).rowcount


# -- holders -----------------------------------------------------------------------------------------------


def hand_back(connection: sqlite3.Connection, holder: int, verdicts: Iterable[tuple[str, Verdict]]) -> list[str]:
    """End a holder; return the queue of each message that went back."""
    first, last = claims_of(holder)
    for task_id, verdict in verdicts:
        crashes = 1 if verdict.kind == "crashed" else 0
        connection.execute(HOLDERS.judge, (crashes, encode(verdict), task_id, first, last))
    back = connection.execute(HOLDERS.hand_back, (time.time(), first, last)).fetchall()
    connection.execute(HOLDERS.close, (holder,))
    return [row[0] for row in back]
