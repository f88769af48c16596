"""The workflow part of a memory backend: each verb is one step, taken with the lock held."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from faena.backend import JournalEnd, NewWorkflow
from faena.drivers.memory.messages import row_of
from faena.drivers.memory.state import MemoryState
from faena.drivers.memory.workflows import StepTaken
from faena.model.inputs import Gathering, Input, Value
from faena.model.journal import Entry, Parked
from faena.model.message import Member, Message
from faena.model.result import ResultRecord
from faena.model.workflow import Ending, NodeStates, NodeView, WorkflowState, WorkflowStatus


class MemoryWorkflows:
    """See `faena.backend.Workflows`."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def start(self, new: NewWorkflow, broker: object) -> Sequence[Message]:
        state, taken = self._state, self._step(broker)
        with state.lock:
            now_s = state.clock()
            state.workflows.start(new, taken, now_s)
            return self._left(taken, now_s)

    async def advance(
        self, records: Sequence[ResultRecord], endings: Sequence[Ending], starts: Sequence[NewWorkflow] = ()
    ) -> Sequence[Message]:
        state, taken = self._state, StepTaken(publishes=False)
        with state.lock:
            now_s = state.clock()
            state.bells.ring([("result", each.id) for each in records if state.results.record(each)])
            repeated = {each.workflow for each in endings if not state.workflows.end(each, taken, now_s)}
            repeated |= {new.workflow.id for new in starts if not state.workflows.start(new, taken, now_s)}
            self._left(taken, now_s)
            fresh = [each for each in taken.messages if each.member is None or each.member.workflow not in repeated]
            return fresh + state.workflows.next_of(repeated, now_s)

    async def published(self, members: Sequence[Member]) -> None:
        with self._state.lock:
            self._state.workflows.published(members, self._state.clock())

    async def unpublished(self, before_s: float, limit: int) -> Sequence[Message]:
        with self._state.lock:
            return self._state.workflows.unpublished(before_s, limit, self._state.clock())

    async def statuses(self, ids: Sequence[str]) -> Sequence[WorkflowStatus | None]:
        with self._state.lock:
            return [self._state.workflows.status(each) for each in ids]

    async def latest(self, limit: int, state: WorkflowState | None = None, offset: int = 0) -> Sequence[WorkflowStatus]:
        with self._state.lock:
            return self._state.workflows.latest(limit, state, offset)

    async def nodes(self, workflow: str, numbers: Sequence[int] | None = None) -> Sequence[NodeView]:
        with self._state.lock:
            return self._state.workflows.nodes(workflow, numbers)

    async def states(self, workflow: str) -> NodeStates | None:
        with self._state.lock:
            return self._state.workflows.states(workflow)

    async def inputs(self, members: Sequence[Member]) -> Sequence[Input]:
        with self._state.lock:
            found: list[Input] = []
            for member in members:
                gathering = self._gathered(member.workflow, Gathering(inputs=[member.node]))
                found.append(gathering.input_of(member.node, member.run))
            return found

    async def value(self, workflow: str, node: int) -> Value:
        with self._state.lock:
            return self._gathered(workflow, Gathering(values=[node])).value_of(node)

    def _gathered(self, workflow: str, gathering: Gathering) -> Gathering:
        while missing := gathering.missing():
            gathering.add(self._state.workflows.nodes(workflow, missing))
        return gathering

    async def cancel(self, workflow: str) -> Sequence[str]:
        state, taken = self._state, StepTaken(publishes=False)
        with state.lock:
            now_s = state.clock()
            sent = state.workflows.cancel(workflow, taken, now_s)
            self._left(taken, now_s)
            return sent

    async def rerun(self, workflow: str, begun_at: Sequence[int] | None, broker: object) -> Sequence[Message]:
        state, taken = self._state, self._step(broker)
        with state.lock:
            now_s = state.clock()
            state.results.forget(state.workflows.rerun(workflow, begun_at, taken, now_s))
            return self._left(taken, now_s)

    async def forget(self, ids: Sequence[str]) -> int:
        with self._state.lock:
            return self._state.workflows.forget(ids)

    def _step(self, broker: object) -> StepTaken:
        return StepTaken(publishes=getattr(broker, "state", None) is self._state)

    def _left(self, taken: StepTaken, now_s: float) -> Sequence[Message]:
        """Carry out what can be done here; return what is left to the caller."""
        self._state.bells.ring(carry_out(self._state, taken, now_s))
        return () if taken.publishes else taken.messages


class MemoryJournal:
    """See `faena.backend.Journal`."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def read(self, task_id: str) -> Sequence[Entry]:
        with self._state.lock:
            return self._state.journals.read(task_id)

    async def write(self, task_id: str, entry: Entry, expires_at_s: float) -> Entry:
        with self._state.lock:
            return self._state.journals.write(task_id, entry, expires_at_s)

    async def event(self, name: str) -> Entry | None:
        with self._state.lock:
            return self._state.journals.event(name, self._state.clock())

    async def signal(self, event: Entry, expires_at_s: float, broker: object) -> Sequence[Message]:
        with self._state.lock:
            return self._wake(self._state.journals.signal(event, expires_at_s, self._state.clock()), broker)

    async def published(self, ids: Sequence[str]) -> None:
        with self._state.lock:
            self._state.journals.published(ids)

    async def park(self, parked: Sequence[Parked]) -> Sequence[bool]:
        with self._state.lock:
            now_s = self._state.clock()
            return [may_wait(self._state, each, now_s) and self._state.journals.park(each, now_s) for each in parked]

    async def due(self, grace_s: float, limit: int, broker: object) -> Sequence[Message]:
        with self._state.lock:
            return self._wake(self._state.journals.due(grace_s, limit, self._state.clock()), broker)

    async def parked(self, ids: Sequence[str]) -> Sequence[bool]:
        with self._state.lock:
            return [self._state.journals.is_parked(task_id) for task_id in ids]

    async def unpark(self, ids: Sequence[str]) -> Sequence[Message]:
        with self._state.lock:
            return self._state.journals.unpark(ids)

    async def postpone(self, ids: Sequence[str], due_at_s: float) -> None:
        with self._state.lock:
            self._state.journals.postpone(ids, due_at_s)

    async def waiting(self, ids: Sequence[str] | None, limit: int) -> Sequence[Parked]:
        with self._state.lock:
            return self._state.journals.waiting(ids, limit)

    async def end(self, ends: Mapping[str, JournalEnd]) -> None:
        with self._state.lock:
            for task_id, end in ends.items():
                self._state.journals.end(task_id, end)

    def _wake(self, parked: Sequence[Parked], broker: object) -> Sequence[Message]:
        state, now_s = self._state, self._state.clock()
        taken = StepTaken(publishes=getattr(broker, "state", None) is state)
        taken.messages = [each.message for each in parked]
        state.journals.wake(parked, publishes=taken.publishes, now_s=now_s)
        state.bells.ring(carry_out(state, taken, now_s))
        return () if taken.publishes else taken.messages


def may_wait(state: MemoryState, parked: Parked, now_s: float) -> bool:
    """Whether there is something to wait for: else nobody would wake it, and its next delivery says how it ends."""
    message = parked.message
    if state.journals.event(parked.event, now_s) is not None or state.results.is_revoked(message.id, now_s):
        return False
    return message.member is None or state.workflows.wants(message.member)


def carry_out(state: MemoryState, taken: StepTaken, now_s: float) -> set[Hashable]:
    """Record what ended, and publish what became ready where broker and backend are one; return what to ring."""
    touched: set[Hashable] = {("result", record.id) for record in taken.records if state.results.record(record)}
    for message in taken.messages if taken.publishes else ():
        state.messages.add(row_of(message), now_s)
        touched.add(("queue", message.queue))
    return touched
