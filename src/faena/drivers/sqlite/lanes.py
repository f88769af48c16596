"""Messages under limits, each verb within the transaction of its caller. The law is that of `faena.model.lanes`.

    publish, ripen ──▶ place 14 ──receive──▶ place 13, and lined up in its lane ──receive──▶ admitted, and claimed
                                                   ▲                                             │
                                                   └── released, or handed back ─────────────────┤
                                                                              acknowledged, buried ┴▶ gone

So whoever puts a message into a queue need not know of lanes: the number of its place says that it is under limits.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

import msgspec

from faena.drivers.sqlite import places
from faena.drivers.sqlite.claims import claims_of
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.statements import statements_of
from faena.model.limit import (
    LEAST_PAUSE_S,
    MOST_TRIES,
    ROUNDING_S,
    Change,
    Declared,
    LimitStatus,
    Obstacle,
    Refusal,
    Terms,
    family_of,
    limits_of,
    next_token_s,
    paid_after,
    paid_under,
    shown,
)
from faena.model.message import HIGHEST_PRIORITY, LOWEST_PRIORITY, Message

LANES = statements_of("lanes")

_decode = msgspec.msgpack.Decoder(Message).decode
_encode = msgspec.msgpack.Encoder().encode
_decode_terms = msgspec.msgpack.Decoder(Terms).decode
_decode_change = msgspec.msgpack.Decoder(Change).decode

_AT_ONCE = 500  # lined up in one receive
_SWEEP_ONE_IN = 256
_FREE = Terms()


class Effects:
    """What a step has done beside its rows: the numbers of queues in which lanes have come to be tried."""

    __slots__ = ("_terms", "connection", "touched")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.touched: set[int] = set()
        self._terms: dict[str, Terms] = {}

    def names(self) -> list[str]:
        """Return the names of those queues."""
        wanted = [self.connection.execute("SELECT name FROM queues WHERE number = ?", (each,)) for each in self.touched]
        return [str(row[0]) for each in wanted for row in each.fetchall()]

    def terms_of(self, limit: str) -> Terms:
        family = family_of(limit)
        terms = self._terms.get(family)
        if terms is None:
            row = self.connection.execute(LANES.terms, (family,)).fetchone()
            terms = self._terms[family] = _FREE if row is None else _in_force(*row)
        return terms


# -- in ----------------------------------------------------------------------------------------------------


def has_any(connection: Connection, queue: int) -> bool:
    """Whether there is anything to do for `take`; one look, for those who have nothing under limits."""
    return bool(connection.execute(LANES.any, places.region(queue, places.LIMITED)).fetchone()[0])


def has_work(connection: Connection, queue: int) -> bool:
    """Whether lanes of a queue stand to be tried."""
    return bool(connection.execute(LANES.has_work, (*places.region(queue, places.LIMITED), queue)).fetchone()[0])


def next_due(connection: Connection) -> float | None:
    """Return when the next token is due that anything waits for."""
    due_s: float | None = connection.execute(LANES.next_due).fetchone()[0]
    return due_s


def _line_up_arrived(effects: Effects, queue: int) -> None:
    connection = effects.connection
    rows = connection.execute(LANES.arrived, (*places.region(queue, places.LIMITED), _AT_ONCE)).fetchall()
    if not rows:
        return
    bounds = places.region(queue, places.LINED_UP)
    last = int(
        connection.execute("SELECT coalesce(max(seq), ?1) FROM messages WHERE seq BETWEEN ?1 AND ?2", bounds).fetchone()[0]
    )
    for seq, body in rows:
        last += 1
        connection.execute(LANES.move, (last, seq))
        _line_up(effects, queue, last, body)


def _line_up(effects: Effects, queue: int, seq: int, body: bytes) -> None:
    try:
        message: Message | None = _decode(body)
    except (msgspec.DecodeError, RecursionError, TypeError):
        message = None  # it is buried by who receives it
    name, rank, expires_s = "", 0, None
    if message is not None:
        name, expires_s = message.lane or "", message.expires_at_s
        rank = HIGHEST_PRIORITY - max(LOWEST_PRIORITY, min(HIGHEST_PRIORITY, message.priority))
    connection = effects.connection
    found = connection.execute(LANES.find, (queue, name)).fetchone()
    if found is None:
        lane = connection.execute(LANES.begin, (queue, name, rank, _next_turn())).lastrowid
        effects.touched.add(queue)
    else:
        lane = found[0]
        if rank < found[1]:
            connection.execute(LANES.set_rank, (rank, lane))
    connection.execute(LANES.line_up, (lane, rank, seq, expires_s))


# -- out ---------------------------------------------------------------------------------------------------


def take(connection: Connection, queue: int, limit: int, claim: int) -> tuple[list[tuple[Any, ...]], Effects]:
    """Hand out up to `limit` messages of a queue that their limits allow now; return their rows, in their order."""
    effects, now_s = Effects(connection), time.time()
    _line_up_arrived(effects, queue)
    for (name,) in connection.execute(LANES.due, (now_s + ROUNDING_S,)).fetchall():
        connection.execute(LANES.not_due, (name,))
        _call_next(effects, name)
    rows: list[tuple[Any, ...]] = []
    tries = MOST_TRIES
    while len(rows) < limit and tries > 0:
        first = connection.execute(LANES.first, (queue,)).fetchone()
        if first is None:
            break
        lane, name = first
        head = connection.execute(LANES.head, (lane,)).fetchone()
        if head is None:
            _end(effects, lane)
            continue
        is_over = head[2] is not None and head[2] <= now_s  # it ends at once, and costs nothing
        refused = None if is_over else _refused(effects, name, now_s)
        if refused is None:
            rows.append(_admit(effects, lane, name, head[1], claim, now_s, takes=not is_over))
        else:
            tries -= 1
            connection.execute(LANES.park, (refused, lane))
            _pass_on(effects, name, refused)
    if random.random() * _SWEEP_ONE_IN < len(rows):
        connection.execute(LANES.forget_paid, (now_s,))
    return rows, effects


def _obstacle(effects: Effects, limit: str, now_s: float) -> Obstacle | None:
    terms, connection = effects.terms_of(limit), effects.connection
    if terms.is_paused:
        return Obstacle(shown(limit), Refusal.PAUSED)
    if terms.concurrency is not None:
        in_use = connection.execute(LANES.in_use, (limit,)).fetchone()[0]
        if in_use >= terms.concurrency:
            return Obstacle(shown(limit), Refusal.CONCURRENCY, None, in_use)
    if not terms.rate_per_s:
        return None
    due_s = next_token_s(terms, _paid_until_s(connection, limit), now_s)
    return None if due_s is None else Obstacle(shown(limit), Refusal.RATE, due_s)


def _refused(effects: Effects, lane: str, now_s: float) -> str | None:
    """Return the first limit that refuses; note when it will not any more."""
    for limit in limits_of(lane):
        obstacle = _obstacle(effects, limit, now_s)
        if obstacle is not None:
            if obstacle.until_s is not None:
                due_s = max(obstacle.until_s, now_s + LEAST_PAUSE_S)
                effects.connection.execute(LANES.set_due, (limit, obstacle.until_s, due_s))
            return limit
    return None


def _admit(effects: Effects, lane: int, name: str, seq: int, claim: int, now_s: float, *, takes: bool) -> tuple[Any, ...]:
    connection = effects.connection
    number = connection.execute(LANES.admit, (claim, seq, name, takes)).lastrowid
    for limit in limits_of(name) if takes else ():
        connection.execute(LANES.permit, (limit, number))
        terms = effects.terms_of(limit)
        if terms.rate_per_s:
            connection.execute(LANES.pay, (limit, paid_after(terms, _paid_until_s(connection, limit), now_s)))
    connection.execute(LANES.leave, (seq,)).fetchall()
    head = connection.execute(LANES.head, (lane,)).fetchone()
    if head is None:
        _end(effects, lane)
    else:
        connection.execute(LANES.go_on, (head[0], _next_turn(), lane))
        _pass_on(effects, name, None)
    rows: list[tuple[Any, ...]] = connection.execute(LANES.claim, (claim, seq)).fetchall()
    return rows[0]


# -- back --------------------------------------------------------------------------------------------------


def give_back(effects: Effects, claim: int, seq: int, *, refund: bool) -> None:
    """Give back what a message in hand holds; `refund`: its tokens, too, for it has not begun."""
    connection = effects.connection
    found = connection.execute(LANES.give_back, (claim, seq)).fetchone()
    if found is None:
        return
    number, lane, takes = found
    for limit in limits_of(lane) if takes else ():
        connection.execute(LANES.return_permit, (limit, number))
        if refund and (terms := effects.terms_of(limit)).rate_per_s:
            connection.execute(LANES.refund, (terms.interval_s, limit))
        _call_next(effects, limit)


def line_up_again(effects: Effects, seq: int) -> None:
    """Let a message that nobody holds any more wait in its lane, at its old place."""
    body, queue = effects.connection.execute(LANES.body, (seq,)).fetchone()
    _line_up(effects, queue, seq, body)
    effects.touched.add(queue)


def hand_back(effects: Effects, holder: int) -> None:
    """Give back what a holder held. Its messages are lined up again by who puts them back."""
    for claim, seq in effects.connection.execute(LANES.held, claims_of(holder)).fetchall():
        give_back(effects, claim, seq, refund=False)


def leave(effects: Effects, seqs: Iterable[int]) -> None:
    """Take messages that are gone out of their lanes."""
    connection = effects.connection
    for seq in seqs:
        for (lane,) in connection.execute(LANES.leave, (seq,)).fetchall():
            head = connection.execute(LANES.head, (lane,)).fetchone()
            if head is None:
                _end(effects, lane)
            else:
                connection.execute(LANES.set_rank, (head[0], lane))


def purge(effects: Effects, queue: int) -> None:
    """Forget all lanes of a queue."""
    connection = effects.connection
    connection.execute(LANES.purge, places.region(queue, places.LINED_UP))
    for (lane,) in connection.execute(LANES.lanes_of, (queue,)).fetchall():
        _end(effects, lane)


def _end(effects: Effects, lane: int) -> None:
    for _, name, parked in effects.connection.execute(LANES.end, (lane,)).fetchall():
        if parked is None:
            _pass_on(effects, name, None)


def _pass_on(effects: Effects, lane: str, refused: str | None) -> None:
    for limit in limits_of(lane):
        if limit != refused:
            _call_next(effects, limit)


def _call_next(effects: Effects, limit: str) -> None:
    """Let the first lane of each queue that is parked at a limit be tried."""
    connection, queue = effects.connection, -1
    while (row := connection.execute(LANES.next_queue, (limit, queue)).fetchone()) is not None:
        queue = row[0]
        connection.execute(LANES.call_next, (limit, queue))
        effects.touched.add(queue)


def _paid_until_s(connection: Connection, limit: str) -> float:
    row = connection.execute(LANES.paid_until, (limit,)).fetchone()
    return 0.0 if row is None else float(row[0])


_last_turn = 0


def _next_turn() -> int:
    """Return a number that grows, in all processes of the machine."""
    global _last_turn
    _last_turn = max(_last_turn + 1, time.time_ns() // 1000)
    return _last_turn


# -- terms -------------------------------------------------------------------------------------------------


def read_declared(connection: Connection) -> Declared:
    found = Declared()
    for family, declared, change in connection.execute(LANES.limits).fetchall():
        if declared is not None:
            found.declared[family] = _decode_terms(declared)
        if change is not None:
            found.changes[family] = _decode_change(change)
    return found


def write_declared(effects: Effects, before: Declared, after: Declared) -> None:
    """Keep what is declared now; let what is parked at limits with other terms be tried anew."""
    connection = effects.connection
    for family in sorted({*before.families(), *after.families()}):
        declared, change = after.declared.get(family), after.changes.get(family)
        if declared is None and change is None:
            connection.execute(LANES.forget, (family,))
        elif declared != before.declared.get(family) or change != before.changes.get(family):
            row = (family, None if declared is None else _encode(declared), None if change is None else _encode(change))
            connection.execute(LANES.keep, row)
        if before.terms_of(family) != after.terms_of(family):
            effects.touched.update([row[0] for row in connection.execute(LANES.call_family, (family,)).fetchall()])
            connection.execute(LANES.forget_due, (family,))
            connection.execute(LANES.pay_under, (family, paid_under(after.terms_of(family), inf, time.time())))


def statuses(connection: Connection) -> Sequence[LimitStatus]:
    return read_declared(connection).statuses(
        _summed(connection.execute(LANES.running).fetchall()), _summed(connection.execute(LANES.parked).fetchall())
    )


def obstacles(connection: Connection, ids: Sequence[str]) -> list[list[Obstacle] | None]:
    effects, now_s = Effects(connection), time.time()
    found: list[list[Obstacle] | None] = []
    for task_id in ids:
        row = connection.execute(LANES.of_message, (task_id, now_s)).fetchone()
        name = None
        if row is not None:
            name = row[1]
            if name is None:  # not lined up yet
                try:
                    name = _decode(row[2]).lane
                except (msgspec.DecodeError, RecursionError, TypeError):
                    name = None
        all_of_it = None if name is None else [_obstacle(effects, limit, now_s) for limit in limits_of(name)]
        found.append(None if all_of_it is None else [each for each in all_of_it if each is not None])
    return found


def _in_force(declared: bytes | None, change: bytes | None) -> Terms:
    terms = None if declared is None else _decode_terms(declared)
    return terms or _FREE if change is None else _decode_change(change).applied_to(terms)


def _summed(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, number in rows:
        found[family_of(name)] = found.get(family_of(name), 0) + number
    return found
