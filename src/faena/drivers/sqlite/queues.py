"""Looking at queues, as steps within the transaction of the caller."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from faena.drivers.sqlite.results import ids_json
from faena.drivers.sqlite.steps import MESSAGES, QUEUES, message_in
from faena.model.delivery import Place, QueueStatus
from faena.model.message import HIGHEST_PRIORITY, Message


def declare(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    connection.executemany(QUEUES.declare, [(name,) for name in names])


def locate(connection: sqlite3.Connection, ids: Sequence[str]) -> list[Place | None]:
    now_s = time.time()
    wanted = (ids_json(ids),)
    places = {row[0]: Place.DEAD for row in connection.execute(MESSAGES.locate_dead, wanted).fetchall()}
    for task_id, is_held, due_s in connection.execute(MESSAGES.locate, wanted).fetchall():
        is_delayed = due_s is not None and due_s > now_s
        places[task_id] = Place.HELD if is_held else Place.DELAYED if is_delayed else Place.WAITING
    return [places.get(task_id) for task_id in ids]


def status(connection: sqlite3.Connection) -> list[QueueStatus]:
    now_s = time.time()
    paused = dict(connection.execute(QUEUES.all).fetchall())
    ready = dict(connection.execute(QUEUES.ready).fetchall())
    delayed = {row[0]: row[1:] for row in connection.execute(QUEUES.delayed, (now_s,)).fetchall()}
    held = dict(connection.execute(QUEUES.held).fetchall())
    dead = dict(connection.execute(QUEUES.dead).fetchall())
    found = []
    for name in sorted({*paused, *ready, *delayed, *held, *dead}):
        ripe, unripe, first_due_s = delayed.get(name, (0, 0, None))
        found.append(
            QueueStatus(
                name=name,
                waiting=ready.get(name, 0) + ripe,
                delayed=unripe,
                held=held.get(name, 0),
                dead=dead.get(name, 0),
                paused=bool(paused.get(name, 0)),
                oldest_waiting_at_s=_oldest(connection, name, first_due_s if ripe else None),
            )
        )
    return found


def _oldest(connection: sqlite3.Connection, queue: str, first_due_s: float | None) -> float | None:
    """Return since when the first message of any priority has been waiting."""
    moments = [] if first_due_s is None else [first_due_s]
    for rank in range(HIGHEST_PRIORITY + 1):
        row = connection.execute(QUEUES.first_of_rank, (queue, rank)).fetchone()
        message = message_in(row[0]) if row else None
        if message is not None:
            moments.append(max(message.sent_at_s, message.due_at_s or 0.0))
    return min(moments, default=None)


def browse(connection: sqlite3.Connection, queue: str, limit: int, offset: int) -> list[tuple[Place, Message]]:
    rows = connection.execute(QUEUES.browse, (queue, time.time(), limit, offset)).fetchall()
    return [
        (Place.WAITING if due_s is None else Place.DELAYED, message)
        for due_s, body in rows
        if (message := message_in(body)) is not None
    ]
