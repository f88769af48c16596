"""What a task has claimed, so that nobody sends the same thing twice. Pure.

A claim is a key and the task that has it. While it stands, another call with that key is a duplicate. It is released in the
step that ends the task. What else can end a task (it is cancelled, its queue is purged, a client dies in the middle of
sending it) releases nothing: a claim counts only while its task is there, so whoever comes next takes it over.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from faena.model.delivery import Delivery, Release, Settlement
from faena.model.message import Claim, Message, Until
from faena.model.result import ResultRecord, State

KEPT_S = 30 * 86400.0
"""How long a claim can stand at most after its task was due, where nobody sees that the task is gone: the last resort."""


class OnConflict(StrEnum):
    """What becomes of a call whose key another task has."""

    RETURN = "return"  # nothing is sent; the handle is that of the task that was there before
    REPLACE = "replace"  # it takes the place of one that has not begun, under the id of that
    ERROR = "error"  # DuplicateCall is raised


class Rule(Struct, frozen=True):
    """What a call claims, and what becomes of it when that is taken."""

    until: Until
    key: Any = None
    on_conflict: OnConflict = OnConflict.RETURN
    window_s: float | None = None  # of a claim for a time
    wait_s: float | None = None  # of a debounced call
    max_wait_s: float | None = None
    count: int = 1  # so many tasks may have the key at a time: each has one of as many keys

    def claim(self, key: str, now_s: float, due_at_s: float | None) -> Claim:
        if self.window_s is not None:
            return Claim(key, self.until, now_s + self.window_s)
        return Claim(key, self.until, max(now_s, due_at_s or 0.0) + KEPT_S)


class Claimant(Struct, frozen=True, gc=False, array_like=True):
    """The task that has a key."""

    task_id: str
    until: Until
    since_s: float  # when the key was taken; those that replace one another have it since the first
    taken_at_s: float
    is_published: bool  # False: whoever took it has not said yet that the message is with the broker
    is_waiting: bool | None = None  # in the broker, and nobody runs it; None: the broker is another store, ask it
    is_parked: bool = False  # it has begun, and waits in the backend


def released_by(settlement: Settlement, result: ResultRecord | None, *, is_parked: bool) -> tuple[Message, ...]:
    """Return the message whose claim is over with this settlement, if there is one.

    A window lasts for its time, whatever becomes of the task, unless it was revoked.
    """
    if type(settlement) is Release or is_parked:
        return ()
    delivery = settlement.delivery
    if type(delivery) is not Delivery or (claim := delivery.message.claim) is None:
        return ()
    is_revoked = result is not None and result.state == State.REVOKED
    return (delivery.message,) if claim.until is not Until.WINDOW or is_revoked else ()


def counts(claimant: Claimant, expires_at_s: float, now_s: float, *, is_here: bool, is_held: bool, is_parked: bool) -> bool:
    """Say whether a claim stands, where the messages of the broker can be seen.

    `is_here`: its message is in the broker; `is_held`: under the lease of a worker; `is_parked`: it waits for an event.
    """
    match claimant.until:
        case Until.WINDOW:
            return expires_at_s > now_s
        case Until.START:
            return is_parked or (is_here and not is_held)
        case Until.END:
            return is_parked or is_here


__all__ = ["KEPT_S", "Claim", "Claimant", "OnConflict", "Rule", "Until", "counts", "released_by"]
