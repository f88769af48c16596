"""How a task ends itself in a way of its own: raised by its verbs, or into it by the worker.

ControlSignal (BaseException)       `except Exception` must not eat it
├── Retry                           run the task again
├── Reject
├── Ignore
├── Replace                         another signature runs in its place
├── Suspend                         run the task again when a time has come, or something has happened
├── Terminated                      revoked while it ran
└── Interrupted                     the worker stops; the task will run again elsewhere
"""

from __future__ import annotations


class ControlSignal(BaseException):
    """How a task ends itself. No `Exception`, so that a user's `except Exception` cannot eat it."""


class Retry(ControlSignal):
    """Raised by `self.retry`: run the task again at `due_at_s` (unix seconds), or at once."""

    def __init__(
        self,
        message: str = "",
        *,
        exc: BaseException | None = None,
        due_at_s: float | None = None,
        args: tuple[object, ...] | None = None,
        kwargs: dict[str, object] | None = None,
        queue: str | None = None,
        priority: int | None = None,
    ) -> None:
        self.exc, self.due_at_s, self.queue, self.priority = exc, due_at_s, queue, priority
        self.new_args, self.new_kwargs = args, kwargs
        super().__init__(message or (repr(exc) if exc is not None else "retry"))


class Reject(ControlSignal):
    """Refuse the message: into the dead letters, or with `requeue=True` back into its queue."""

    def __init__(self, reason: str = "rejected by the task", *, requeue: bool = False) -> None:
        self.reason, self.requeue = reason, requeue
        super().__init__(reason)


class Ignore(ControlSignal):
    """Acknowledge without a result: the task has recorded its own state."""


class Terminated(ControlSignal):
    """Raised inside a running task that was revoked with terminate=True."""


class Interrupted(ControlSignal):
    """Raised inside a running task when the worker has to stop: the task goes back and runs again."""


class Replace(ControlSignal):
    """Raised by `self.replace`: a signature runs in the place of this task, and what comes of it is this task's result."""

    def __init__(self, signature: object) -> None:
        self.signature = signature
        super().__init__("replaced")


class Suspend(ControlSignal):
    """Raised by durable waiting: the task ends for now, and runs again at `due_at_s` (unix seconds) or after `event`."""

    def __init__(self, due_at_s: float | None, event: str | None = None) -> None:
        self.due_at_s, self.event = due_at_s, event
        super().__init__(f"waits for event '{event}'" if event else "sleeps")
