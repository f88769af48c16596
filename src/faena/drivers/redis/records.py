"""Results as they lie in Redis."""

from __future__ import annotations

import time
from typing import Literal

import msgspec

from faena.model.result import TERMINAL_STATES, ResultRecord, State

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ResultRecord).decode


_SUCCESS = State.SUCCESS
_LONG_S = 60.0  # what lives long lives a moment longer: so that results of one time live equally long


def record_words(record: ResultRecord) -> tuple[bytes, Literal[""] | int]:
    """Return value and milliseconds to live of a record."""
    if record.expires_at_s is None:
        return value_of(record), ""
    return value_of(record), span_to(record.expires_at_s, time.time())[0]


def value_of(record: ResultRecord) -> bytes:
    state = record.state
    return (b"T" if state is _SUCCESS or state in TERMINAL_STATES else b"N") + _encode(record)


def span_to(expires_at_s: float, now_s: float) -> tuple[int, float, float]:
    """Return how long what expires then is kept, milliseconds, and from when until when that is the same (unix seconds)."""
    left_s = expires_at_s - now_s  # a distance, as with `due`
    if left_s < _LONG_S:
        return round(left_s * 1000), expires_at_s, expires_at_s
    whole_s = int(left_s)
    return (whole_s + 1) * 1000, now_s + whole_s, now_s + whole_s + 1


def record_of(value: bytes | None) -> ResultRecord | None:
    return None if value is None else _decode(memoryview(value)[1:])
