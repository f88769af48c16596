"""Queues of which those who send mind the length: taking what there is room for, and what has waited longest."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from faena.drivers.sqlite import places
from faena.drivers.sqlite.claims import new_claim
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.results import ids_json
from faena.drivers.sqlite.statements import statements_of
from faena.drivers.sqlite.steps import (
    MESSAGES,
    Claimed,
    Row,
    check_holder,
    insert,
    json_of,
    known_number,
    ripen,
)

BOUNDING = statements_of("bounding")

_ALL_ALIKE_S = 1e-9  # messages that rise so fast all count as of the highest priority


def offer(connection: Connection, rows: Sequence[Row], bounds: Mapping[str, int], whole: bool) -> list[str]:
    """Insert the messages for which there is room; return the ids of the others."""
    here = {row[0] for row in connection.execute(BOUNDING.here, (ids_json([row[3] for row in rows]),)).fetchall()}
    left: dict[str, int] = {}
    taken: list[Row] = []
    refused: list[str] = []
    for row in rows:
        queue, _, due_s, task_id, _ = row
        if queue in bounds and due_s is None and task_id not in here:
            if queue not in left:
                left[queue] = bounds[queue] - _count(connection, queue, bounds[queue], len(rows))
            if left[queue] <= 0:
                refused.append(task_id)
                continue
            left[queue] -= 1
            here.add(task_id)
        taken.append(row)
    if taken and not (whole and refused):
        insert(connection, taken)
    return refused


def take_oldest(connection: Connection, holder: int, queue: str, limit: int) -> Claimed:
    """Claim what has waited longest."""
    check_holder(connection, holder)
    claim, now_s = new_claim(holder), time.time()
    number = known_number(connection, queue)
    if number is None:
        return Claimed(claim, [], [])
    ripen(connection, number, now_s)
    from faena.drivers.sqlite.rising import claim_in_order, ripest  # which only queues that spill need

    rows = claim_in_order(connection, claim, ripest(connection, number, limit, _ALL_ALIKE_S, now_s))
    if rows:
        connection.execute(MESSAGES.note_claim, (claim, json_of([row[0] for row in rows]).decode()))
    return Claimed(claim, [(queue, rows)] if rows else [], [])


def _count(connection: Connection, queue: str, bound: int, wanted: int) -> int:
    """Count what waits: exactly where there might be no room, for that looks at every row."""
    number = known_number(connection, queue)
    if number is None:
        return 0
    roughly = connection.execute(BOUNDING.due, (number, time.time())).fetchone()[0]
    for rank in range(places.DELAYED):
        first, last = connection.execute(BOUNDING.ends, places.region(number, rank)).fetchone()
        if first is not None:
            roughly += last - first + 1
    if roughly + wanted <= bound:
        return int(roughly)
    ripen(connection, number, time.time())
    return int(connection.execute(BOUNDING.waiting, (places.region(number, 0)[0], places.limited(number)[1])).fetchone()[0])
