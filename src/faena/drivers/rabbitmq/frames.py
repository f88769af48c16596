"""Frames of AMQP 0-9-1 that there is one of for each message, written and read by hand. Pure.

    kind (1)  channel (2)  size (4)  payload (size)  0xCE

A message is three of them or more: a method, a header with its properties, and its body, in parts where it is longer than a
frame may be.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

METHOD, HEADER, BODY = 1, 2, 3
END = 0xCE
OVERHEAD = 8  # of a frame, around its payload
KINDS = frozenset((METHOD, HEADER, BODY, 8))
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"

# Methods: the number of the class, and the number within it
QOS_OK, CONSUME_OK, CANCEL, CANCEL_OK = 60 << 16 | 11, 60 << 16 | 21, 60 << 16 | 30, 60 << 16 | 31
RETURN, DELIVER = 60 << 16 | 50, 60 << 16 | 60
ACK, NACK = 60 << 16 | 80, 60 << 16 | 120
CHANNEL_CLOSE, CHANNEL_CLOSE_OK = 20 << 16 | 40, 20 << 16 | 41

head = Struct(">BHI").unpack_from
method_of = Struct(">I").unpack_from
size_of = Struct(">Q").unpack_from  # of the body, 4 bytes into the payload of a header
tag_and_bits = Struct(">QB").unpack_from

_head = Struct(">BHI").pack
_header_head = Struct(">BHIHHQ").pack
_settle = Struct(">BHIIQBB").pack
_qos = Struct(">BHIIIHBB").pack
_BASIC = 60
_MANDATORY = b"\x01"
_END = bytes((END,))
_MULTIPLE, _REQUEUE = 1, 2


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    return _settle(METHOD, channel, 13, ACK, tag, _MULTIPLE if multiple else 0, END)


def nack(channel: int, tag: int) -> bytes:
    """Give one back to its queue."""
    return _settle(METHOD, channel, 13, NACK, tag, _REQUEUE, END)


def qos(channel: int, prefetch_count: int) -> bytes:
    return _qos(METHOD, channel, 11, _BASIC << 16 | 10, 0, prefetch_count, 0, END)


def consume(channel: int, queue: str, tag: str) -> bytes:
    """Begin to consume, with what was last said of the prefetch count."""
    return _method(channel, _BASIC << 16 | 20, b"\0\0" + _short(queue) + _short(tag) + b"\0" + b"\0\0\0\0")


def cancel(channel: int, tag: str) -> bytes:
    return _method(channel, CANCEL, _short(tag) + b"\0")


def message(channel: int, exchange: str, key: str, properties: bytes, body: bytes, longest: int) -> bytes:
    """Return all frames of one that is published; `longest`: what a frame may be, its overhead included."""
    size = len(body)
    start = _publish(channel, exchange, key) + _header_head(HEADER, channel, 12 + len(properties), _BASIC, 0, size)
    if size <= longest - OVERHEAD:
        if not size:
            return start + properties + _END
        return b"".join((start, properties, _END, _head(BODY, channel, size), body, _END))
    parts = [start, properties, _END]
    for at in range(0, size, longest - OVERHEAD):
        part = body[at : at + longest - OVERHEAD]
        parts += (_head(BODY, channel, len(part)), part, _END)
    return b"".join(parts)


def properties_of(content_type: bytes, priority: int, message_id: bytes) -> bytes:
    """Return flags and properties of a persistent message, as they stand in its header."""
    start = b"\x98\x80" if message_id else b"\x98\x00"
    end = bytes((len(message_id),)) + message_id if message_id else b""
    return start + bytes((len(content_type),)) + content_type + bytes((2, priority)) + end


def delivered(payload: bytes) -> tuple[int, bool]:
    """Return tag and `redelivered` of a delivery, whose payload begins after the numbers of its method."""
    tag, bits = tag_and_bits(payload, 1 + payload[0])
    return tag, bool(bits & 1)


def returned(payload: bytes) -> tuple[str, str]:
    """Return why a message came back, and its routing key."""
    texts, at = [], 2  # behind the code; between the two stands the exchange
    for _ in range(3):
        end = at + 1 + payload[at]
        texts.append(payload[at + 1 : end].decode(errors="replace"))
        at = end
    return texts[0], texts[2]


@lru_cache(256)
def _publish(channel: int, exchange: str, key: str) -> bytes:
    return _method(channel, _BASIC << 16 | 40, b"\0\0" + _short(exchange) + _short(key) + _MANDATORY)


def _method(channel: int, code: int, arguments: bytes) -> bytes:
    return _head(METHOD, channel, 4 + len(arguments)) + code.to_bytes(4) + arguments + _END


def _short(text: str) -> bytes:
    raw = text.encode()
    return bytes((len(raw),)) + raw
