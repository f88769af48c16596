"""How an attempt ended."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct


class Succeeded(Struct, frozen=True, gc=False):
    value: Any


class Failed(Struct, frozen=True):
    """For good: no retry follows."""

    error: BaseException


class Retried(Struct, frozen=True):
    """To run again at `due_at_s`, or at once; what is given replaces what the message has."""

    error: BaseException | None
    due_at_s: float | None
    args: tuple[Any, ...] | None = None
    kwargs: dict[str, Any] | None = None
    queue: str | None = None
    priority: int | None = None


class Rejected(Struct, frozen=True):
    reason: str
    requeue: bool


class Ignored(Struct, frozen=True):
    """Nothing is recorded."""


class Revoked(Struct, frozen=True):
    """Not to run, or stopped on request. `reason` completes "the task ..."."""

    reason: str


class Replaced(Struct, frozen=True):
    """Another signature runs in its place."""

    signature: Any


class Suspended(Struct, frozen=True):
    """To run again at `due_at_s`, or when `event` happens; this attempt was neither a failure nor the end."""

    due_at_s: float | None
    event: str | None = None


class Interrupted(Struct, frozen=True):
    """The worker stops: the message goes back as if it had never been handed out."""


Outcome: TypeAlias = Succeeded | Failed | Retried | Rejected | Ignored | Revoked | Replaced | Suspended | Interrupted
