"""A backend within one process: `memory://name`."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence

from faena.backend import (
    Claims,
    Completion,
    Events,
    JointSettler,
    Journal,
    Mailbox,
    Orders,
    Revocations,
    Schedules,
    Watch,
    Workflows,
)
from faena.drivers.memory.bell import Bell
from faena.drivers.memory.events import MemoryEvents
from faena.drivers.memory.messages import Row, row_of
from faena.drivers.memory.schedules import MemorySchedules
from faena.drivers.memory.state import MemoryState, state_for
from faena.drivers.memory.stepping import MemoryJournal, MemoryWorkflows, carry_out, may_wait
from faena.drivers.memory.unique import MemoryClaims, release
from faena.drivers.memory.unique import expire as expire_claims
from faena.drivers.memory.workflows import StepTaken
from faena.model.claim import released_by
from faena.model.control import Command, Order, Reply, Revocation, WorkerInfo
from faena.model.delivery import Ack, Delivery, Release
from faena.model.result import ResultRecord
from faena.types import Io


class MemoryBackend:
    """See `faena.backend.Backend`."""

    def __init__(self, state: MemoryState, io: Io) -> None:
        self.state = state
        self.io: Io = io
        self._mailbox, self._revocations, self._orders = _Mailbox(state, io), _Revocations(state), _Orders(state)
        self._workflows, self._journal = MemoryWorkflows(state), MemoryJournal(state)
        self._schedules = MemorySchedules(state, io)
        self._claims = MemoryClaims(state)
        self._events = MemoryEvents(state, io)

    @classmethod
    def connect(cls, url: str, *, io: Io, options: Mapping[str, object] = {}) -> MemoryBackend:
        """Option `clock`: a function that returns unix seconds."""
        return cls(state_for(url, options), io)

    @property
    def mailbox(self) -> Mailbox:
        return self._mailbox

    @property
    def revocations(self) -> Revocations:
        return self._revocations

    @property
    def orders(self) -> Orders:
        return self._orders

    @property
    def workflows(self) -> Workflows:
        return self._workflows

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def claims(self) -> Claims:
        return self._claims

    @property
    def schedules(self) -> Schedules:
        return self._schedules

    @property
    def events(self) -> Events:
        return self._events

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def record(self, records: Sequence[ResultRecord]) -> Sequence[bool]:
        state = self.state
        with state.lock:
            kept = [state.results.record(record) for record in records]
            state.bells.ring([("result", each.id) for each, is_kept in zip(records, kept, strict=True) if is_kept])
        return kept

    async def read(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]:
        with self.state.lock:
            return [self.state.results.read(task_id) for task_id in ids]

    async def latest(self, limit: int, state: str | None = None) -> Sequence[ResultRecord]:
        with self.state.lock:
            return self.state.results.latest(limit, state)

    async def forget(self, ids: Sequence[str]) -> int:
        with self.state.lock:
            return self.state.results.forget(ids)

    def watch(self) -> Watch:
        return _Watch(self.state, self.io)

    async def expire(self, limit: int) -> int:
        with self.state.lock:
            now_s = self.state.clock()
            removed = self.state.results.expire(limit, now_s)
            removed += self.state.workflows.expire(limit - removed, now_s)
            removed += self.state.journals.expire(limit - removed, now_s)
            return removed + expire_claims(self.state, limit - removed, now_s)

    async def may_have_duties(self) -> bool:
        return True  # to look costs nothing

    async def lead(self, role: str, owner: str, lease_s: float) -> bool:
        with self.state.lock:
            now_s = self.state.clock()
            leader, until_s = self.state.leaders.get(role, (owner, 0.0))
            if leader != owner and until_s > now_s:
                return False
            self.state.leaders[role] = (owner, now_s + lease_s)
            return True

    def joint(self, broker: object, holder: str) -> JointSettler | None:  # noqa: ARG002 - the claims carry it
        return _Joint(self.state) if getattr(broker, "state", None) is self.state else None


class _Joint:
    """See `faena.backend.JointSettler`."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        rows = [
            [row_of(each) for each in completion.publish] for completion in completions
        ]  # encoded before anything is changed: what cannot be encoded changes nothing
        with self._state.lock:
            return [self._complete(each, to_send) for each, to_send in zip(completions, rows, strict=True)]

    def _complete(self, completion: Completion, rows: Sequence[Row]) -> bool:
        state = self._state
        now_s = state.clock()
        settlement = completion.settlement
        park = completion.park
        if park is not None and isinstance(settlement, Ack) and not may_wait(state, park, now_s):
            settlement, park = Release(settlement.delivery, park.message), None
        is_ours, queue = state.messages.settle(settlement, now_s)
        if not is_ours:
            return False
        if type(settlement) is not Ack or settlement.delivery.message.claim is not None:
            release(state, released_by(settlement, completion.result, is_parked=park is not None))
        touched: set[Hashable] = {("queue", queue)} if queue is not None else set()
        if completion.result is None or state.results.record(completion.result):
            if completion.result is not None:
                touched.add(("result", completion.result.id))
            for row in rows:
                state.messages.add(row, now_s)
                touched.add(("queue", row[1]))
        if completion.ending is not None or completion.start is not None:
            taken = StepTaken(publishes=True)
            if completion.ending is not None:
                state.workflows.end(completion.ending, taken, now_s)
            if completion.start is not None:
                state.workflows.start(completion.start, taken, now_s)
            touched |= carry_out(state, taken, now_s)
        if completion.journal is not None and isinstance(settlement.delivery, Delivery):
            state.journals.end(settlement.delivery.message.id, completion.journal)
        if park is not None:
            state.journals.park(park, now_s)
        touched.update(("queue", queue) for queue in state.messages.take_touched())
        state.bells.ring(touched)
        return True


class _Watch:
    """See `faena.backend.Watch`."""

    def __init__(self, state: MemoryState, io: Io) -> None:
        self._state = state
        self._bell = Bell(io)
        self._known: dict[str, ResultRecord | None] = {}  # watched id -> its record when we looked last

    async def add(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]:
        state = self._state
        with state.lock:
            records = [state.results.read(task_id) for task_id in ids]
            for task_id, record in zip(ids, records, strict=True):
                if record is None or not record.is_terminal:
                    self._known[task_id] = record
                    state.bells.hang(self._bell, [("result", task_id)])
        return records

    async def changed(self, timeout_s: float | None) -> Sequence[str]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._known:
            found = self._look()
            left_s = None if deadline is None else deadline - time.monotonic()
            if found or (left_s is not None and left_s <= 0):
                return found
            await self._bell.rest(left_s)
        return ()

    def _look(self) -> list[str]:
        found = []
        with self._state.lock:
            for task_id, known in list(self._known.items()):
                record = self._state.results.read(task_id)
                if record is known or record is None:
                    continue
                found.append(task_id)
                self._known[task_id] = record
                if record.is_terminal:
                    self._drop(task_id)
        return found

    def _drop(self, task_id: str) -> None:
        self._known.pop(task_id, None)
        self._state.bells.take_down(self._bell, [("result", task_id)])

    async def remove(self, ids: Sequence[str]) -> None:
        with self._state.lock:
            for task_id in ids:
                self._drop(task_id)

    async def close(self) -> None:
        await self.remove(list(self._known))


class _Mailbox:
    """See `faena.backend.Mailbox`."""

    def __init__(self, state: MemoryState, io: Io) -> None:
        self._state = state
        self._io: Io = io
        self._bell = Bell(io)
        self._is_interrupted = False

    async def send(self, command: Command) -> None:
        state = self._state
        with state.lock:
            state.bells.ring([("worker", worker) for worker in state.results.send(command, state.clock())])

    async def receive(self, worker: str, wait_s: float) -> Sequence[Command]:
        state, deadline = self._state, time.monotonic() + wait_s
        keys = [("worker", worker)]
        with state.lock:
            state.bells.hang(self._bell, keys)
        try:
            while True:
                with state.lock:
                    commands = state.results.unseen(worker, state.clock())
                left_s = deadline - time.monotonic()
                if commands or left_s <= 0:
                    return commands
                if self._is_interrupted:
                    self._is_interrupted = False
                    return ()
                await self._bell.rest(left_s)
        finally:
            with state.lock:
                state.bells.take_down(self._bell, keys)

    def interrupt(self) -> None:
        self._is_interrupted = True
        self._bell.ring()

    async def reply(self, reply: Reply, ttl_s: float) -> None:
        state = self._state
        with state.lock:
            state.results.reply(reply, state.clock() + ttl_s)
            state.bells.ring([("replies", reply.command_id)])

    async def replies(self, command_id: str, expected: int, wait_s: float) -> Sequence[Reply]:
        state, deadline = self._state, time.monotonic() + wait_s
        bell, keys = Bell(self._io), [("replies", command_id)]
        with state.lock:
            state.bells.hang(bell, keys)
        try:
            while True:
                with state.lock:
                    replies = state.results.replies(command_id, state.clock())
                left_s = deadline - time.monotonic()
                if len(replies) >= expected or left_s <= 0:
                    return replies
                await bell.rest(left_s)
        finally:
            with state.lock:
                state.bells.take_down(bell, keys)

    async def announce(self, info: WorkerInfo, ttl_s: float) -> WorkerInfo | None:
        with self._state.lock:
            now_s = self._state.clock()
            return self._state.results.announce(info, now_s + ttl_s, now_s)

    async def withdraw(self, worker: str) -> None:
        with self._state.lock:
            self._state.results.withdraw(worker)

    async def workers(self) -> Sequence[WorkerInfo]:
        with self._state.lock:
            return self._state.results.workers(self._state.clock())


class _Revocations:
    """See `faena.backend.Revocations`."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def add(self, revocations: Sequence[Revocation]) -> None:
        with self._state.lock:
            self._state.results.revoke(revocations)

    async def remove(self, ids: Sequence[str]) -> int:
        with self._state.lock:
            return self._state.results.unrevoke(ids)

    async def since(self, mark: int) -> tuple[int, Sequence[Revocation]]:
        with self._state.lock:
            return self._state.results.revoked_since(mark, self._state.clock())


class _Orders:
    """See `faena.backend.Orders`."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def give(self, orders: Sequence[Order]) -> None:
        with self._state.lock:
            for order in orders:
                self._state.results.give_order(order)

    async def withdraw(self, kind: str, names: Sequence[str]) -> int:
        with self._state.lock:
            return sum(self._state.results.withdraw_order(kind, name) for name in names)

    async def standing(self) -> Sequence[Order]:
        with self._state.lock:
            return self._state.results.orders(self._state.clock())
