"""What happens, as values: the one stream that logs, metrics, traces and the dashboard are made of (law 12)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct


class EventKind(StrEnum):
    TASK_SENT = "task-sent"
    TASK_RECEIVED = "task-received"
    TASK_STARTED = "task-started"
    TASK_SUCCEEDED = "task-succeeded"
    TASK_FAILED = "task-failed"
    TASK_RETRIED = "task-retried"
    TASK_REVOKED = "task-revoked"
    TASK_REJECTED = "task-rejected"
    TASK_SUSPENDED = "task-suspended"  # sleeps, or waits for an event, and holds nothing meanwhile
    TASK_RELEASED = "task-released"  # handed back unfinished: the worker stops, or its lease was lost
    TASK_LOST = "task-lost"  # finished, but the lease had gone: the outcome was dropped
    # of a worker, whose processes tell of tasks; `about` has its numbers
    WORKER_ONLINE = "worker-online"
    WORKER_HEARTBEAT = "worker-heartbeat"
    WORKER_OFFLINE = "worker-offline"
    PROCESS_STARTED = "process-started"
    PROCESS_ENDED = "process-ended"


class Event(Struct, frozen=True, gc=False, array_like=True):
    """One thing that happened, at a moment in unix seconds."""

    kind: EventKind
    at_s: float
    worker: str = ""
    task_id: str = ""
    task: str = ""
    queue: str = ""
    retries: int = 0
    runtime_s: float | None = None
    text: str = ""  # the result's or the error's representation, cut to a readable length
    traceback: str = ""
    due_at_s: float | None = None
    about: dict[str, Any] | None = None  # numbers of a worker or a process


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Event]).decode


def packed(events: Sequence[Event]) -> bytes:
    """Return a batch as bytes, to travel."""
    return _encode(events)


def unpacked(body: bytes) -> list[Event]:
    """Return the events of a batch; what a newer version has added is left out, and what is no batch is none."""
    try:
        return _decode(body)
    except msgspec.MsgspecError:
        pass
    try:
        items = msgspec.msgpack.decode(body)
    except msgspec.MsgspecError:
        return []
    found: list[Event] = []
    for item in items if isinstance(items, list) else ():
        try:
            found.append(msgspec.convert(item, Event))
        except msgspec.MsgspecError:
            continue
    return found
