"""Steps of workflows that nobody will run any more: their message is gone, and nobody has said how they ended.

A queue was purged, a broker has lost its data, or whoever took a message out died before saying so. Left alone, the
workflow would go on for ever. Such a step fails, with the reason: what comes after it goes its way, and it can be run
again.

    SENT for a while ──▶ neither in the broker nor kept by the backend ──the same again, one look later──▶ FAILURE

Until its end is known, a message is in the broker (waiting, delayed, held, under a limit) or kept by the backend (it waits
for an event). Whoever moves it from one to the other lays it down before it takes it up, or does both in one step, so that
it is never in neither; two looks must agree because a question to two stores is not one moment. A message that is kept
anywhere else would be taken for gone: a new place has to be asked here, too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from faena.app.links import Link
from faena.engine.completion import carry_on
from faena.errors import MessageLostError
from faena.model.result import Failure, ResultRecord, State
from faena.model.workflow import Ending, NodeState, Workflow, WorkflowState

log = logging.getLogger("faena.scheduler")

EVERY_S, GRACE_S = 60.0, 60.0
_WORKFLOWS_AT_ONCE, _NODES_AT_ONCE = 100, 1000  # in one look; the next goes on behind them


class _Step(Struct, frozen=True):
    """A step that was sent."""

    workflow: Workflow
    number: int
    run: int
    id: str
    task: str


class Strays:
    """Looks through the workflows that go on, a part at a time; what is missing at two looks in a row fails."""

    def __init__(self, *, every_s: float = EVERY_S, grace_s: float = GRACE_S) -> None:
        self._every_s, self._grace_s = every_s, grace_s
        self._next_s = time.monotonic() + every_s  # whoever has just begun to lead looks when there is nothing else to do
        self._missing: list[_Step] = []
        self._offset = self._looks = 0

    async def look(self, link: Link) -> int:
        """Look, if it is time to; return how many steps have failed for it."""
        can = link.broker.capabilities
        if time.monotonic() < self._next_s or not (can.locates and can.finds_all):
            return 0
        self._next_s = time.monotonic() + self._every_s
        self._looks += 1
        suspects, self._missing = self._missing, []
        lost = await _missing(link, await self._still_sent(link, suspects))
        for at in range(0, len(lost), _NODES_AT_ONCE):
            await _fail(link, lost[at : at + _NODES_AT_ONCE])
        self._missing = await self._looked_through(link)
        return len(lost)

    async def _looked_through(self, link: Link) -> list[_Step]:
        """Return what is missing of the next workflows."""
        workflows = link.backend.workflows
        statuses = await workflows.latest(_WORKFLOWS_AT_ONCE, WorkflowState.RUNNING, self._offset)
        self._offset = self._offset + len(statuses) if len(statuses) == _WORKFLOWS_AT_ONCE else 0
        found: list[_Step] = []
        before_s = time.time() - self._grace_s
        for status in statuses:
            is_old = status.active and status.workflow.sent_at_s <= before_s
            states = await workflows.states(status.workflow.id) if is_old else None
            if states is not None:
                numbers = [number for number, state in enumerate(states.states) if state is NodeState.SENT]
                found += await self._missing_of(link, status.workflow, numbers)
        return found

    async def _missing_of(self, link: Link, workflow: Workflow, numbers: Sequence[int]) -> list[_Step]:
        """Look at a part of a large workflow, in turn; where something is missing in it, at all of it.

        All that is missing has to fail together: the first failure may end the workflow, and then nobody looks at it again.
        """
        parts = [numbers[at : at + _NODES_AT_ONCE] for at in range(0, len(numbers), _NODES_AT_ONCE)]
        first = self._looks % len(parts) if parts else 0
        found: list[_Step] = []
        for part in parts[first:] + parts[:first]:
            found += await _missing(link, await self._sent_of(link, workflow, part))
            if not found:
                break
        return found

    async def _sent_of(self, link: Link, workflow: Workflow, numbers: Sequence[int]) -> list[_Step]:
        before_s = time.time() - self._grace_s
        views = await link.backend.workflows.nodes(workflow.id, numbers) if numbers else ()
        return [
            _Step(workflow, view.number, view.standing.run, view.id, view.name)
            for view in views
            if view.standing.state is NodeState.SENT and view.id and (view.since_s or 0.0) <= before_s
        ]

    async def _still_sent(self, link: Link, suspects: Iterable[_Step]) -> list[_Step]:
        """Return those that have not ended, or begun anew, since the look before."""
        by_workflow: dict[str, list[_Step]] = {}
        for step in suspects:
            by_workflow.setdefault(step.workflow.id, []).append(step)
        still: list[_Step] = []
        for steps in by_workflow.values():
            found = await self._sent_of(link, steps[0].workflow, [step.number for step in steps])
            before = {(step.number, step.run) for step in steps}
            still += [step for step in found if (step.number, step.run) in before]
        return still


async def _missing(link: Link, steps: Sequence[_Step]) -> list[_Step]:
    """Return those whose message is neither in the broker nor kept by the backend."""
    if not steps:
        return []
    kept = await link.backend.journal.parked([step.id for step in steps])
    away = [step for step, is_kept in zip(steps, kept, strict=True) if not is_kept]
    places = await link.broker.locate([step.id for step in away]) if away else ()
    return [step for step, place in zip(away, places, strict=True) if place is None]


async def _fail(link: Link, steps: Sequence[_Step]) -> None:
    log.error(
        "%d steps of workflows fail: their messages are gone, and nobody has said how they ended; the first is task %s "
        "of workflow %s", len(steps), steps[0].id, steps[0].workflow.id,
    )  # fmt: skip
    now_s = time.time()
    records: list[ResultRecord] = []
    endings: list[Ending] = []
    for step in steps:
        workflow = step.workflow
        text = (
            f"the message of task '{step.task}' is gone: its queue was purged, or its broker has lost it; "
            f"`faena workflow retry {workflow.id}` runs it again"
        )
        failure = Failure(MessageLostError.__module__, MessageLostError.__qualname__, text)
        expires_at_s = now_s + workflow.keep_s if workflow.keep_s else None
        record = ResultRecord(step.id, step.task, State.FAILURE, failure=failure, finished_at_s=now_s)
        records.append(replace(record, root_id=workflow.root_id or workflow.id, expires_at_s=expires_at_s))
        endings.append(Ending(workflow.id, step.number, step.run, NodeState.FAILURE, failure=failure, finished_at_s=now_s))
    await carry_on(link.broker, link.backend, await link.backend.workflows.advance(records, endings))
