"""One deadline for everything that a call sets off, down to the driver of the broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_until_s: ContextVar[float | None] = ContextVar("faena_deadline", default=None)


@contextmanager
def deadline(until_s: float) -> Iterator[None]:
    """Let nothing within wait past `until_s`, on the monotonic clock."""
    token = _until_s.set(until_s)
    try:
        yield
    finally:
        _until_s.reset(token)


def deadline_in(timeout_s: float) -> float:
    """Return when something that takes `timeout_s` at most must have ended: sooner, where a deadline is set."""
    own_s, until_s = time.monotonic() + timeout_s, _until_s.get()
    return own_s if until_s is None or until_s > own_s else until_s
