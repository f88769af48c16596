"""The contract of a sink: it is told what happens, and may change nothing (law 12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from faena.model.event import Event


class Sink(Protocol):
    """Takes events in batches, in the order in which they happened in one process."""

    def emit(self, events: Sequence[Event]) -> None:
        """Must not block for long. What it raises is logged once, and the worker goes on."""
        ...

    def close(self) -> None: ...
