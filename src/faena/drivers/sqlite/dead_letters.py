"""Dead letters, as steps within the transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.results import ids_json
from faena.drivers.sqlite.statements import statements_of
from faena.drivers.sqlite.steps import insert_one, message_in, rank_of, row_of
from faena.model.delivery import DeadLetter, DeadReason
from faena.model.message import Message

_DEAD = statements_of("dead")


def listed(connection: Connection, queue: str | None, limit: int, offset: int) -> list[DeadLetter]:
    statement = _DEAD.list if queue is None else _DEAD.list_queue
    return [_letter(row) for row in connection.execute(statement, (queue, limit, offset)).fetchall()]


def find(connection: Connection, task_id: str) -> DeadLetter | None:
    row = connection.execute(_DEAD.find, (task_id,)).fetchone()
    return None if row is None else _letter(row)


def requeue(
    connection: Connection,
    queue: str | None,
    ids: Sequence[str] | None,
    reason: DeadReason | None,
    now_s: float,
) -> list[str]:
    """Return the queue of each letter that went back; one whose id is in a queue meanwhile stays dead."""
    wanted = (queue, None if reason is None else str(reason), None if ids is None else ids_json(ids))
    back: list[str] = []
    for key, task_id, name, body in connection.execute(_DEAD.fitting, wanted).fetchall():
        message = message_in(body)
        if message is None:
            continue
        due_s = message.due_at_s if message.due_at_s is not None and message.due_at_s > now_s else None
        if insert_one(connection, (name, rank_of(message), due_s, task_id, body)) == 1:
            connection.execute(_DEAD.remove, (key,))
            back.append(name)
    return back


def replace(connection: Connection, task_id: str, message: Message, largest_bytes: int) -> bool:
    queue, _, _, _, body = row_of(message, largest_bytes)
    return connection.execute(_DEAD.replace, (queue, body, task_id)).rowcount == 1


def purge(connection: Connection, queue: str | None, ids: Sequence[str] | None, before_s: float | None) -> int:
    return connection.execute(_DEAD.purge, (queue, None if ids is None else ids_json(ids), before_s)).rowcount


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    key, queue, reason, detail, buried_at_s, deliveries, crashes, body = row
    message = message_in(body)
    return DeadLetter(
        key, queue, DeadReason(reason), detail, buried_at_s, deliveries, crashes, message, b"" if message else body
    )
