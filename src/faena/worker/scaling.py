"""Lets the number of a worker's processes follow the work: looks at its queues and processes, and asks the law."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from faena.app.links import Link
from faena.app.pausing import statuses
from faena.errors import BackendError, BrokerError, StorageError
from faena.worker.autoscale import Autoscale, Bounds, Load, look
from faena.worker.handle import ProcessHandle, ProcessState

log = logging.getLogger("faena.worker")

_LOOK_EVERY_S = 1.0
_LOOK_SHARE = 0.02  # of the time, at most, is spent on asking the broker
_BROKEN = (BrokerError, BackendError, StorageError, OSError)


class Scaled(Protocol):
    """What is scaled: the supervisor."""

    processes: list[ProcessHandle]

    @property
    def link(self) -> Link: ...
    @property
    def queues(self) -> tuple[str, ...]: ...
    def stats(self) -> dict[str, Any]: ...
    def wanted_processes(self) -> int: ...
    def resize(self, count: int) -> int: ...


class Scaler:
    """Scales one worker while it has bounds; without them it does nothing, and costs nothing."""

    def __init__(self, worker: Scaled, settings: Mapping[str, Any]) -> None:
        self._worker = worker
        self.bounds: Bounds | None = None
        self._threads, self._coroutines = int(settings["worker_threads"]), int(settings["worker_coroutines"])
        self._target_age_s = float(settings["worker_autoscale_target_age"])
        self._cool_down_s = float(settings["worker_autoscale_cooldown"])
        self._changed = asyncio.Event()
        self._state = Autoscale()
        self._done, self._done_at_s = 0, 0.0

    def keep_between(self, least: int, most: int) -> Bounds:
        """Scale between these from now on, and be between them at once."""
        self.bounds = bounds = Bounds(most, least, self._target_age_s, self._cool_down_s)
        self._worker.resize(min(most, max(least, self._worker.wanted_processes())))
        self._changed.set()
        return bounds

    def stop(self) -> None:
        """Scale no more; the processes stay as many as they are."""
        self.bounds, self._state = None, Autoscale()

    async def scale_forever(self) -> None:
        while True:
            bounds = self.bounds
            if bounds is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            began_s = time.monotonic()
            try:
                load = await self._load()
            except _BROKEN as error:
                log.warning("looking at the queues, to scale: %s", error)
            else:
                self._scale(load, bounds)
            took_s = time.monotonic() - began_s
            await asyncio.sleep(max(_LOOK_EVERY_S, took_s / _LOOK_SHARE))

    # -- internals -----------------------------------------------------------------------------------------

    def _scale(self, load: Load, bounds: Bounds) -> None:
        if bounds is not self.bounds:
            return  # it was changed while we looked
        self._state, wanted = look(self._state, load, bounds, time.monotonic())
        if wanted != load.processes:
            log.info(
                "%d processes instead of %d: %d tasks wait, the first for %.1f s; %.1f processes are busy",
                wanted, load.processes, load.waiting, load.oldest_age_s, load.busy,
            )  # fmt: skip
            self._worker.resize(wanted)

    async def _load(self) -> Load:
        worker = self._worker
        taken_from = set(worker.queues)
        found = await statuses(worker.link)
        ready = [each for each in found if each.name in taken_from and not each.paused and each.waiting]
        oldest = min((each.oldest_waiting_at_s for each in ready if each.oldest_waiting_at_s is not None), default=None)
        now_s, done = time.monotonic(), int(worker.stats()["done"])
        passed_s = now_s - self._done_at_s
        pace = max(0, done - self._done) / passed_s if self._done_at_s and passed_s > 0 else 0.0
        self._done, self._done_at_s = done, now_s
        working = [each for each in worker.processes if each.state is ProcessState.WORKING]
        return Load(
            processes=worker.wanted_processes(),
            starting=sum(each.state is ProcessState.STARTING for each in worker.processes),
            busy=sum(map(self._busy, working)),
            waiting=sum(each.waiting for each in ready),
            oldest_age_s=0.0 if oldest is None else max(0.0, time.time() - oldest),
            done_per_s=pace,
        )

    def _busy(self, handle: ProcessHandle) -> float:
        """Return how full a process is: of functions or of coroutines, whichever is more."""
        running = handle.running()
        functions = sum(task.slot < self._threads for task in running)
        return min(1.0, max(functions / self._threads, (len(running) - functions) / self._coroutines))
