"""Messages of batch tasks that wait for company, under the lease of their process.

What has waited for as long as its task says, or has found enough others, runs. They are not counted as held: a process that
waits for company goes on with other work. What a process has held before, and died with, runs alone: one of them may be
what it died of. Everything here is called in the I/O thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from faena.engine.batch import Bundle
from faena.model.delivery import Delivery
from faena.tasks.task import Task

_LOOK_AGAIN_S = 0.05  # while something runs alone here


class _Gathering:
    """What waits of one task."""

    __slots__ = ("deliveries", "task", "timer")

    def __init__(self, task: Task[..., Any]) -> None:
        self.task = task
        self.deliveries: list[Delivery] = []
        self.timer: asyncio.TimerHandle | None = None


class Batches:
    """Gathers the messages of batch tasks. `start` takes what is to run together; `waits`: nothing may begin now."""

    def __init__(self, start: Callable[[Task[..., Any], Bundle], None], waits: Callable[[], bool]) -> None:
        self._start, self._waits = start, waits
        self._of: dict[str, _Gathering] = {}

    def __len__(self) -> int:
        """Return how many messages wait here."""
        return sum(len(each.deliveries) for each in self._of.values())

    def missing(self) -> int:
        """Return how many messages the largest of what waits here still lacks; 0: nothing waits."""
        return max((_batch_size(each.task) - len(each.deliveries) for each in self._of.values()), default=0)

    def add(self, task: Task[..., Any], delivery: Delivery) -> None:
        if delivery.redelivered_at_s is not None:
            self._start(task, Bundle((delivery,)))
            return
        gathering = self._of.get(task.name)
        if gathering is None:
            gathering = self._of[task.name] = _Gathering(task)
            assert task.batch is not None
            self._arm(gathering, task.batch.wait_s)
        gathering.deliveries.append(delivery)
        if len(gathering.deliveries) >= _batch_size(task):
            self._flush(gathering)

    def take_back(self) -> list[Delivery]:
        """Return what waits here."""
        back: list[Delivery] = []
        for gathering in self._of.values():
            self._disarm(gathering)
            back += gathering.deliveries
        self._of.clear()
        return back

    def waiting(self) -> list[Delivery]:
        """Return what waits here, and leave it."""
        return [delivery for gathering in self._of.values() for delivery in gathering.deliveries]

    # -- internals -----------------------------------------------------------------------------------------

    def _arm(self, gathering: _Gathering, wait_s: float) -> None:
        gathering.timer = asyncio.get_running_loop().call_later(wait_s, self._flush, gathering)

    def _disarm(self, gathering: _Gathering) -> None:
        if gathering.timer is not None:
            gathering.timer.cancel()
            gathering.timer = None

    def _flush(self, gathering: _Gathering) -> None:
        self._disarm(gathering)
        if self._waits():
            self._arm(gathering, _LOOK_AGAIN_S)
            return
        if self._of.get(gathering.task.name) is gathering:
            del self._of[gathering.task.name]
            size = _batch_size(gathering.task)  # while nothing was to begin, more than enough may have come
            for at in range(0, len(gathering.deliveries), size):
                self._start(gathering.task, Bundle(gathering.deliveries[at : at + size]))


def _batch_size(task: Task[..., Any]) -> int:
    assert task.batch is not None
    return task.batch.size
