"""What came out of a task: its state, and the record that the backend keeps."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    """The states of a task, with Celery's names.

        PENDING ─▶ (RECEIVED ─▶) STARTED ─▶ PROGRESS ─▶ SUCCESS | FAILURE | REVOKED
           ▲                        │
           └──────── RETRY ◀────────┘

    A task that sleeps durably, or waits for an event, is WAITING; then it is STARTED again.
    UNKNOWN is no state of a task: nothing is known of that id. A task may also record states of its own names.
    """

    PENDING = "PENDING"
    RECEIVED = "RECEIVED"
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    RETRY = "RETRY"
    WAITING = "WAITING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"
    UNKNOWN = "UNKNOWN"


TERMINAL_STATES = frozenset({State.SUCCESS, State.FAILURE, State.REVOKED})
EXCEPTION_STATES = frozenset({State.RETRY, State.FAILURE, State.REVOKED})


class Failure(Struct, frozen=True, gc=False, array_like=True):
    """An exception, made ready to travel."""

    module: str
    type_name: str
    message: str
    args: bytes | None = None  # exception.args as encoded by the record's codec; None: they cannot travel
    traceback: str = ""


class ResultRecord(Struct, frozen=True, gc=False, array_like=True):
    """What the backend keeps of one task. Fields are only ever appended, with a default. Moments in unix seconds.

    `value` is encoded by the codec `content`: the result for SUCCESS, the meta data for PROGRESS and states of the
    user's own, None otherwise.
    """

    id: str
    task: str
    state: str  # a State, or a name of the user's own
    value: bytes | None = None
    content: str = "json"
    failure: Failure | None = None
    retries: int = 0
    started_at_s: float | None = None
    finished_at_s: float | None = None
    worker: str = ""
    root_id: str | None = None
    parent_id: str | None = None
    children: tuple[str, ...] = ()
    queue: str = ""
    expires_at_s: float | None = None  # None: kept until forgotten

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL_STATES
