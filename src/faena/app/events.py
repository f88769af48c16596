"""Listen to what happens to tasks and workers, in a program."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from fnmatch import translate
from typing import TYPE_CHECKING, Self

from faena._lib.drive import run
from faena.backend import EventFeed, events_of
from faena.config.secrets import mask_text
from faena.errors import FaenaError, did_you_mean
from faena.model.event import Event, EventKind

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.app.links import Link

_LOOK_UP_S = 3600.0  # a wait without an end is made of such


def wanted_kinds(kinds: str | Sequence[str]) -> frozenset[EventKind]:
    """Return the kinds that are named, "task-failed" or short "failed". Raises FaenaError: there is no such kind."""
    names = kinds.split(",") if isinstance(kinds, str) else kinds
    found = set()
    for name in filter(None, map(str.strip, names)):
        known = [kind for kind in EventKind if name in (kind.value, kind.value.removeprefix("task-"))]
        if not known:
            guess = did_you_mean(name, list(EventKind))
            raise FaenaError(f"no event is of kind '{name}'{guess}; there are {', '.join(EventKind)}")
        found.update(known)
    return frozenset(found)


class _Filter:
    """What fits. Names may hold *, ? and [...]; what is not said fits all."""

    def __init__(self, kinds: str | Sequence[str], task: str, queue: str, worker: str) -> None:
        self._kinds = wanted_kinds(kinds)
        names = {"task": task, "queue": queue, "worker": worker}
        self._names = {of: re.compile(translate(name)).match for of, name in names.items() if name}

    def __call__(self, events: Sequence[Event]) -> list[Event]:
        """Return those that fit. Most of them are looked at for what costs little, and there may be very many."""
        found = list(events)
        if self._kinds:
            found = [event for event in found if event.kind in self._kinds]
        for of, fits in self._names.items():
            found = [event for event in found if fits(getattr(event, of))]
        return found


class EventStream:
    """What `app.events()` returns: events from then on, one after the other. Close it, or use it in a `with` block."""

    def __init__(
        self, link: Link, shown: str, chosen: Callable[[Sequence[Event]], list[Event]], timeout_s: float | None
    ) -> None:
        self._chosen, self._timeout_s = chosen, timeout_s
        self._feed: EventFeed | None = run(events_of(link.backend, shown).listen())
        self._found: deque[Event] = deque()
        self._missed = 0

    @property
    def missed(self) -> int:
        """How often some may have been missed, since this program was slow or was cut off."""
        return self._missed if self._feed is None else self._feed.missed

    def receive(self, timeout: float) -> list[Event]:
        """Return what has come, and fits; wait so many seconds for the first. Empty: nothing has."""
        found = list(self._found)
        self._found.clear()
        deadline = time.monotonic() + timeout
        while not found and self._feed is not None:
            found = self._chosen(run(self._feed.receive(max(0.0, deadline - time.monotonic()))))
            if time.monotonic() >= deadline:
                break
        return found

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while not self._found:
            found = self.receive(_LOOK_UP_S if self._timeout_s is None else self._timeout_s)
            if not found and (self._timeout_s is not None or self._feed is None):
                raise StopIteration
            self._found.extend(found)
        return self._found.popleft()

    def close(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            self._missed = feed.missed
            run(feed.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncEventStream:
    """What `app.aevents()` returns: `async with` it, and events come from then on; see `EventStream`."""

    def __init__(self, app: Faena, chosen: Callable[[Sequence[Event]], list[Event]], timeout_s: float | None) -> None:
        self._app, self._chosen, self._timeout_s = app, chosen, timeout_s
        self._feed: EventFeed | None = None
        self._is_closed = False
        self._found: deque[Event] = deque()
        self._missed = 0

    @property
    def missed(self) -> int:
        return self._missed if self._feed is None else self._feed.missed

    async def receive(self, timeout: float) -> list[Event]:
        """Do as `EventStream.receive`, without blocking the event loop."""
        found = list(self._found)
        self._found.clear()
        deadline = time.monotonic() + timeout
        while not found and (feed := await self._opened()) is not None:
            found = self._chosen(await feed.receive(max(0.0, deadline - time.monotonic())))
            if time.monotonic() >= deadline:
                break
        return found

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._found:
            found = await self.receive(_LOOK_UP_S if self._timeout_s is None else self._timeout_s)
            if not found and (self._timeout_s is not None or self._is_closed):
                raise StopAsyncIteration
            self._found.extend(found)
        return self._found.popleft()

    async def aclose(self) -> None:
        feed, self._feed, self._is_closed = self._feed, None, True
        if feed is not None:
            self._missed = feed.missed
            await feed.close()

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def _opened(self) -> EventFeed | None:
        if self._feed is None and not self._is_closed:
            link = await self._app.links.asyncio()
            self._feed = await events_of(link.backend, _shown(self._app)).listen()
        return self._feed


def listen(
    app: Faena, kinds: str | Sequence[str], task: str, queue: str, worker: str, timeout: float | None
) -> EventStream:
    return EventStream(app.links.blocking(), _shown(app), _Filter(kinds, task, queue, worker), timeout)


def alisten(
    app: Faena, kinds: str | Sequence[str], task: str, queue: str, worker: str, timeout: float | None
) -> AsyncEventStream:
    return AsyncEventStream(app, _Filter(kinds, task, queue, worker), timeout)


def _shown(app: Faena) -> str:
    return mask_text(app.links.urls()[1])
