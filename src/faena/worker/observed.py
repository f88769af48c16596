"""The events of one process, told to whoever listens: what it takes, begins and ends.

Off, it costs nothing: what begins is looked at only while it is on. Results are shown as long as a person could read them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from faena.backend import Backend, events_of
from faena.config.secrets import mask_text
from faena.engine.attempt import Attempt
from faena.model.delivery import Delivery
from faena.model.event import Event, EventKind
from faena.telemetry.outbox import Outbox
from faena.worker.connection import BROKEN

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.worker.core import Core

_LONGEST_TRACEBACK = 4000
_TEXTS_PER_SECOND = 200


class Observed:
    """A sink, and what looks at the beginning of tasks. `set` is called in the I/O thread."""

    def __init__(self, app: Faena, hostname: str) -> None:
        self._app, self._hostname = app, hostname
        self.is_on = False
        self._core: Core | None = None
        self._backend: Backend | None = None
        self._outbox = Outbox(self._publish, self._in_loop)
        self._sending: asyncio.Task[None] | None = None
        self._second = self._texts = 0

    def join(self, core: Core) -> None:
        """Look at this core from now on; its I/O thread runs."""
        self._core = core

    def set(self, on: bool) -> bool:
        """Tell events, or tell them no more; return whether it was so before. Raises NoBackend, NotSupported."""
        was_on = self.is_on
        assert self._core is not None
        lanes = self._core.lanes
        if on and self._sending is None:
            events_of(self._app.links.backend("asyncio"), mask_text(self._app.links.urls()[1]))
            self._sending = asyncio.get_running_loop().create_task(self._outbox.send_forever())
        self.is_on = on
        lanes.on_begin, lanes.on_take = (self._begun, self._taken) if on else (None, None)
        return was_on

    @property
    def counts(self) -> tuple[int, int]:
        """How many events were sent, and how many dropped."""
        return self._outbox.sent, self._outbox.dropped

    # -- a sink --------------------------------------------------------------------------------------------

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
        kinds = [event.kind for event in events]
        if kinds.count(EventKind.TASK_SUCCEEDED) != len(kinds):
            events = list(map(self._whole, events))
        self._outbox.put_all(events)

    def close(self) -> None: ...

    def _whole(self, event: Event) -> Event:
        traceback = event.traceback
        if len(traceback) > _LONGEST_TRACEBACK:
            half = _LONGEST_TRACEBACK // 2  # of a long one both ends tell something, and of a long message the beginning
            cut = f"{traceback[:half]}\n...\n{traceback[-half:]}"
            return replace(event, traceback=cut, worker=self._hostname)
        return event if event.worker else replace(event, worker=self._hostname)

    # -- in any thread -------------------------------------------------------------------------------------

    def _begun(self, attempt: Attempt) -> None:
        message = attempt.delivery.message
        at_s = attempt.started_at_s or time.time()
        self._outbox.put(
            Event(
                EventKind.TASK_STARTED, at_s, self._hostname, message.id, message.task, message.queue, message.retries
            )
        )  # fmt: skip

    def _taken(self, deliveries: Sequence[Delivery]) -> None:
        at_s, put = time.time(), self._outbox.put
        for each in deliveries:
            message = each.message
            put(
                Event(
                    EventKind.TASK_RECEIVED, at_s, self._hostname, message.id, message.task, message.queue,
                    message.retries,
                )
            )  # fmt: skip

    # -- internals -----------------------------------------------------------------------------------------

    def _in_loop(self, function: Callable[[], None]) -> None:
        assert self._core is not None
        self._core.call(function)

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
