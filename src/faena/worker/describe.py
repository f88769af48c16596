"""What remote control is told of a task in hand, in Celery's words and in ours."""

from __future__ import annotations

import os
import reprlib
import time
from typing import Any

from faena.engine.attempt import Attempt
from faena.model.delivery import Delivery
from faena.model.event import Event, EventKind

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_LONGEST = 300


def described(delivery: Delivery, attempt: Attempt | None, now_s: float) -> dict[str, Any]:
    """Return what is known of a delivery; `attempt` where it runs. Arguments are texts, cut where they are long."""
    message = delivery.message
    found: dict[str, Any] = {
        "id": message.id, "name": message.task, "type": message.task, "queue": message.queue, "retries": message.retries,
        "priority": message.priority, "worker_pid": os.getpid(),
        "delivery_info": {
            "routing_key": message.queue, "priority": message.priority, "redelivered": delivery.deliveries > 1,
        },
    }  # fmt: skip
    if attempt is not None:
        found |= {"args": _text(tuple(attempt.args)), "kwargs": _text(attempt.kwargs)}
        if attempt.started_at_s:
            started_at_s = attempt.started_at_s
            found |= {"started_at": started_at_s, "time_start": started_at_s, "runtime_s": round(now_s - started_at_s, 3)}
    return found


def _text(value: Any) -> str:
    try:
        return _short.repr(value)[:_LONGEST]
    except Exception as error:  # noqa: BLE001 - of the user's own values
        return f"<{type(error).__name__} in repr>"


def lost(event: Event) -> Event:
    return Event(
        EventKind.TASK_LOST, event.at_s, event.worker, event.task_id, event.task, event.queue, event.retries,
        event.runtime_s, "its lease had ended or it was recovered; this outcome was dropped",
    )  # fmt: skip


def released(delivery: Delivery) -> Event:
    message = delivery.message
    return Event(EventKind.TASK_RELEASED, time.time(), "", message.id, message.task, message.queue, message.retries)
