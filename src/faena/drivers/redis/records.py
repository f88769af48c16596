"""Results as they lie in Redis."""

from __future__ import annotations

import time
from typing import Literal

import msgspec

from faena.model.result import TERMINAL_STATES, ResultRecord, State

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ResultRecord).decode


_LONG_S = 60.0  # what lives long lives a moment longer: so that results of one time live equally long


def record_words(record: ResultRecord, now_s: float | None = None) -> tuple[bytes, Literal[""] | int]:
    """Return value and milliseconds to live of a record."""
    state = record.state
    value = (b"T" if state is State.SUCCESS or state in TERMINAL_STATES else b"N") + _encode(record)
    if record.expires_at_s is None:
        return value, ""
    left_s = record.expires_at_s - (time.time() if now_s is None else now_s)  # a distance, as with `due`
    return value, (int(left_s) + 1) * 1000 if left_s >= _LONG_S else round(left_s * 1000)


def record_of(value: bytes | None) -> ResultRecord | None:
    return None if value is None else _decode(memoryview(value)[1:])
