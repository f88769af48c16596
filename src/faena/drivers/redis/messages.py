"""Messages as they lie in Redis, and the words that scripts take of them.

    value    8 bytes   3 bytes   1 byte   2 bytes   queue   message (MessagePack)
             stamp     number    rank     length

Under limits the rank is 16, and before the message stands what a fetch decides by:

    1 byte            8 bytes           2 bytes   lane
    rank by priority  when it expires   length

The stamp is put before by the server when the message comes, the number tells the messages of one call apart: together they
are a message's place in its list. A value of a zero byte and the name of a list is a tombstone: it was cancelled.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from struct import pack
from typing import Any

import msgspec

from faena.drivers.redis.location import Location
from faena.errors import MessageTooLarge
from faena.model.delivery import Ack, Bury, Delivery, Found, Malformed, Place, Release, Settlement, Verdict
from faena.model.message import HIGHEST_PRIORITY, LOWEST_PRIORITY, Message

Words = list[str | bytes | int]
Row = tuple[str, int, str, str, bytes]  # queue, rank, milliseconds until due ("": now), id, value without its stamp

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Message).decode
decode_verdict = msgspec.msgpack.Decoder(Verdict).decode

_LIMITED = 16  # the rank of what is under limits
_HEAD, _STAMP = 14, 8  # what stands before the name of the queue, and how much of that the server puts there
ROW = 5  # words of a message
_LANE_HEAD = 11
_MALFORMED = (msgspec.DecodeError, RecursionError, TypeError)


def rank_of(message: Message) -> int:
    """Return the place of its priority; those out of range count as the nearest."""
    return _head_of(message.queue, message.priority)[0]


def row_of(message: Message, largest_bytes: int, number: int = 0) -> Row:
    """Return the words of a message. Raises MessageTooLarge."""
    body = encode(message)
    if len(body) > largest_bytes:
        raise MessageTooLarge(len(body), largest_bytes, "Redis")
    (rank, head), due = _head_of(message.queue, message.priority), ""
    if message.due_at_s is not None:
        left_s = message.due_at_s - time.time()  # a distance: clocks of two machines need not agree
        if left_s > 0:
            due = f"{left_s * 1000:.3f}"
    if message.lane is not None:
        rank, head = _LIMITED, _limited_head_of(rank, head, message)
    return message.queue, rank, due, message.id, (number & 0xFFFFFF).to_bytes(3, "big") + head + body


def _limited_head_of(rank: int, head: bytes, message: Message) -> bytes:
    lane = (message.lane or "").encode()
    expires_ms = 0.0 if message.expires_at_s is None else message.expires_at_s * 1000
    return b"%c%b%b%b" % (_LIMITED, head[1:], pack(">BdH", rank, expires_ms, len(lane)), lane)


@lru_cache(1024)
def _head_of(queue: str, priority: int) -> tuple[int, bytes]:
    """Return the rank, and what stands between the number and the message."""
    rank = HIGHEST_PRIORITY - max(LOWEST_PRIORITY, min(HIGHEST_PRIORITY, priority))
    name = queue.encode()
    return rank, b"%c%b%b" % (rank, len(name).to_bytes(2, "big"), name)


def rows_of(messages: Iterable[Message], largest_bytes: int) -> Words:
    """Return the rows of several messages, in a row."""
    words: Words = []
    for number, message in enumerate(messages):
        words += row_of(message, largest_bytes, number)
    return words


def alike(rows: Sequence[Row]) -> Words:
    """Return the words of several messages for one list, which are due now; nothing where they are not alike."""
    queue, rank, due, _, _ = rows[0]
    words: Words = [queue, rank]
    for row in rows:
        if row[0] != queue or row[1] != rank or row[2]:
            return []
        words += row[3:]
    return words if not due and len({row[3] for row in rows}) == len(rows) else []


def message_of(value: bytes) -> Message | None:
    """Return the message; None: it is malformed."""
    try:
        return decode(_body_of(value))
    except _MALFORMED:
        return None


def body_of(value: bytes) -> bytes:
    """Return what lies there as a message."""
    return bytes(_body_of(value))


def body_in(value: bytes) -> memoryview:
    """Return the message in a value that has no stamp yet."""
    begin = _HEAD - _STAMP + (value[4] << 8 | value[5])
    return memoryview(value)[_past_lane(value, begin) if value[3] == _LIMITED else begin :]


def _body_of(value: bytes) -> memoryview:
    begin = _HEAD + (value[12] << 8 | value[13])
    return memoryview(value)[_past_lane(value, begin) if value[11] == _LIMITED else begin :]


def _past_lane(value: bytes, begin: int) -> int:
    """Return where the message begins in a value under limits, whose lane begins at `begin`."""
    return begin + _LANE_HEAD + (value[begin + 9] << 8 | value[begin + 10])


def deliveries_of(claim: bytes, reply: Sequence[Any]) -> list[Delivery | Malformed]:
    """Read what a fetch returned."""
    ids, values, known, _ = reply
    if not known:
        try:  # the usual case, in one go
            return [
                Delivery(
                    decode(value[_HEAD + value[13] :] if value[11] < _LIMITED and not value[12] else _body_of(value)),
                    (task_id, claim),
                )
                for task_id, value in zip(ids, values, strict=True)
            ]
        except _MALFORMED:
            pass  # which one it is, and what lies there, is found below
    batch: list[Delivery | Malformed] = []
    for at, value in enumerate(values):
        begin = end = _HEAD + (value[12] << 8 | value[13])
        if value[11] == _LIMITED:
            begin = _past_lane(value, end)
        grip = (ids[at], claim)
        try:
            message = decode(memoryview(value)[begin:])
        except _MALFORMED as error:
            batch.append(Malformed(grip, value[_HEAD:end].decode(), value[begin:], str(error)))
            continue
        if known and known[at]:
            batch.append(Delivery(message, grip, *_known_of(known[at])))
        else:
            batch.append(Delivery(message, grip))
    return batch


def _known_of(text: bytes) -> tuple[int, int, Verdict | None, float | None]:
    returned, crashes, at_s, verdict = text.split(b";", 3)
    return (
        int(returned) + 1,
        int(crashes),
        decode_verdict(verdict) if verdict else None,
        float(at_s) if at_s else None,
    )


def found_of(place: Place, value: bytes, known: bytes | None, ahead: int, holder: bytes | None, until: Any) -> Found:
    """Read what `find` returned."""
    returned, crashes = _known_of(known)[:2] if known else (1, 0)
    deliveries = returned if holder else returned - 1
    waits = place is Place.WAITING and ahead >= 0
    until_s = None if until is None else float(until) / 1000
    return Found(place, message_of(value), deliveries, crashes, ahead if waits else None, "", until_s)


def settlement_words(settlement: Settlement, location: Location) -> Words:
    """Return the words of a settlement for the script `complete`."""
    task_id, claim = settlement.delivery.grip
    match settlement:
        case Ack():
            return [task_id, claim, "a"]
        case Release(message=None):
            return [task_id, claim, "r"]
        case Release(message=message) if message is not None:
            queue, rank, due, _, value = row_of(message, location.largest_message_bytes)
            return [task_id, claim, "c", queue, rank, due, value]
        case Bury(reason=reason, detail=detail, message=message):
            value = b"" if message is None else row_of(message, location.largest_message_bytes)[4]
            return [task_id, claim, "b", str(reason), detail, round(location.dead_letters_kept_s * 1000), value]
    raise AssertionError(f"no settlement: {settlement!r}")
