"""A broker within one process: `memory://name`. Gone with the process; everything else as the others have it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from faena.broker import Capabilities, DeadLetters, Holder, Leases, Limits, Queues
from faena.drivers.memory.bell import Bell
from faena.drivers.memory.messages import row_of
from faena.drivers.memory.state import MemoryState, state_for
from faena.errors import LeaseLost
from faena.model.delivery import (
    DeadLetter,
    DeadReason,
    Delivery,
    Found,
    Malformed,
    Place,
    QueueStatus,
    Settlement,
    Verdict,
    counts_of,
)
from faena.model.limit import Change, LimitStatus, Obstacle, Terms
from faena.model.message import Message
from faena.model.turns import USUAL, Taking, turns_of
from faena.types import Io


class MemoryBroker:
    """See `faena.broker.Broker`."""

    def __init__(self, state: MemoryState, io: Io) -> None:
        self.state = state
        self.io: Io = io
        self._leases, self._queues, self._dead_letters = _Leases(state), _Queues(state), _DeadLetters(state)
        self._limits = _Limits(state)

    @classmethod
    def connect(cls, url: str, *, io: Io, options: Mapping[str, object] = {}) -> MemoryBroker:
        """Option `clock`: a function that returns unix seconds."""
        return cls(state_for(url, options), io)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(durable=False, lease="holder", limits=True, joint=True, orders=True, ages=True, bounds=True)

    @property
    def leases(self) -> Leases:
        return self._leases

    @property
    def queues(self) -> Queues:
        return self._queues

    @property
    def dead_letters(self) -> DeadLetters:
        return self._dead_letters

    @property
    def limits(self) -> Limits:
        return self._limits

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def publish(self, messages: Sequence[Message]) -> None:
        rows = [row_of(each) for each in messages]
        state = self.state
        with state.lock:
            now_s = state.clock()
            for row in rows:
                state.messages.add(row, now_s)
            ring(state, {row[1] for row in rows})

    async def offer(self, messages: Sequence[Message], bounds: Mapping[str, int], *, whole: bool) -> Sequence[str]:
        rows = [row_of(each) for each in messages]
        state = self.state
        with state.lock:
            refused = state.messages.offer(rows, bounds, whole, state.clock())
            ring(state, {row[1] for row in rows})
        return refused

    async def cancel(self, ids: Sequence[str]) -> Sequence[Message]:
        with self.state.lock:
            found = self.state.messages.cancel(ids)
            ring(self.state, set())
            return found

    async def locate(self, ids: Sequence[str]) -> Sequence[Place | None]:
        with self.state.lock:
            now_s = self.state.clock()
            return [self.state.messages.place(task_id, now_s) for task_id in ids]

    async def find(self, task_id: str) -> Found | None:
        with self.state.lock:
            found = self.state.messages.find(task_id, self.state.clock())
            if found is not None or self.state.messages.place(task_id, self.state.clock()) is None:
                return found
            letter = self.state.messages.letters(ids=[task_id])[-1]
            return Found(Place.DEAD, letter.message, letter.deliveries, letter.crashes)

    def consumer(self, holder: Holder, queues: Sequence[str], taking: Taking = USUAL) -> MemoryConsumer:
        return MemoryConsumer(self.state, self.io, holder, queues, taking)


class MemoryConsumer:
    """See `faena.broker.Consumer`."""

    def __init__(self, state: MemoryState, io: Io, holder: Holder, queues: Sequence[str], taking: Taking) -> None:
        self._state = state
        self._holder = _number(holder)
        self._queues = tuple(dict.fromkeys(queues))
        self._turns, self._ageing_s = turns_of(self._queues, taking), taking.ageing_s
        self._bell = Bell(io)
        self._is_interrupted = False

    async def receive(self, limit: int, wait_s: float) -> Sequence[Delivery | Malformed]:
        state, deadline = self._state, time.monotonic() + wait_s
        keys = [("queue", queue) for queue in self._queues]
        order = self._turns.next()
        with state.lock:
            state.messages.declare(self._queues)
            state.bells.hang(self._bell, keys)
        try:
            while True:
                with state.lock:
                    now_s = state.clock()
                    batch = state.messages.receive(self._holder, order, limit, now_s, self._ageing_s)
                    next_due_s = state.messages.next_due(self._queues)
                    elsewhere = state.messages.take_touched().difference(self._queues)
                    ring(state, elsewhere | (state.messages.left_behind(self._queues) if len(batch) >= limit else set()))
                left_s = deadline - time.monotonic()
                if batch or left_s <= 0:
                    if self._turns.counts:
                        self._turns.took(counts_of(batch), limit)
                    return batch
                if self._is_interrupted:
                    self._is_interrupted = False
                    return ()
                await self._bell.rest(left_s if next_due_s is None else min(left_s, max(0.0, next_due_s - now_s)))
        finally:
            with state.lock:
                state.bells.take_down(self._bell, keys)

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        state = self._state
        with state.lock:
            now_s = state.clock()
            settled = [state.messages.settle(settlement, now_s) for settlement in settlements]
            ring(state, {queue for _, queue in settled if queue is not None})
        return [is_ours for is_ours, _ in settled]

    async def begin(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        with self._state.lock:
            return [self._state.messages.begin(each) for each in deliveries]

    def interrupt(self) -> None:
        self._is_interrupted = True
        self._bell.ring()

    async def close(self) -> None:
        pass


class _Leases:
    """See `faena.broker.Leases`."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def open_holder(self, owner: str, lease_s: float) -> Holder:  # noqa: ARG002 - nobody else looks in here
        with self._state.lock:
            return str(self._state.messages.open_holder(self._state.clock() + lease_s))

    async def renew(self, holders: Sequence[Holder], lease_s: float) -> Sequence[Holder]:
        with self._state.lock:
            until_s = self._state.clock() + lease_s
            return [holder for holder in holders if self._state.messages.renew(_number_or_none(holder), until_s)]

    async def recover(self, holder: Holder, verdicts: Mapping[str, Verdict]) -> int:
        return self._end([_number_or_none(holder)], verdicts)

    async def reap(self) -> int:
        with self._state.lock:
            return self._end(self._state.messages.expired_holders(self._state.clock()), {})

    def _end(self, holders: Iterable[int], verdicts: Mapping[str, Verdict]) -> int:
        state = self._state
        with state.lock:
            now_s = state.clock()
            back = [queue for each in holders for queue in state.messages.end_holder(each, verdicts.items(), now_s)]
            ring(state, set(back))
        return len(back)


class _Queues:
    """See `faena.broker.Queues`."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def status(self) -> Sequence[QueueStatus]:
        with self._state.lock:
            return self._state.messages.status(self._state.clock())

    async def browse(self, queue: str, limit: int, offset: int = 0) -> Sequence[tuple[Place, Message]]:
        with self._state.lock:
            return self._state.messages.browse(queue, limit, offset, self._state.clock())

    async def purge(self, queue: str) -> int:
        with self._state.lock:
            purged = self._state.messages.purge(queue)
            ring(self._state, set())
            return purged

    async def take_oldest(self, holder: Holder, queue: str, limit: int) -> Sequence[Delivery | Malformed]:
        with self._state.lock:
            return self._state.messages.take_oldest(_number(holder), queue, limit, self._state.clock())

    async def pause(self, queue: str) -> None:
        with self._state.lock:
            self._state.messages.pause(queue)

    async def resume(self, queue: str) -> None:
        with self._state.lock:
            self._state.messages.resume(queue)
            ring(self._state, {queue})


class _DeadLetters:
    """See `faena.broker.DeadLetters`."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def list(self, queue: str | None, limit: int, offset: int = 0) -> Sequence[DeadLetter]:
        with self._state.lock:
            return self._state.messages.letters(queue)[::-1][offset : offset + limit]

    async def find(self, task_id: str) -> DeadLetter | None:
        with self._state.lock:
            found = self._state.messages.letters(ids=[task_id])
            return found[-1] if found else None

    async def replace(self, task_id: str, message: Message) -> bool:
        with self._state.lock:
            return self._state.messages.replace_letter(task_id, message)

    async def requeue(
        self, queue: str | None = None, ids: Sequence[str] | None = None, reason: DeadReason | None = None
    ) -> int:
        state = self._state
        with state.lock:
            back = state.messages.requeue(state.messages.letters(queue, ids, reason), state.clock())
            ring(state, set(back))
        return len(back)

    async def purge(self, queue: str | None = None, ids: Sequence[str] | None = None, before_s: float | None = None) -> int:
        with self._state.lock:
            return self._state.messages.remove_letters(self._state.messages.letters(queue, ids, before_s=before_s))


class _Limits:
    """See `faena.broker.Limits`."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def declare(self, terms: Mapping[str, Terms | None]) -> Mapping[str, Terms]:
        with self._state.lock:
            self._state.limits.declare(terms)
            return self._applied()

    async def change(self, family: str, change: Change | None) -> Terms:
        with self._state.lock:
            self._state.limits.change(family, change)
            return self._applied().get(family) or Terms()

    async def list(self) -> Sequence[LimitStatus]:
        with self._state.lock:
            lanes = self._state.messages.lanes
            return self._state.limits.statuses(lanes.running(), lanes.parked())

    async def obstacles(self, ids: Sequence[str]) -> Sequence[Sequence[Obstacle] | None]:
        state = self._state
        with state.lock:
            now_s, lanes = state.clock(), state.messages.lanes
            found = [lanes.waits(task_id) for task_id in ids]
            return [None if lane is None else lanes.obstacles(lane, now_s) for lane in found]

    def _applied(self) -> Mapping[str, Terms]:
        state = self._state
        in_force = state.limits.in_force()
        for family in {*in_force, *state.messages.lanes.terms}:
            if state.messages.lanes.terms.get(family) != in_force.get(family):
                state.messages.lanes.set_terms(family, in_force.get(family), state.clock())
        ring(state, set())
        return in_force


def ring(state: MemoryState, queues: set[str]) -> None:
    """Wake the consumers of these queues, and of those where limits have room again. The lock is held."""
    state.bells.ring([("queue", queue) for queue in queues | state.messages.take_touched()])


def _number(holder: Holder) -> int:
    number = _number_or_none(holder)
    if number == 0:
        raise LeaseLost(holder)
    return number


def _number_or_none(holder: Holder) -> int:
    return int(holder) if holder.isascii() and holder.isdigit() else 0  # 0 is never given out
