"""Drive a coroutine that never suspends, so that one adapter serves synchronous and asynchronous callers."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of a blocking adapter to its end and return what it returns.

    Raises RuntimeError where it suspends: that adapter was opened for an event loop.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("an adapter opened with io='blocking' suspended; this is a defect of the adapter")
