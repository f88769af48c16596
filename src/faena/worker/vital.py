"""Tasks that a worker cannot do without: one that ends by itself ends what it belongs to, and never without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def vital(work: Coroutine[Any, Any, None]) -> None:
    """Run `work`. A cancellation that nobody has asked for becomes an error, which a group of tasks does not pass over.

    Libraries cancel futures that others wait for, when a connection goes.
    """
    try:
        await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError(f"{getattr(work, '__qualname__', work)} was cancelled, and nobody has asked for it") from error
