"""Results as they lie in Redis."""

from __future__ import annotations

import time

import msgspec

from faena.model.result import TERMINAL_STATES, ResultRecord

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ResultRecord).decode


def record_words(record: ResultRecord) -> tuple[bytes, str | int]:
    """Return value and milliseconds to live of a record."""
    value = (b"T" if record.state in TERMINAL_STATES else b"N") + _encode(record)
    if record.expires_at_s is None:
        return value, ""
    return value, round((record.expires_at_s - time.time()) * 1000)  # a distance, as with `due`


def record_of(value: bytes | None) -> ResultRecord | None:
    return None if value is None else _decode(memoryview(value)[1:])
