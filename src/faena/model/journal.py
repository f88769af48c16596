"""What a long task remembers of its finished steps, and what it waits for."""

from __future__ import annotations

from msgspec import Struct

from faena.model.message import Message

TO_GO_ON_S = 7 * 86400.0
"""What a task remembers is kept for so long at least once it was woken: it may have waited for longer than that is kept."""


class Entry(Struct, frozen=True, gc=False, array_like=True):
    """One thing remembered under a name: of a task, or (an event) of all. `value` is encoded by the codec `content`."""

    name: str
    value: bytes | None = None
    content: str = "json"
    at_s: float = 0.0


class Parked(Struct, frozen=True, gc=False):
    """A task that waits for an event, and holds nothing meanwhile: its message lies in the backend.

    `due_at_s`: it runs again then in any case, unix seconds; None: only when the event happens.
    """

    message: Message
    event: str
    due_at_s: float | None = None
