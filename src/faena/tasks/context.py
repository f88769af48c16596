"""The request: what a running task knows of its own call. Kept in a context variable, so that it is right in threads and
coroutines alike."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from faena.model.message import Message

if TYPE_CHECKING:
    from faena.tasks.canvas import Canvas


class Request(Struct, eq=False):
    """`self.request` of a bound task; outside of a run, one that says so (`called_directly`)."""

    message: Message | None = None
    args: Any = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    hostname: str = ""
    deliveries: int = 1
    is_eager: bool = False
    started_at_s: float = 0.0
    children: list[str] = field(default_factory=list)
    durable: Any = None  # what it remembers of its finished steps, once it asks for that
    added: list[Canvas[Any]] = field(default_factory=list)  # to the group that it belongs to

    @property
    def called_directly(self) -> bool:
        return self.message is None

    @property
    def id(self) -> str | None:
        return self.message.id if self.message else None

    @property
    def task(self) -> str | None:
        return self.message.task if self.message else None

    @property
    def retries(self) -> int:
        return self.message.retries if self.message else 0

    @property
    def root_id(self) -> str | None:
        return (self.message.root_id or self.message.id) if self.message else None

    @property
    def parent_id(self) -> str | None:
        return self.message.parent_id if self.message else None

    @property
    def workflow_id(self) -> str | None:
        """The workflow that this task is a node of."""
        return self.message.member.workflow if self.message and self.message.member else None

    @property
    def headers(self) -> dict[str, Any]:
        return (self.message.headers if self.message else None) or {}

    @property
    def queue(self) -> str | None:
        return self.message.queue if self.message else None

    @property
    def eta_s(self) -> float | None:
        """The moment before which the task was not to run; unix seconds."""
        return self.message.due_at_s if self.message else None

    @property
    def expires_s(self) -> float | None:
        """The moment after which the task is not to run; unix seconds."""
        return self.message.expires_at_s if self.message else None

    @property
    def origin(self) -> str:
        return self.message.origin if self.message else ""

    @property
    def timelimit(self) -> tuple[float | None, float | None]:
        """The hard and the soft limit of this call in seconds, in Celery's order."""
        message = self.message
        return (message.time_limit_s, message.soft_time_limit_s) if message else (None, None)

    @property
    def delivery_info(self) -> dict[str, Any]:
        message = self.message
        if message is None:
            return {}
        return {
            "routing_key": message.queue,
            "priority": message.priority,
            "redelivered": self.deliveries > 1,
            "is_eager": self.is_eager,
        }

    @property
    def correlation_id(self) -> str | None:
        return self.id

    def __repr__(self) -> str:
        return f"<Request: {self.task or 'called directly'} {self.id or ''}>"


current_request: ContextVar[Request | None] = ContextVar("faena_request", default=None)
