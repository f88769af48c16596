"""What surrounds a task while it runs: its started commands, its deadline, whether it may read the keyboard.

Held in a context variable, so that module-level `run` and threads of a parallel run find the task they belong to.
"""

from __future__ import annotations

from _contextvars import ContextVar  # the C module: `contextvars` only renames it

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from faena.runner.commands import Promise


class Scope:
    """One running task."""

    __slots__ = (
        "config",
        "deadline_s",
        "has_keyboard",
        "is_cancelled",
        "name",
        "processes",
        "promises",
        "sink",
        "timeout_s",
    )

    def __init__(
        self,
        name: str,
        config: Any,
        *,
        has_keyboard: bool = True,
        deadline_s: float | None = None,
        timeout_s: float | None = None,
        sink: Any = None,
    ) -> None:
        self.name = name
        self.config = config
        self.has_keyboard = has_keyboard
        self.deadline_s = deadline_s  # on the monotonic clock
        self.timeout_s = timeout_s
        self.promises: list[Promise] = []
        self.processes: dict[int, Any] = {}
        self.is_cancelled = False
        self.sink = sink


CURRENT: ContextVar[Scope | None] = ContextVar("faena_runner_scope", default=None)
