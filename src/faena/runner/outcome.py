"""How a step of a run ended."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from faena.runner.plan import Step

    Status = Literal["done", "up to date", "restored", "skipped", "failed", "cancelled"]


LOST = "what it needs failed"  # the reason of a cancelled step that was never begun


class Outcome:
    """One step's end: its status, its value or error, how long it took, why it was skipped or had to run."""

    __slots__ = ("duration_s", "error", "reason", "status", "step", "value")

    def __init__(
        self,
        step: Step,
        status: Status,
        *,
        value: Any = None,
        error: BaseException | None = None,
        duration_s: float = 0.0,
        reason: str = "",
    ) -> None:
        self.step = step
        self.status: Status = status
        self.value = value
        self.error = error
        self.duration_s = duration_s
        self.reason = reason

    def __repr__(self) -> str:
        return f"<Outcome {self.step.name} {self.status}>"

    @property
    def is_good(self) -> bool:
        return self.status not in ("failed", "cancelled")
