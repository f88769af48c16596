"""The events of one process, told to whoever listens: what it takes, begins and ends.

What is taken and what has ended is noted, and made events of ten times a second, beside the work. That something began is
seen from its end, or because it runs: the tasks themselves spend nothing on it. While very many end, those that came and
went between two looks are told of by their ends alone, which say when they began; what waits or runs is always told of.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from faena.backend import Backend, events_of
from faena.config.secrets import mask_text
from faena.model.delivery import Delivery
from faena.model.event import Event, EventKind
from faena.model.message import Message
from faena.telemetry.outbox import AT_ONCE, Outbox
from faena.worker.connection import BROKEN
from faena.worker.describe import messages_of

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.worker.core import Core

_LONGEST_TRACEBACK = 4000
_TEXTS_PER_SECOND = 200
_MANY = 100  # ends between two looks
_MOST_OPEN = 100_000
_LOOK_S = 0.5  # for what has begun, should nothing end


class _Open:
    """A task that was taken and has not ended, as far as it was told of."""

    __slots__ = ("has_begun", "is_told", "message", "taken_at_s")

    def __init__(self, message: Message, taken_at_s: float) -> None:
        self.message, self.taken_at_s = message, taken_at_s
        self.is_told = self.has_begun = False


class Observed:
    """A sink that tells others. Everything but `_taken` is called in the I/O thread."""

    def __init__(self, app: Faena, hostname: str) -> None:
        self._app, self._hostname = app, hostname
        self.is_on = False
        self._core: Core | None = None
        self._backend: Backend | None = None
        self._taken_batches: deque[tuple[float, Sequence[Delivery]]] = deque()
        self._ends: list[Event] = []
        self._open: dict[tuple[str, int], _Open] = {}  # by id and retries: one may come again before its end is told
        self._has_asked = False
        self._outbox = Outbox(self._collect, self._publish, _LOOK_S)
        self._sending: asyncio.Task[None] | None = None
        self._second = self._texts = 0

    def join(self, core: Core) -> None:
        """Look at this core from now on; its I/O thread runs."""
        self._core = core

    def set(self, on: bool) -> bool:
        """Tell events, or tell them no more; return whether it was so before. Raises NoBackend, NotSupported."""
        was_on = self.is_on
        assert self._core is not None
        if on and self._sending is None:
            events_of(self._app.links.backend("asyncio"), mask_text(self._app.links.urls()[1]))
            self._sending = asyncio.get_running_loop().create_task(self._outbox.send_forever())
        self.is_on = on
        self._core.lanes.on_take = self._taken if on else None
        return was_on

    @property
    def counts(self) -> tuple[int, int]:
        """How many events were sent, and how many dropped."""
        return self._outbox.sent, self._outbox.dropped

    # -- noting --------------------------------------------------------------------------------------------

    @property
    def wants_text(self) -> bool:
        return self.is_on and self._texts < _TEXTS_PER_SECOND

    def emit(self, events: Sequence[Event]) -> None:
        if not self.is_on:
            return
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._texts = second, 0
        self._texts += len(events)
        self._ends += events
        self._outbox.want(now=len(self._ends) >= AT_ONCE)

    def close(self) -> None: ...

    def _taken(self, deliveries: Sequence[Delivery]) -> None:
        """Note what was taken. In any thread."""
        self._taken_batches.append((time.time(), deliveries))
        if not self._has_asked and self._core is not None:
            self._has_asked = True
            self._core.call(self._outbox.want)

    # -- telling -------------------------------------------------------------------------------------------

    def _collect(self) -> Sequence[Event]:
        """Return what has happened since the last look: of each task in its order."""
        self._has_asked = False  # before the look: who comes later asks again
        ends, self._ends = self._ends, []
        opened = self._open
        is_many = len(ends) > _MANY  # then of these attempts only the end is told
        ended = {event.task_id: event.retries for event in ends} if is_many else {}
        for _ in range(len(self._taken_batches)):
            at_s, deliveries = self._taken_batches.popleft()
            for each in deliveries:
                if ended.get(each.message.id) != each.message.retries:
                    opened[each.message.id, each.message.retries] = _Open(each.message, at_s)
        found: list[Event] = []
        if is_many:
            for attempt in opened.keys() & ended.items():
                del opened[attempt]
            kinds = [event.kind for event in ends]
            found += ends if kinds.count(EventKind.TASK_SUCCEEDED) == len(kinds) else map(self._whole, ends)
        else:
            for event in ends:
                task = opened.pop((event.task_id, event.retries), None)
                if task is not None:
                    found += self._until(task, None if event.runtime_s is None else event.at_s - event.runtime_s)
                found.append(self._whole(event))
        found += self._unended()
        return found

    def _unended(self) -> Iterator[Event]:
        """Yield what is to be told of tasks that run or wait; there are few of them."""
        if self._open and self._core is not None:
            for attempt in self._core.attempts():
                for message in messages_of(attempt):
                    task = self._open.get((message.id, message.retries))
                    if task is not None:
                        yield from self._until(task, attempt.started_at_s or time.time())
            for task in self._open.values():
                if not task.is_told:
                    yield from self._until(task, None)
        if len(self._open) > _MOST_OPEN:  # whose ends nobody tells: their broker has given them to others
            self._open.clear()

    def _until(self, task: _Open, started_at_s: float | None) -> Iterator[Event]:
        """Yield what was not told yet of what comes before the end."""
        if not task.is_told:
            task.is_told = True
            yield self._event(EventKind.TASK_RECEIVED, task, task.taken_at_s)
        if started_at_s is not None and not task.has_begun:
            task.has_begun = True
            yield self._event(EventKind.TASK_STARTED, task, started_at_s)

    def _event(self, kind: EventKind, task: _Open, at_s: float) -> Event:
        message = task.message
        return Event(kind, at_s, self._hostname, message.id, message.task, message.queue, message.retries)

    def _whole(self, event: Event) -> Event:
        traceback = event.traceback
        if len(traceback) > _LONGEST_TRACEBACK:
            half = _LONGEST_TRACEBACK // 2  # of a long one both ends tell something, and of a long message the beginning
            cut = f"{traceback[:half]}\n...\n{traceback[-half:]}"
            return replace(event, traceback=cut, worker=self._hostname)
        return event if event.worker else replace(event, worker=self._hostname)

    async def _publish(self, events: Sequence[Event]) -> None:
        backend = self._backend
        if backend is None:
            backend = self._app.links.backend("asyncio")
            await backend.open()
            self._backend = backend
        assert backend.events is not None
        try:
            await backend.events.publish(events)
        except (*BROKEN, TimeoutError):
            self._backend = None
            with suppress(*BROKEN):
                await backend.close()
            raise
