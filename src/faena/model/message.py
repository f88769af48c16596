"""What travels: the message, and the priority it has."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

LOWEST_PRIORITY, DEFAULT_PRIORITY, HIGHEST_PRIORITY = 0, 4, 9
"""A higher number runs first, as in AMQP. The default is 4, the last of AMQP's "normal" priorities, so that a task can
be made less urgent than one that says nothing."""


class Link(Struct, frozen=True, gc=False, array_like=True):
    """A task to send when another one has ended: a signature, made ready to travel.

    `body` holds the encoded [args, kwargs]; unless `immutable`, the result (or, for an error link, the failed task's id)
    is put before the arguments. `options` are those of `apply_async`.
    """

    task: str
    body: bytes
    content: str
    immutable: bool = False
    options: dict[str, Any] | None = None


class Member(Struct, frozen=True, gc=False, array_like=True):
    """Which node of which workflow a message runs. The workflow itself stays in the backend (law 5)."""

    workflow: str
    node: int
    run: int = 0  # how often the node was begun anew; what an earlier run reports is not taken
    feeds: bool = False  # other nodes take its value, so that it is kept also where the result is ignored
    is_grouped: bool = False  # it leads to a group, to which more members can be added


class Until(StrEnum):
    """How long a task has the key that it claims."""

    START = "start"  # until it is handed to a worker
    END = "end"  # until it has ended for good, retries included
    WINDOW = "window"  # until a moment


class Claim(Struct, frozen=True, gc=False, array_like=True):
    """A key that no other task may have at the same time; see `faena.model.claim`."""

    key: str
    until: Until
    expires_at_s: float  # it counts for nothing from then on: the end of a window, else the last resort


class PastAttempt(Struct, frozen=True, gc=False, array_like=True):
    """An attempt that has failed. `worker` is the name of who ran it."""

    at_s: float
    worker: str
    error: str
    fingerprint: str = ""
    traceback: str = ""


class Message(Struct, frozen=True, gc=False, array_like=True):
    """One call of a task, on its way. Encoded as a MessagePack array: fields are only ever appended, with a default.

    Moments are unix seconds (UTC), durations seconds.
    """

    id: str
    task: str
    queue: str
    body: bytes  # [args, kwargs], encoded by the codec `content`; opaque to brokers
    content: str = "json"
    priority: int = DEFAULT_PRIORITY
    sent_at_s: float = 0.0
    due_at_s: float | None = None
    expires_at_s: float | None = None
    retries: int = 0
    root_id: str | None = None  # None: this task is the root
    parent_id: str | None = None
    soft_time_limit_s: float | None = None
    time_limit_s: float | None = None
    ignore_result: bool | None = None  # None: as the task says
    headers: dict[str, Any] | None = None
    on_success: tuple[Link, ...] = ()
    on_failure: tuple[Link, ...] = ()
    origin: str = ""  # who sent it, as pid@host; for people
    result_expires_s: float | None = None  # None: as the worker's settings say
    member: Member | None = None
    claim: Claim | None = None
    lane: str | None = None  # where it waits under limits, see `faena.model.limit`; None: under none
    history: tuple[PastAttempt, ...] = ()  # attempts that have failed, the last ones; see `faena.model.history`
