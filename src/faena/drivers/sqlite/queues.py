"""Looking at queues, as steps within the transaction of the caller."""

from __future__ import annotations

import time
from collections.abc import Sequence

from faena.drivers.sqlite import dead_letters, lanes, places
from faena.drivers.sqlite.claims import holder_of
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.lanes import LANES, Effects
from faena.drivers.sqlite.places import LIMITED
from faena.drivers.sqlite.results import ids_json
from faena.drivers.sqlite.steps import HOLDERS, MESSAGES, QUEUES, known_number, message_in
from faena.model.delivery import Found, Place, QueueStatus
from faena.model.message import HIGHEST_PRIORITY, Message

_PLACES = (Place.WAITING, Place.LIMITED, Place.DELAYED)


def declare(connection: Connection, names: Sequence[str]) -> None:
    connection.executemany(QUEUES.declare, [(name,) for name in names])


def locate(connection: Connection, ids: Sequence[str]) -> list[Place | None]:
    now_s = time.time()
    wanted = (ids_json(ids),)
    places = {row[0]: Place.DEAD for row in connection.execute(MESSAGES.locate_dead, wanted).fetchall()}
    for task_id, is_held, due_s, rank in connection.execute(MESSAGES.locate, wanted).fetchall():
        is_delayed = due_s is not None and due_s > now_s
        waits = Place.WAITING if rank != LIMITED else Place.LIMITED
        places[task_id] = Place.HELD if is_held else Place.DELAYED if is_delayed else waits
    return [places.get(task_id) for task_id in ids]


def find(connection: Connection, task_id: str) -> Found | None:
    """Return what is known of a message, wherever it is."""
    (place,) = locate(connection, [task_id])
    if place is Place.DEAD:
        letter = dead_letters.find(connection, task_id)
        return None if letter is None else Found(place, letter.message, letter.deliveries, letter.crashes)
    row = connection.execute(MESSAGES.find, (task_id,)).fetchone()
    if place is None or row is None:
        return None
    seq, claim, queue, deliveries, crashes, body = row
    message, ahead, owner, until_s = message_in(body), None, "", None
    first, last = places.ready(queue)
    if place is Place.WAITING and first <= seq <= last:
        ahead = connection.execute(MESSAGES.count_before, (first, seq - 1)).fetchone()[0]
    if claim is not None:
        owner, until_s = connection.execute(HOLDERS.find, (holder_of(claim),)).fetchone() or ("", None)
    return Found(place, message, deliveries, crashes, ahead, owner, until_s)


def status(connection: Connection) -> list[QueueStatus]:
    now_s = time.time()
    dead = dict(connection.execute(QUEUES.dead).fetchall())
    found = []
    for number, name, is_declared, is_paused in connection.execute(QUEUES.all).fetchall():
        all_of_it, held, delayed, first_due_s = connection.execute(
            QUEUES.numbers_of, (*places.whole(number), now_s)
        ).fetchone()
        if not (all_of_it or is_declared or name in dead):
            continue
        limited = connection.execute(LANES.count, places.limited(number)).fetchone()[0]
        waiting = all_of_it - held - int(delayed) - limited
        since_s = _oldest(connection, number, first_due_s) if waiting else None
        found.append(
            QueueStatus(
                name, waiting, int(delayed), held, dead.get(name, 0), bool(is_paused), since_s, limited=limited
            )
        )  # fmt: skip
    return sorted(found, key=lambda each: each.name)


def _oldest(connection: Connection, number: int, first_due_s: float | None) -> float | None:
    """Return since when the first message of any priority has been waiting."""
    moments = [] if first_due_s is None else [first_due_s]
    for rank in range(HIGHEST_PRIORITY + 1):
        row = connection.execute(QUEUES.first_ready, places.region(number, rank)).fetchone()
        message = message_in(row[0]) if row else None
        if message is not None:
            moments.append(max(message.sent_at_s, message.due_at_s or 0.0))
    return min(moments, default=None)


def browse(connection: Connection, queue: str, limit: int, offset: int) -> list[tuple[Place, Message]]:
    number = known_number(connection, queue)
    if number is None:
        return []
    wanted = (*places.ready(number), number, time.time(), limit, offset, *places.limited(number))
    return [
        (_PLACES[later], message)
        for later, body in connection.execute(QUEUES.browse, wanted).fetchall()
        if (message := message_in(body)) is not None
    ]


def purge(connection: Connection, touched: set[str], queue: str) -> int:
    number = known_number(connection, queue)
    if number is None:
        return 0
    effects = Effects(connection)
    lanes.purge(effects, number)
    touched.update(effects.names())
    return connection.execute(QUEUES.purge, places.whole(number)).rowcount
