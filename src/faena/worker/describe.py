"""What remote control is told of a task in hand, in Celery's words and in ours."""

from __future__ import annotations

import os
import reprlib
import time
from typing import Any

from faena.engine.attempt import Attempt
from faena.model.delivery import Delivery
from faena.model.event import Event, EventKind
from faena.model.message import Message

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_LONGEST = 300


def described(delivery: Delivery) -> dict[str, Any]:
    """Return what is known of a delivery that has not begun."""
    return _of_message(delivery.message, delivery.deliveries)


def described_runs(attempt: Attempt, now_s: float) -> list[dict[str, Any]]:
    """Return what is known of what runs: it, or each call of a batch. Arguments are texts, cut where they are long."""
    if attempt.calls is None:
        delivery = attempt.delivery
        found: list[tuple[dict[str, Any], Any, Any]] = [
            (_of_message(delivery.message, delivery.deliveries), attempt.args, attempt.kwargs)
        ]
    else:
        found = [
            (_of_message(call.request.message, call.request.deliveries), call.args, call.kwargs)
            for call in attempt.calls
            if call.request.message is not None
        ]
    for each, args, kwargs in found:
        each |= {"args": _text(tuple(args)), "kwargs": _text(kwargs)}
        if attempt.started_at_s:
            started_at_s = attempt.started_at_s
            each |= {"started_at": started_at_s, "time_start": started_at_s, "runtime_s": round(now_s - started_at_s, 3)}
    return [each for each, _, _ in found]


def messages_of(attempt: Attempt) -> list[Message]:
    """Return the message of what runs, or those of a batch."""
    if attempt.calls is None:
        return [attempt.delivery.message]
    return [call.request.message for call in attempt.calls if call.request.message is not None]


def _of_message(message: Message, deliveries: int) -> dict[str, Any]:
    return {
        "id": message.id, "name": message.task, "type": message.task, "queue": message.queue, "retries": message.retries,
        "priority": message.priority, "worker_pid": os.getpid(),
        "delivery_info": {"routing_key": message.queue, "priority": message.priority, "redelivered": deliveries > 1},
    }  # fmt: skip


def _text(value: Any) -> str:
    try:
        return _short.repr(value)[:_LONGEST]
    except Exception as error:  # noqa: BLE001 - of the user's own values
        return f"<{type(error).__name__} in repr>"


def lost(event: Event) -> Event:
    """Return what to tell of an end that was not ours to settle. What has not run here is with others, as was meant."""
    if event.kind is EventKind.TASK_RELEASED:
        return event
    return Event(
        EventKind.TASK_LOST, event.at_s, event.worker, event.task_id, event.task, event.queue, event.retries,
        event.runtime_s, "its lease had ended or it was recovered; this outcome was dropped",
    )  # fmt: skip


def released(delivery: Delivery) -> Event:
    message = delivery.message
    return Event(EventKind.TASK_RELEASED, time.time(), "", message.id, message.task, message.queue, message.retries)
