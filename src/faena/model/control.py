"""What workers and those who watch over them say to one another. It travels through the backend (law of the parts)."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from faena.model.message import Message

QUESTIONS = (
    "ping", "active", "reserved", "scheduled", "registered", "stats", "conf", "active_queues", "query_task", "explain",
    "commands",
)  # fmt: skip
RESERVED = (
    *QUESTIONS, "shutdown", "restart", "revoke", "unrevoke", "pool_grow", "pool_shrink", "add_consumer", "cancel_consumer",
    "order", "withdraw", "autoscale", "limits", "enable_events", "disable_events",
)  # fmt: skip
"""The commands that every worker knows; an app cannot declare others of these names."""


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


class OrderKind(StrEnum):
    """What can be ordered of all workers."""

    REVOKE = "revoke"  # a RevokeRule, by its text
    TIME_LIMIT = "time-limit"  # TimeLimits, by the name of the task
    BREAKER = "breaker"  # a Standing of faena.model.breaker, by the name of the task
    PAUSE = "pause"  # nothing is taken from a queue, by its name: where the broker itself cannot pause


class Order(Struct, frozen=True, array_like=True):
    """What was ordered of all workers and stands, also for one that is started later: until it is over or withdrawn."""

    kind: str  # an OrderKind; one of a newer version is passed over
    name: str  # one order of each kind and name stands
    value: dict[str, Any]  # the fields of what the kind says
    given_at_s: float = 0.0
    expires_at_s: float | None = None  # None: until it is withdrawn


class RevokeRule(Struct, frozen=True, omit_defaults=True):
    """Tasks that must not run, by what they are. Everything that is given has to fit; names may hold *, ? and [...]."""

    task: str = ""
    queue: str = ""
    headers: dict[str, Any] = {}  # each is equal, or is one of the values of a list
    sent_before_s: float | None = None
    terminate: bool = False
    signal: str = ""

    def matches(self, message: Message) -> bool:
        if self.sent_before_s is not None and message.sent_at_s >= self.sent_before_s:
            return False
        if self.task and not fnmatchcase(message.task, self.task):
            return False
        if self.queue and not fnmatchcase(message.queue, self.queue):
            return False
        given = message.headers or {}
        return all(name in given and _fits(given[name], wanted) for name, wanted in self.headers.items())

    def text(self) -> str:
        """Say which tasks are meant; the same rule says the same."""
        words = [f"task {self.task}" if self.task else "any task"]
        words += [f"in queue {self.queue}"] if self.queue else []
        for name, value in sorted(self.headers.items()):
            values = value if isinstance(value, list | tuple) else [value]
            words.append(f"with header {name}={','.join(map(str, values))}")
        if self.sent_before_s is not None:
            words.append(f"sent before {datetime.fromtimestamp(self.sent_before_s, UTC).isoformat(' ', 'milliseconds')}")
        return " ".join(words)


class TimeLimits(Struct, frozen=True):
    """Limits of the runs of one task, in seconds. None: as it was declared; 0: none."""

    soft_s: float | None = None
    hard_s: float | None = None


def _fits(given: Any, wanted: Any) -> bool:
    """Whether one of what is given is one of what is wanted; texts and numbers that look the same are the same."""
    given_all = given if isinstance(given, list | tuple) else [given]
    wanted_all = wanted if isinstance(wanted, list | tuple) else [wanted]
    return not {str(each) for each in given_all}.isdisjoint({str(each) for each in wanted_all})
