"""Names for shapes that have no behaviour of their own."""

from __future__ import annotations

from typing import Literal, TypeAlias

Io: TypeAlias = Literal["blocking", "asyncio"]
"""How an adapter waits.

`blocking`: its coroutines never suspend (they block the thread), so that a synchronous caller can drive them with
`faena._lib.drive.run`. `asyncio`: they suspend, and never block the running event loop.
"""
