"""Where `async def` tasks run: in the event loop of the I/O thread, each in a slot of its own.

To interrupt one, an exception is raised in it where it waits; one that never waits is for the supervisor, which sees in the
shared memory what runs for too long. Everything here is called in the I/O thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from faena.engine.attempt import Attempt, Ended, Runner
from faena.engine.batch import BatchRun, Bundle, flat
from faena.engine.completion import Completer
from faena.engine.hooks import call_hooks
from faena.errors import SoftTimeLimitExceeded
from faena.model.delivery import Delivery
from faena.worker.lanes import HARD_LIMIT_GRACE_S, Finished, Lanes, hard_limit_of
from faena.worker.slots import Slots

if TYPE_CHECKING:
    from asyncio import TaskGroup


class Coroutines:
    """All coroutines of a process. What they finish goes to `finished`, before the next one begins."""

    def __init__(
        self,
        count: int,
        runner: Runner,
        completer: Completer,
        slots: Slots,
        lanes: Lanes,
        *,
        finished: Callable[[Finished], None],
    ) -> None:
        self.todo: deque[Delivery | Bundle] = deque()
        self._running: dict[asyncio.Task[None], Attempt | None] = {}
        self._free = list(range(len(lanes.lanes), len(lanes.lanes) + count))  # the slots after those of the lanes
        self._runner, self._completer, self._slots, self._lanes = runner, completer, slots, lanes
        self._finished = finished
        self.group: TaskGroup | None = None  # of the running loop

    def __len__(self) -> int:
        """Return how many run."""
        return len(self._running)

    def room(self) -> int:
        """Return how many more could begin at once."""
        return len(self._free) - len(self.todo)

    def put(self, deliveries: Collection[Delivery | Bundle]) -> None:
        """Begin what there are slots for; the rest waits here."""
        if self._lanes.on_take is not None:
            self._lanes.on_take(flat(list(deliveries)))
        self.todo.extend(deliveries)
        self._begin()

    def take_back(self) -> list[Delivery]:
        """Return what has not begun."""
        back = flat(list(self.todo))
        self.todo.clear()
        return back

    def attempts(self) -> list[Attempt]:
        """Return what runs."""
        return [attempt for attempt in self._running.values() if attempt is not None]

    def interrupt(self, error: BaseException, ids: Collection[str] | None = None) -> None:
        """Raise `error` in those that run, or in those of these ids, where they wait now."""
        for running, attempt in self._running.items():
            if attempt is not None and (ids is None or (attempt.calls is None and attempt.delivery.message.id in ids)):
                _signal(attempt, running, error)

    # -- internals -----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        assert self.group is not None
        while self.todo and self._free:
            delivery, slot = self.todo.popleft(), self._free.pop()
            work = self._run_bundle(delivery, slot) if isinstance(delivery, Bundle) else self._run(delivery, slot)
            running = self.group.create_task(work)
            self._running[running] = None

    async def _run(self, delivery: Delivery, slot: int) -> None:
        current = asyncio.current_task()
        assert current is not None
        timers: list[asyncio.TimerHandle] = []
        try:
            begun = self._lanes.revoked(delivery) or self._runner.begin(delivery)
            if isinstance(begun, Attempt):
                self._running[current] = begun
                self._slots.begin(slot, delivery.message.id, time.monotonic(), self._arm(begun, current, timers))
                if self._lanes.on_start is not None:
                    self._lanes.on_start(begun)
                outcome = await self._runner.run_coroutine(begun, current.uncancel)
                call_hooks(begun, outcome)
            else:
                assert isinstance(begun, Ended)
                outcome = begun.outcome
            completion, event = self._completer.complete(begun, outcome)
        finally:
            self._let_go(current, slot, timers)
        self._finished((completion, event, delivery))
        self._begin()

    async def _run_bundle(self, bundle: Bundle, slot: int) -> None:
        current = asyncio.current_task()
        assert current is not None
        timers: list[asyncio.TimerHandle] = []
        finished: list[Finished] = []
        try:
            begin, revoked = self._runner.begin, self._lanes.revoked
            batch = BatchRun(self._runner, [revoked(each) or begin(each) for each in bundle.deliveries])
            whole = None
            if batch.whole is not None:
                self._running[current] = batch.whole
                deadline_s = self._arm(batch.whole, current, timers)
                first = batch.whole.delivery.message.id
                self._slots.begin(slot, first, time.monotonic(), deadline_s, is_batch=True)
                if self._lanes.on_start is not None:
                    for member in batch.members:
                        self._lanes.on_start(member)
                whole = await self._runner.run_coroutine(batch.whole, current.uncancel)
            for begun, outcome in batch.outcomes(whole):
                if isinstance(begun, Attempt):
                    call_hooks(begun, outcome)
                completion, event = self._completer.complete(begun, outcome)
                finished.append((completion, event, begun.delivery))
        finally:
            self._let_go(current, slot, timers)
        for each in finished:
            self._finished(each)
        self._begin()

    def _let_go(self, current: asyncio.Task[None], slot: int, timers: list[asyncio.TimerHandle]) -> None:
        for timer in timers:
            timer.cancel()
        self._slots.clear(slot)
        self._free.append(slot)
        self._running.pop(current, None)

    def _arm(self, attempt: Attempt, running: asyncio.Task[None], timers: list[asyncio.TimerHandle]) -> float:
        """Set the timers of the limits; return the moment when the supervisor shall kill, monotonic."""
        loop = asyncio.get_running_loop()
        soft_s, hard_s = self._lanes.limits_of(attempt)
        if soft_s:
            timers.append(loop.call_later(soft_s, _signal, attempt, running, SoftTimeLimitExceeded()))
        if not hard_s:
            return 0.0
        timers.append(loop.call_later(hard_s, _signal, attempt, running, hard_limit_of(attempt, hard_s)))
        return time.monotonic() + hard_s + HARD_LIMIT_GRACE_S


def _signal(attempt: Attempt, running: asyncio.Task[None], error: BaseException) -> None:
    """Raise `error` in the coroutine of an attempt, where it waits now."""
    attempt.signal = error
    running.cancel()
