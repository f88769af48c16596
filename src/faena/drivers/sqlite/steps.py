"""The steps of a broker, each within the transaction of its caller."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

import msgspec

from faena.drivers.sqlite import lanes, places
from faena.drivers.sqlite.claims import claims_of, new_claim
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.statements import statements_of
from faena.errors import LeaseLost, MessageTooLarge, NotSupported
from faena.model.delivery import (
    BEGUN,
    Ack,
    Bury,
    Delivery,
    Malformed,
    Release,
    Settlement,
    Verdict,
    VerdictKind,
)
from faena.model.message import HIGHEST_PRIORITY, LOWEST_PRIORITY, Message

Row: TypeAlias = tuple[str, int, float | None, str, bytes]
"""queue, rank, due, id, body"""
Outstanding: TypeAlias = MutableMapping[int, int]
"""claim -> how many of its deliveries are not settled yet"""

MESSAGES = statements_of("messages")
HOLDERS = statements_of("holders")
QUEUES = statements_of("queues")

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Message).decode
decode_verdict = msgspec.msgpack.Decoder(Verdict).decode
json_of = msgspec.json.Encoder().encode


def message_in(body: bytes) -> Message | None:
    """Return the message; None: it is malformed."""
    try:
        return decode(body)
    except (msgspec.DecodeError, RecursionError, TypeError):
        return None


def rank_of(message: Message) -> int:
    """Return the place of its priority, those out of range count as the nearest; or that of what is under limits."""
    if message.lane is not None:
        return places.LIMITED
    return HIGHEST_PRIORITY - max(LOWEST_PRIORITY, min(HIGHEST_PRIORITY, message.priority))


def row_of(message: Message, largest_bytes: int) -> Row:
    body = encode(message)
    if len(body) > largest_bytes:
        raise MessageTooLarge(len(body), largest_bytes, "SQLite")
    due_s = message.due_at_s
    if due_s is not None and due_s <= time.time():
        due_s = None
    return message.queue, rank_of(message), due_s, message.id, body


# -- queues ------------------------------------------------------------------------------------------------


def queue_number(connection: Connection, name: str) -> int:
    """Return the number of a queue, which gets one if it has none."""
    number = known_number(connection, name)
    if number is None:
        number = connection.execute(QUEUES.add, (name,)).lastrowid or 0
        if number > places.LAST_QUEUE:
            raise NotSupported(f"queue '{name}'", "SQLite", f"one file holds {places.LAST_QUEUE:,} queues")
        connection.queue_numbers[name] = number
    return number


def known_number(connection: Connection, name: str) -> int | None:
    number = connection.queue_numbers.get(name)
    if number is None:
        row = connection.execute(QUEUES.number, (name,)).fetchone()
        if row is not None:
            number = connection.queue_numbers[name] = int(row[0])
    return number


def queue_name(connection: Connection, number: int) -> str:
    return str(connection.execute(QUEUES.name, (number,)).fetchone()[0])


# -- in ----------------------------------------------------------------------------------------------------


def insert_one(connection: Connection, row: Row) -> int:
    """Insert a message with one statement; return how many it took."""
    queue, rank, due_s, task_id, body = row
    number = queue_number(connection, queue)
    first, last = places.region(number, rank if due_s is None else places.DELAYED)
    return connection.execute(MESSAGES.insert_last, (first, last, number, rank, due_s, task_id, body)).rowcount


def insert(connection: Connection, rows: Sequence[Row]) -> None:
    ends: dict[tuple[str, int], list[int]] = {}  # queue, rank of the place -> number of the queue, last seq
    lined_up = []
    for queue, rank, due_s, task_id, body in rows:
        place = rank if due_s is None else places.DELAYED
        end = ends.get((queue, place))
        if end is None:
            number = queue_number(connection, queue)
            end = ends[queue, place] = [number, last_seq(connection, number, place)]
        end[1] += 1
        lined_up.append((end[1], end[0], rank, due_s, task_id, body))
    connection.executemany(MESSAGES.insert, lined_up)


def last_seq(connection: Connection, queue: int, place: int) -> int:
    return int(connection.execute(MESSAGES.last, places.region(queue, place)).fetchone()[0])


# -- out ---------------------------------------------------------------------------------------------------


class Claimed(msgspec.Struct, frozen=True):
    """What one look at the queues gave, as it lies in the table."""

    claim: int
    rows: list[tuple[str, list[tuple[Any, ...]]]]  # queue -> its rows in their order
    touched: list[str]  # queues that may hold more for somebody


def receive(
    connection: Connection, holder: int, queues: Sequence[str], limit: int, ageing_s: Mapping[str, float] = {}
) -> Claimed:
    """Claim up to `limit` messages, from the queues in the order given."""
    check_holder(connection, holder)
    paused = _paused(connection)
    claim, now_s = new_claim(holder), time.time()
    found: list[tuple[str, list[tuple[Any, ...]]]] = []
    seqs: list[int] = []
    touched: list[str] = []
    for queue in queues:
        number = None if queue in paused else known_number(connection, queue)
        if number is None:
            continue
        ripen(connection, number, now_s)
        rows = _claim(connection, number, limit - len(seqs), claim, touched, ageing_s.get(queue) if ageing_s else None)
        if rows:
            found.append((queue, rows))
            seqs += [row[0] for row in rows]
            if len(seqs) >= limit:
                touched.append(queue)
                break
    if seqs:
        connection.execute(MESSAGES.note_claim, (claim, json_of(seqs).decode()))
    return Claimed(claim, found, touched)


def _claim(
    connection: Connection, queue: int, limit: int, claim: int, touched: list[str], ageing_s: float | None
) -> list[tuple[Any, ...]]:
    """Claim messages of one queue: what is under limits and what is not take turns in being first."""
    rows: list[tuple[Any, ...]] = []
    has_limited = lanes.has_any(connection, queue)
    if has_limited and claim & 1:
        rows = _claim_limited(connection, queue, limit, claim, touched)
    if ageing_s is not None:
        from faena.drivers.sqlite.rising import claim_in_order, ripest  # which only queues whose messages rise need

        rows += claim_in_order(connection, claim, ripest(connection, queue, limit - len(rows), ageing_s, time.time()))
    elif len(rows) < limit:
        free = connection.execute(MESSAGES.claim, (claim, *places.ready(queue), limit - len(rows))).fetchall()
        rows += sorted(free)  # by seq: RETURNING keeps no order
    if has_limited and not claim & 1 and len(rows) < limit:
        rows += _claim_limited(connection, queue, limit - len(rows), claim, touched)
    return rows


def _claim_limited(connection: Connection, queue: int, limit: int, claim: int, touched: list[str]) -> list[tuple[Any, ...]]:
    rows, effects = lanes.take(connection, queue, limit, claim)
    effects.touched.discard(queue)
    if lanes.has_work(connection, queue):
        effects.touched.add(queue)
    touched += effects.names()
    return rows


def deliveries_of(claimed: Claimed) -> list[Delivery | Malformed]:
    """Read what was claimed; apart from `receive`, so that other writers need not wait for it."""
    return [_delivery(row, claimed.claim, queue) for queue, rows in claimed.rows for row in rows]


def ripen(connection: Connection, queue: int, now_s: float) -> None:
    """Put delayed messages that are due behind those that wait."""
    ends: dict[int, int] = {}
    for seq, rank in connection.execute(MESSAGES.ripe, (queue, now_s)).fetchall():
        ends[rank] = (ends.get(rank) or last_seq(connection, queue, rank)) + 1
        connection.execute(MESSAGES.ripen, (ends[rank], seq))


def look(connection: Connection, holder: int, queues: Sequence[str]) -> float | None:
    """Return when `receive` would find something; a moment that has passed: now; None: not foreseeable."""
    check_holder(connection, holder)
    paused = _paused(connection)
    moments: list[float] = []
    token_due_s: float | None = None  # looked at by `receive` for a queue that is not paused, and so only for one
    for queue in queues:
        number = None if queue in paused else known_number(connection, queue)
        if number is None:
            continue
        if connection.execute(MESSAGES.has_ready, places.ready(number)).fetchone() is not None:
            return 0.0
        due_s = connection.execute(MESSAGES.next_due, (number,)).fetchone()[0]
        if due_s is not None:
            moments.append(due_s)
        if lanes.has_work(connection, number):
            return 0.0
        if token_due_s is None and (token_due_s := lanes.next_due(connection)) is not None:
            moments.append(token_due_s)
    return min(moments, default=None)


def check_holder(connection: Connection, holder: int) -> None:
    if connection.execute(HOLDERS.stands, (holder,)).fetchone() is None:
        raise LeaseLost(holder)


def _paused(connection: Connection) -> frozenset[str]:
    return frozenset([row[0] for row in connection.execute(QUEUES.paused).fetchall()])


def _delivery(row: tuple[Any, ...], claim: int, queue: str) -> Delivery | Malformed:
    seq, body, deliveries, crashes, redelivered_at_s, verdict = row
    try:
        message = decode(body)
    except (msgspec.DecodeError, RecursionError, TypeError) as error:  # TypeError: not even bytes
        raw = body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogateescape")
        return Malformed((seq, claim), queue, raw, str(error))
    return Delivery(
        message,
        (seq, claim),
        deliveries,
        crashes,
        None if verdict is None else decode_verdict(verdict),
        redelivered_at_s,
    )


def cancel(connection: Connection, touched: set[str], ids: str) -> list[Message]:
    """Take out what nobody holds; return the messages."""
    rows = connection.execute(MESSAGES.cancel, (ids,)).fetchall()
    limited = [seq for seq, _ in rows if places.is_lined_up(seq)]
    if limited:
        effects = lanes.Effects(connection)
        lanes.leave(effects, limited)
        touched.update(effects.names())
    return [message for _, body in rows if (message := message_in(body)) is not None]


# -- settling ----------------------------------------------------------------------------------------------


def settle_one(connection: Connection, settlement: Settlement, touched: set[str], largest_bytes: int) -> bool:
    """Carry out one settlement if its delivery is still ours; add the queues that have something new to `touched`."""
    of = settlement.delivery
    if type(of) is Delivery and of.message.lane is not None:
        return _settle_limited(connection, settlement, touched, largest_bytes)
    return _settle_one(connection, settlement, touched, largest_bytes)


def _settle_limited(connection: Connection, settlement: Settlement, touched: set[str], largest_bytes: int) -> bool:
    """Do the same for what may hold permits: it gives them back."""
    effects, (seq, claim) = lanes.Effects(connection), settlement.delivery.grip
    is_unbegun = isinstance(settlement, Release) and settlement.message is None
    lanes.give_back(effects, claim, seq, refund=is_unbegun)
    is_ours = _settle_one(connection, settlement, touched, largest_bytes)
    if is_ours and is_unbegun and places.is_lined_up(seq):
        lanes.line_up_again(effects, seq)
    touched.update(effects.names())
    return is_ours


def _settle_one(connection: Connection, settlement: Settlement, touched: set[str], largest_bytes: int) -> bool:
    match settlement:
        case Ack(delivery=delivery):
            return connection.execute(MESSAGES.ack, delivery.grip).rowcount == 1
        case Release(delivery=delivery, message=None):
            row = connection.execute(MESSAGES.release, delivery.grip).fetchone()
            if row is None:
                return False
            touched.add(queue_name(connection, row[0]))
            return True
        case Release(delivery=delivery, message=message) if message is not None:
            if not _replace(connection, delivery.grip, row_of(message, largest_bytes)):
                return False
            touched.add(message.queue)
            return True
        case Bury(delivery=delivery, reason=reason, detail=detail, message=message):
            row = connection.execute(MESSAGES.take_out, delivery.grip).fetchone()
            if row is None:
                return False
            task_id, number, deliveries, crashes, body = row
            kept = body if message is None else encode(message)
            letter = (task_id, number, str(reason), detail, time.time(), deliveries, crashes, kept)
            connection.execute(MESSAGES.bury, letter)
            return True
    raise AssertionError(f"no settlement: {settlement!r}")


def _replace(connection: Connection, grip: tuple[int, int], row: Row) -> bool:
    """Put a changed message where it belongs: at its old place, if that is in the same line."""
    held = connection.execute(MESSAGES.held, grip).fetchone()
    if held is None:
        return False
    queue, rank, due_s, _, body = row
    number = queue_number(connection, queue)
    seq = grip[0]
    if due_s is not None:
        seq = last_seq(connection, number, places.DELAYED) + 1
    elif held != (number, rank) or rank == places.LIMITED:
        seq = last_seq(connection, number, rank) + 1
    connection.execute(MESSAGES.replace, (seq, number, rank, due_s, body, grip[0]))
    return True


def begin(connection: Connection, deliveries: Sequence[Delivery]) -> list[bool]:
    """Note of each that it has begun, if it is still ours; return whether it is."""
    verdict = encode(BEGUN)
    return [connection.execute(MESSAGES.begin, (verdict, *each.grip)).rowcount == 1 for each in deliveries]


def ack_all(connection: Connection, grips: list[tuple[int, int]]) -> int:
    """Remove what these grips hold; return how many were still ours."""
    return connection.executemany(MESSAGES.ack, grips).rowcount


def end_claims(connection: Connection, settled: Counter[int], outstanding: Mapping[int, int]) -> None:
    """Forget the claims of which nothing is held any more."""
    for claim, count in settled.items():
        if outstanding.get(claim) == count:
            connection.execute(MESSAGES.end_claim, (claim,))


def count_down(settled: Counter[int], outstanding: Outstanding) -> None:
    """Do the same in memory, after the commit."""
    for claim, count in settled.items():
        left = outstanding.get(claim, 0) - count
        if left > 0:
            outstanding[claim] = left
        else:
            outstanding.pop(claim, None)


# -- holders -----------------------------------------------------------------------------------------------


def hand_back(connection: Connection, holder: int, verdicts: Iterable[tuple[str, Verdict]], touched: set[str]) -> int:
    """End a holder; return how many messages went back, and add the queues that have something new to `touched`."""
    bounds, now_s, judged = claims_of(holder), time.time(), dict(verdicts)
    names: dict[int, str] = {}
    back: list[str] = []
    effects = lanes.Effects(connection)
    lanes.hand_back(effects, holder)
    for seq, task_id, number in connection.execute(HOLDERS.held, bounds).fetchall():
        verdict = judged.get(task_id)
        if verdict is not None:
            crashes = 1 if verdict.kind == VerdictKind.CRASHED else 0
            connection.execute(HOLDERS.judge, (crashes, encode(verdict), seq))
        connection.execute(HOLDERS.hand_back, (now_s, seq))
        if places.is_lined_up(seq):
            lanes.line_up_again(effects, seq)
        if number not in names:
            names[number] = queue_name(connection, number)
        back.append(names[number])
    touched.update(back, effects.names())
    connection.execute(HOLDERS.end_claims, bounds)
    connection.execute(HOLDERS.close, (holder,))
    return len(back)
