"""Limits at run time: `app.limits`. They stand in the broker, so that a change is in force for all, at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.app.links import Link, Links
from faena.broker import Limits
from faena.errors import FaenaError, NotSupported
from faena.model.control import Command
from faena.model.limit import Change, LimitStatus, Obstacle, Terms, parse_rate, plain
from faena.tasks.flow import QUEUE, SHARED, TASK

_COMMAND_KEPT_S = 60.0


def family_for(name: str) -> str:
    """Return the name of a family of limits; a name without a kind is that of a task."""
    return plain(name if name.startswith((TASK, QUEUE, SHARED)) else f"{TASK}{name}")


class AppLimits:
    """Looks at the limits of an app, and changes them. A name is that of a task, `queue:NAME`, or `limit:NAME`."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def list(self) -> Sequence[LimitStatus]:
        """Return every limit that is declared or set, with what runs and what waits under it."""
        return run(_limits(self._links.blocking()).list())

    async def alist(self) -> Sequence[LimitStatus]:
        """Do as `list`, without blocking the event loop."""
        return await _limits(await self._links.asyncio()).list()

    def set(
        self,
        name: str,
        *,
        rate: str | float | UnsetType | None = UNSET,
        concurrency: int | UnsetType | None = UNSET,
        paused: bool | UnsetType = UNSET,
    ) -> Terms:
        """Let this go before what the code says, at once and for all workers; None: no limit. Returns what is in force.

        Raises FaenaError: such a rate or concurrency there is not.
        """
        return run(_set(self._links.blocking(), name, _change(rate, concurrency, paused)))

    async def aset(
        self,
        name: str,
        *,
        rate: str | float | UnsetType | None = UNSET,
        concurrency: int | UnsetType | None = UNSET,
        paused: bool | UnsetType = UNSET,
    ) -> Terms:
        """Do as `set`, without blocking the event loop."""
        return await _set(await self._links.asyncio(), name, _change(rate, concurrency, paused))

    def reset(self, name: str) -> Terms:
        """Let what the code says be in force again."""
        return run(_set(self._links.blocking(), name, None))

    async def areset(self, name: str) -> Terms:
        """Do as `reset`, without blocking the event loop."""
        return await _set(await self._links.asyncio(), name, None)

    def pause(self, name: str) -> Terms:
        """Let nothing more of a task begin, anywhere, until `resume`; what runs goes on, and sending too."""
        return self.set(name, paused=True)

    async def apause(self, name: str) -> Terms:
        """Do as `pause`, without blocking the event loop."""
        return await self.aset(name, paused=True)

    def resume(self, name: str) -> Terms:
        return self.set(name, paused=False)

    async def aresume(self, name: str) -> Terms:
        """Do as `resume`, without blocking the event loop."""
        return await self.aset(name, paused=False)

    def obstacles(self, task_id: str) -> Sequence[Obstacle] | None:
        """Return what keeps a task from beginning; empty: only those before it; None: it waits under no limit."""
        return run(_limits(self._links.blocking()).obstacles([task_id]))[0]

    async def aobstacles(self, task_id: str) -> Sequence[Obstacle] | None:
        """Do as `obstacles`, without blocking the event loop."""
        return (await _limits(await self._links.asyncio()).obstacles([task_id]))[0]


def _change(rate: Any, concurrency: Any, paused: Any) -> Change:
    if rate is not UNSET:
        try:
            rate = parse_rate(rate)
        except ValueError as error:
            raise FaenaError(str(error)) from None
    if concurrency is not UNSET and concurrency is not None and (type(concurrency) is not int or concurrency < 1):
        raise FaenaError(f"a concurrency is a number from 1, not {concurrency!r}; to let nothing begin, pause it")
    return Change(rate, concurrency, paused)


async def _set(link: Link, name: str, change: Change | None) -> Terms:
    terms = await _limits(link).change(family_for(name), change)
    now_s = time.time()
    # workers bring under it what was sent without
    await link.backend.mailbox.send(Command(new_id(), "limits", {}, (), now_s, now_s + _COMMAND_KEPT_S))
    return terms


def _limits(link: Link) -> Limits:
    if not link.broker.capabilities.limits:
        raise NotSupported("a limit", "this broker", "it hands out what it has in its own order")
    return link.broker.limits
