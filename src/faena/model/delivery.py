"""A message in hand, and the ways to let go of it.

A delivery is a value; the consumer settles it (law 1). Errors, crashes and interruptions are counted apart (law 9):
errors are the message's `retries`, crashes stand in the delivery, interruptions are not counted at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import Struct

from faena.model.inputs import Input
from faena.model.message import Message
from faena.model.result import ResultRecord


class VerdictKind(StrEnum):
    CRASHED = "crashed"  # the process died while it ran the task
    TIME_LIMIT = "time-limit"  # the supervisor killed the process: the hard limit had passed
    TERMINATED = "terminated"  # the supervisor killed the process: the task was revoked
    BEGUN = "begun"  # it was to run once at most, and nobody has said how it ended; noted by who began it


class Verdict(Struct, frozen=True, gc=False, array_like=True):
    """Why a process was not able to settle a delivery itself; written by its supervisor, but for BEGUN."""

    kind: VerdictKind
    detail: str = ""  # such as "killed by SIGSEGV" or "exit code 3"
    suspects: int = 1  # how many tasks ran in the process when it died


class Delivery(Struct, frozen=True, gc=False):
    """A message under our lease. `grip` is the broker's own handle on it."""

    message: Message
    grip: Any
    deliveries: int = 1  # how often it was handed out, this time included
    crashes: int = 0
    verdict: Verdict | None = None  # the last one, where its last holder did not settle it
    redelivered_at_s: float | None = None
    input: Input | None = None  # what a node of a workflow is given of those before it, once it was read
    source: str = ""  # where an app has several brokers: the name of the one that it came from
    ended: ResultRecord | None = None  # how it ended when it was handed out before: what is left is to let go of it


class Malformed(Struct, frozen=True):
    """What lay in the queue and is no message. It can only be buried."""

    grip: Any
    queue: str
    raw: bytes
    reason: str
    source: str = ""  # as of a delivery


def counts_of(batch: Iterable[Delivery | Malformed]) -> Counter[str]:
    """Return how many came of each queue."""
    return Counter([item.message.queue if isinstance(item, Delivery) else item.queue for item in batch])


class DeadReason(StrEnum):
    FAILED = "failed"
    CRASHED = "crashed"
    REJECTED = "rejected"
    UNKNOWN_TASK = "unknown-task"
    MALFORMED = "malformed"


class Ack(Struct, frozen=True, gc=False):
    """Done with: remove it."""

    delivery: Delivery


class Release(Struct, frozen=True, gc=False):
    """Put it back: at its old place, or to be due at `message.due_at_s` where a changed `message` replaces it."""

    delivery: Delivery
    message: Message | None = None


class Bury(Struct, frozen=True, gc=False):
    """Move it into the dead letters of its queue."""

    delivery: Delivery | Malformed
    reason: DeadReason
    detail: str = ""
    message: Message | None = None  # what is kept in its place: the same, with the history of its attempts


BEGUN = Verdict(VerdictKind.BEGUN)

Settlement: TypeAlias = Ack | Release | Bury


class DeadLetter(Struct, frozen=True):
    """A message that nobody will run unless somebody asks for it."""

    key: int | str  # the adapter's own name for it; everybody else names it by its task's id
    queue: str
    reason: DeadReason
    detail: str
    buried_at_s: float
    deliveries: int
    crashes: int
    message: Message | None  # None: malformed, see `raw`
    raw: bytes = b""
    broker: str = ""  # its name, where there are several


class QueueStatus(Struct, frozen=True):
    """Numbers of one queue at one moment."""

    name: str
    waiting: int  # ready to run
    delayed: int | None  # not due yet; None: the broker cannot tell
    held: int | None  # under the lease of a worker; None: the broker cannot tell
    dead: int
    paused: bool
    oldest_waiting_at_s: float | None = None
    is_exact: bool = True  # False: the broker counts roughly
    limited: int = 0  # wait in lanes, for what their limits allow
    broker: str = ""  # its name, where there are several


class Place(StrEnum):
    """Where a message is."""

    WAITING = "waiting"
    DELAYED = "delayed"
    LIMITED = "limited"  # waits in its lane for what its limits allow
    HELD = "held"
    DEAD = "dead"


class Found(Struct, frozen=True):
    """A message, wherever it is in a broker."""

    place: Place
    message: Message | None  # None: malformed
    deliveries: int = 0  # how often it was handed out
    crashes: int = 0
    ahead: int | None = None  # of one that waits: how many of its queue come before it; None: not counted
    owner: str = ""  # of one that is held: who holds it, for people; "": not known
    lease_ends_at_s: float | None = None
