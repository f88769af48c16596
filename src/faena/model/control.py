"""What workers and those who watch over them say to one another. It travels through the backend (law of the parts)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Command(Struct, frozen=True, array_like=True):
    """Something asked of workers. `to` names workers; empty means all."""

    id: str
    name: str
    arguments: dict[str, Any]
    to: tuple[str, ...] = ()
    sent_at_s: float = 0.0
    expires_at_s: float = 0.0


class Reply(Struct, frozen=True, array_like=True):
    """What one worker answered: `value`, or the text of an `error`."""

    command_id: str
    worker: str
    value: Any = None
    error: str | None = None


class WorkerInfo(Struct, frozen=True, array_like=True):
    """Presence of one worker (a supervisor with its processes)."""

    name: str
    host: str
    pid: int
    started_at_s: float
    seen_at_s: float
    queues: tuple[str, ...] = ()
    concurrency: int = 0
    version: str = ""
    stats: dict[str, Any] | None = None


class Revocation(Struct, frozen=True, array_like=True):
    """A task that must not run (again). Kept until `expires_at_s`, so that a worker started later obeys, too."""

    task_id: str
    terminate: bool = False
    signal: str = ""  # "" asks the task first; a name such as SIGKILL goes to its process at once
    revoked_at_s: float = 0.0
    expires_at_s: float = 0.0
