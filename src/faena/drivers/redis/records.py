"""Results as they lie in Redis."""

from __future__ import annotations

import time
from typing import Literal

import msgspec

from faena.model.result import TERMINAL_STATES, ResultRecord

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ResultRecord).decode


_LONG_MS, _STEP_MS = 60_000, 1000  # what lives long lives a moment longer: so that results of one time live equally long


def record_words(record: ResultRecord) -> tuple[bytes, Literal[""] | int]:
    """Return value and milliseconds to live of a record."""
    value = (b"T" if record.state in TERMINAL_STATES else b"N") + _encode(record)
    if record.expires_at_s is None:
        return value, ""
    left_ms = round((record.expires_at_s - time.time()) * 1000)  # a distance, as with `due`
    return value, left_ms if left_ms < _LONG_MS else -(-left_ms // _STEP_MS) * _STEP_MS


def record_of(value: bytes | None) -> ResultRecord | None:
    return None if value is None else _decode(memoryview(value)[1:])
