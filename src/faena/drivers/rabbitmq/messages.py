"""Messages as they travel through RabbitMQ: MessagePack, with a few properties for those who look from outside."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

import msgspec
from aiormq.abc import DeliveredMessage
from msgspec import Struct
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from faena._lib.shorten import shortened
from faena.drivers.rabbitmq.frames import properties_of
from faena.drivers.rabbitmq.location import Location
from faena.drivers.rabbitmq.topology import dead_name, queue_name, route_of_delay
from faena.errors import MessageTooLarge
from faena.model.delivery import Bury, DeadLetter, DeadReason, Delivery, Malformed
from faena.model.message import HIGHEST_PRIORITY, LOWEST_PRIORITY, Message

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode

_REASONS = frozenset(DeadReason)
_PERSISTENT = 2
_TYPE = "application/x-faena"
_TYPE_RAW = _TYPE.encode()
_LONGEST_ID = 255
_LONGEST_DETAIL = 10_000  # characters: all properties have to fit in one frame
_SOON_S = 0.02  # what is due so soon does not climb the ladder, whose least step is longer


class Row(Struct, frozen=True, gc=False):
    """What is published, and where."""

    id: str
    queue: str
    name: str  # of the queue, as the server knows it
    body: bytes
    properties: bytes  # as they stand in a header
    due_at_s: float | None = None

    def route(self, location: Location) -> tuple[str, str]:
        """Return exchange and routing key, as of now."""
        left_s = 0.0 if self.due_at_s is None else self.due_at_s - time.time()
        return route_of_delay(location, self.queue, left_s) if left_s > _SOON_S else ("", self.name)


class Found(Struct, frozen=True, gc=False):
    """What was received."""

    tag: int
    body: bytes
    is_redelivered: bool = False
    header: bytes = b""  # the payload of its header, if it was redelivered


def row_of(location: Location, message: Message) -> Row:
    """Raises MessageTooLarge."""
    priority = max(LOWEST_PRIORITY, min(HIGHEST_PRIORITY, message.priority))
    properties = properties_of(_TYPE_RAW, priority, _outer_id(message.id).encode())
    body = _checked(location, _encode(message))
    return Row(message.id, message.queue, _name_of(location, message.queue), body, properties, message.due_at_s)


def dead_row_of(location: Location, bury: Bury) -> Row:
    """Return a dead letter: the message, and in its headers why it is dead."""
    delivery = bury.delivery
    if isinstance(delivery, Malformed):
        task_id, queue, body, deliveries, crashes = "", delivery.queue, delivery.raw, 1, 0
    else:
        message = bury.message or delivery.message
        task_id, queue, body = message.id, message.queue, _encode(message)
        deliveries, crashes = delivery.deliveries, delivery.crashes
    headers: dict[str, Any] = {
        "x-faena-queue": queue,
        "x-faena-reason": str(bury.reason),
        "x-faena-detail": shortened(bury.detail, _LONGEST_DETAIL, _LONGEST_DETAIL),
        "x-faena-buried-at": repr(time.time()),
        "x-faena-deliveries": deliveries,
        "x-faena-crashes": crashes,
    }
    # all letters of a queue have the same time, so that the one at its head is over first
    kept_ms = round(location.dead_letters_kept_s * 1000)
    properties = Basic.Properties(
        content_type=_TYPE, delivery_mode=_PERSISTENT, message_id=_outer_id(task_id), headers=headers,
        expiration=str(kept_ms) if kept_ms else None,
    )  # fmt: skip
    return Row(task_id, queue, dead_name(location, queue), body, properties.marshal())


def letter_of(found: DeliveredMessage) -> DeadLetter:
    """Return a letter, also of what others have put there: then what is not said, or not as we say it, is unknown."""
    headers: dict[str, Any] = dict(found.header.properties.headers or {})
    said = str(headers.get("x-faena-reason"))
    reason = DeadReason(said) if said in _REASONS else DeadReason.MALFORMED
    message = None
    if reason is not DeadReason.MALFORMED:
        try:
            message = _decode(found.body)
        except (msgspec.DecodeError, RecursionError):
            reason = DeadReason.MALFORMED
    return DeadLetter(
        key=f"{found.routing_key}/{headers.get('x-faena-buried-at')}/{found.header.properties.message_id or ''}",
        queue=str(headers.get("x-faena-queue", "")),
        reason=reason,
        detail=str(headers.get("x-faena-detail", "")),
        buried_at_s=_number(headers, "x-faena-buried-at", 0.0),
        deliveries=int(_number(headers, "x-faena-deliveries", 1)),
        crashes=int(_number(headers, "x-faena-crashes", 0)),
        message=message,
        raw=b"" if message is not None else found.body,
    )


def _number(headers: Mapping[str, Any], name: str, default: float) -> float:
    try:
        number = float(headers.get(name, default))
    except (TypeError, ValueError):
        return default
    return number if isfinite(number) else default


def found_of(got: DeliveredMessage) -> Found:
    """Return a message that was asked for, as one that was delivered."""
    header = got.header.marshal() if got.redelivered else b""
    return Found(got.delivery_tag or 0, got.body, bool(got.redelivered), header)


def delivery_of(found: Found, queue: str, grip: Any) -> Delivery | Malformed:
    try:
        message = _decode(found.body)
    except (msgspec.DecodeError, RecursionError) as error:
        return Malformed(grip, queue, found.body, str(error))
    if not found.is_redelivered:
        return Delivery(message, grip)
    return Delivery(message, grip, _times_returned(found) + 1, redelivered_at_s=time.time())


def _times_returned(found: Found) -> int:
    """Return what quorum queues count; others tell only that it was handed out before."""
    header = ContentHeader()
    try:
        header.unmarshal(found.header)
        headers: dict[str, Any] = dict(header.properties.headers or {})
        return int(headers.get("x-delivery-count") or 1)
    except Exception:  # noqa: BLE001 - whatever else stands there, others may have written
        return 1


@lru_cache(1024)
def _name_of(location: Location, queue: str) -> str:
    return queue_name(location, queue)


def _outer_id(task_id: str) -> str:
    return task_id if len(task_id.encode()) <= _LONGEST_ID else ""


def _checked(location: Location, body: bytes) -> bytes:
    if len(body) > location.largest_message_bytes:
        raise MessageTooLarge(len(body), location.largest_message_bytes, "RabbitMQ (option largest_message_bytes)")
    return body
