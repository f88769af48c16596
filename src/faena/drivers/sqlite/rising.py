"""Queues whose messages rise with the time that they have waited: which of them come first now.

It looks at the first of each priority only: within one, who came first has risen furthest. A message says itself since when
it waits, so that the table needs no column for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from faena.drivers.sqlite import places
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.statements import statements_of
from faena.model.message import HIGHEST_PRIORITY, Message
from faena.model.turns import aged

RISING = statements_of("rising")

_decode = msgspec.msgpack.Decoder(Message).decode
_AT_FIRST, _AT_ONCE = 1, 100  # rows read of one priority


def ripest(connection: Connection, queue: int, limit: int, ageing_s: float, now_s: float) -> list[int]:
    """Return the places of the first messages, in the order of their turn."""
    lines = [_line(connection, queue, rank) for rank in range(HIGHEST_PRIORITY + 1)]
    heads = {rank: head for rank, line in enumerate(lines) if (head := next(line, None)) is not None}
    found: list[int] = []
    while heads and len(found) < limit:
        rank = min(heads, key=lambda each: (aged(each, now_s - heads[each][1], ageing_s), heads[each][1], heads[each][0]))
        found.append(heads[rank][0])
        head = next(lines[rank], None)
        if head is None:
            del heads[rank]
        else:
            heads[rank] = head
    return found


def claim_in_order(connection: Connection, claim: int, seqs: Sequence[int]) -> list[tuple[Any, ...]]:
    """Claim these, and return their rows in the same order."""
    wanted = msgspec.json.encode(seqs).decode()
    rows = {row[0]: row for row in connection.execute(RISING.claim_these, (claim, wanted)).fetchall()}
    return [rows[seq] for seq in seqs]


def _line(connection: Connection, queue: int, rank: int) -> Iterator[tuple[int, float]]:
    """Give place and beginning of the wait of each message of one priority, the first first."""
    after, last = places.region(queue, rank)
    count = _AT_FIRST
    while rows := connection.execute(RISING.waiting, (after, last, count)).fetchall():
        for seq, body in rows:
            yield seq, _waits_since_s(body)
        after, count = rows[-1][0], _AT_ONCE


def _waits_since_s(body: bytes) -> float:
    try:
        message = _decode(body)
    except (msgspec.DecodeError, RecursionError, TypeError):
        return 0.0  # malformed: out with it
    return max(message.sent_at_s, message.due_at_s or 0.0)
