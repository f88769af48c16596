"""The events of a worker: it is there, it lives, a process has begun or ended, it leaves."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any, Protocol

from faena.app.links import Link
from faena.backend import carries_events, events_of
from faena.model.event import Event, EventKind
from faena.telemetry.outbox import Outbox

_HEARTBEAT_S = 2.0
SETTING = "worker_send_task_events"


class Announced(Protocol):
    """What is told of: the supervisor."""

    name: str

    @property
    def link(self) -> Link: ...
    def stats(self) -> dict[str, Any]: ...


class Announcing:
    """Tells of one worker while it `is_on`. `overrides` are settings of processes that begin after a change."""

    def __init__(self, worker: Announced) -> None:
        self._worker = worker
        self.is_on = False
        self.overrides: dict[str, Any] = {}
        self._changed = asyncio.Event()
        self._told: list[Event] = []
        self._outbox = Outbox(self._collect, self._publish)

    @property
    def counts(self) -> tuple[int, int]:
        """How many events were sent, and how many dropped."""
        return self._outbox.sent, self._outbox.dropped

    def begin(self, on: bool) -> None:
        """Begin as the settings say, where the backend carries events."""
        self.is_on = on and carries_events(self._worker.link.backend)
        self._tell_of_worker(EventKind.WORKER_ONLINE)

    def set(self, on: bool) -> bool:
        """Tell events, or tell them no more; return whether it was so before. Raises NoBackend, NotSupported."""
        events_of(self._worker.link.backend, "the result_backend")
        was_on, self.is_on = self.is_on, on
        self.overrides = {SETTING: on}
        self._changed.set()
        if on and not was_on:
            self._tell_of_worker(EventKind.WORKER_ONLINE)
        return was_on

    def tell_of_process(self, kind: EventKind, **about: Any) -> None:
        self._tell(kind, about)

    async def tell_forever(self) -> None:
        sending = asyncio.get_running_loop().create_task(self._outbox.send_forever())  # sleeps while nothing is told
        try:
            while True:
                if not self.is_on:
                    self._changed.clear()
                    await self._changed.wait()
                await asyncio.sleep(_HEARTBEAT_S)
                self._tell_of_worker(EventKind.WORKER_HEARTBEAT)
        finally:
            self._tell_of_worker(EventKind.WORKER_OFFLINE)
            sending.cancel()
            await asyncio.wait({sending})

    def _tell_of_worker(self, kind: EventKind) -> None:
        stats = self._worker.stats()
        numbers = {name: stats[name] for name in ("done", "failed", "running")}
        self._tell(kind, {"pid": os.getpid(), "processes": len(stats["processes"]), "every_s": _HEARTBEAT_S, **numbers})

    def _tell(self, kind: EventKind, about: dict[str, Any]) -> None:
        if self.is_on:
            self._told.append(Event(kind, time.time(), self._worker.name, about=about))
            self._outbox.want()

    def _collect(self) -> Sequence[Event]:
        told, self._told = self._told, []
        return told

    async def _publish(self, events: Sequence[Event]) -> None:
        carrier = self._worker.link.backend.events
        assert carrier is not None
        await carrier.publish(events)
