"""One deadline for everything that a call sets off, down to the driver of the broker."""

from __future__ import annotations

import time
from contextvars import ContextVar, Token

_until_s: ContextVar[float | None] = ContextVar("faena_deadline", default=None)


class deadline:  # noqa: N801 - used as `with deadline(...)`; as a generator it would cost every call 2 us
    """Let nothing within wait past `until_s`, on the monotonic clock."""

    __slots__ = ("_token", "_until_s")

    def __init__(self, until_s: float) -> None:
        self._until_s = until_s

    def __enter__(self) -> None:
        self._token: Token[float | None] = _until_s.set(self._until_s)

    def __exit__(self, *_: object) -> None:
        _until_s.reset(self._token)


def deadline_in(timeout_s: float) -> float:
    """Return when something that takes `timeout_s` at most must have ended: sooner, where a deadline is set."""
    own_s, until_s = time.monotonic() + timeout_s, _until_s.get()
    return own_s if until_s is None or until_s > own_s else until_s
