"""One workflow, looked at again and again. What cannot change is read once, so that a large one costs little."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faena._lib.drive import run
from faena.cli.outcome import iso, progress_text, value_of
from faena.cli.workflow_rows import Facts, Row, Rows, Shown, counted, progress_of, runtime_of, shown_state, state_of
from faena.cli.workflow_tree import FOLD_ABOVE, Steps, items_in, tree_of
from faena.errors import WorkflowError
from faena.model.result import State
from faena.model.workflow import NodeState, NodeStates, NodeView, WorkflowStatus

if TYPE_CHECKING:
    from faena.cli.session import Session

_AT_ONCE = 1000  # nodes or records of one look
_WHOLE_UP_TO = 2000  # nodes of a workflow that is read as a whole each time
_ACTIVE = (NodeState.WAITING, NodeState.READY, NodeState.SENT)


@dataclass(frozen=True, slots=True)
class Look:
    """A workflow at one moment."""

    status: WorkflowStatus
    counts: Mapping[NodeState, int]
    steps: Steps
    nodes: Mapping[int, NodeView]  # those that are shown, and their names' sake those that failed before them
    facts: Mapping[int, Facts]
    now_s: float

    @property
    def is_at_rest(self) -> bool:
        return self.status.active == 0

    @property
    def open_ids(self) -> list[str]:
        """The ids whose results can tell of a change."""
        shown = [item.node for item in items_in(self.steps)]
        return [node.id for node in shown if node.id and node.standing.state in _ACTIVE]

    def rows(self) -> list[Row]:
        names = {number: node.name for number, node in self.nodes.items()}
        return list(Rows(self.status, self.facts, names, self.now_s).of(self.steps))

    def states(self) -> dict[int, Shown]:
        """Return what is said of each node that is shown."""
        shown = items_in(self.steps)
        return {item.node.number: state_of(item, self.facts, is_at_rest=self.is_at_rest) for item in shown}

    def _shown(self, node: NodeView) -> Shown:
        return shown_state(node, self.facts.get(node.number, Facts()), is_at_rest=self.is_at_rest)

    def summary(self) -> str:
        """Say how far it is in a line."""
        if self.is_at_rest:
            counts: dict[NodeState, int] = {
                state: count for state, count in self.counts.items() if state is not NodeState.WAITING
            }
            return counted(counts)
        found = progress_of(self.counts, is_at_rest=False)
        parts = [f"{found['done']:,} of {found['tasks']:,} tasks done"]
        parts += [f"{found[each]:,} {each}" for each in ("failed", "running", "waiting") if found[each]]
        return ", ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        return {
            **status_as_dict(self.status, self.counts),
            "output": self.status.workflow.output,
            "nodes": [self._node_as_dict(self.nodes[number]) for number in sorted(self.nodes)],
        }

    def _node_as_dict(self, node: NodeView) -> dict[str, Any]:
        facts = self.facts.get(node.number, Facts())
        record, failure = facts.record, node.failure
        if failure is None and record is not None and record.state == State.RETRY:
            failure = record.failure
        started_at_s = node.started_at_s
        if started_at_s is None and record is not None and not record.is_terminal:
            started_at_s = record.started_at_s
        return {
            "number": node.number,
            "id": node.id or None,
            "task": node.name or None,
            "kind": "group" if node.links.is_join else "part" if node.links.is_virtual else "task",
            "state": self._shown(node),
            "needs": list(node.needs),
            "hooks": list(node.links.hooks),
            "is_hook": node.is_hook,
            "is_aside": node.is_aside,
            "policy": node.links.policy,
            "replaced_by": node.standing.alias,
            "because_of": node.standing.cause if node.standing.cause != node.number else None,
            "run": node.standing.run,
            "retries": record.retries if record is not None else 0,
            "progress": facts.progress or None,
            "error": None if failure is None else {"type": failure.type_name, "message": failure.message},
            "started_at": iso(started_at_s),
            "finished_at": iso(node.finished_at_s),
            "runtime_s": runtime_of(node, facts, self.now_s),
        }


class WorkflowView:
    """Looks at one workflow. Raises WorkflowError where it is not known any more."""

    def __init__(self, session: Session, workflow: str, *, unfolded: bool = False) -> None:
        self._session, self.workflow = session, workflow
        self._fold_above = None if unfolded else FOLD_ABOVE
        self._kept: dict[int, NodeView] = {}

    def look(self, *, whole: bool = False) -> Look:
        """Return what it is at now; `whole`: every node, whether or not it is shown."""
        workflows = self._session.connected_app.workflows
        for _ in range(2):
            # in this order: what is at rest has the states that it ends with
            status, states = workflows.status(self.workflow), workflows.states(self.workflow)
            if states is None or status is None:
                break
            self._refresh(states, everything=whole or self._fold_above is None)
            try:
                steps = tree_of(self, states.states, status.workflow.output, self._fold_above)
            except KeyError:
                continue  # it was forgotten, or run again from somewhere, while it was read
            shown = self._kept if whole else {item.node.number: item.node for item in items_in(steps)}
            causes = {node.standing.cause for node in shown.values() if node.standing.cause is not None}
            nodes = {**shown, **{number: self[number] for number in causes}}
            return Look(status, states.counts(), steps, nodes, self._facts(nodes.values()), time.time())
        raise WorkflowError(self.workflow, "it is not known here, or it was forgotten since")

    def __getitem__(self, number: int) -> NodeView:
        """Return a node; those around it are read with it, as they are asked for next."""
        if number not in self._kept:
            first = max(0, number - _AT_ONCE + 1)
            self._load([each for each in range(first, number + 1) if each not in self._kept])
        return self._kept[number]

    # -- internals -----------------------------------------------------------------------------------------

    def _refresh(self, states: NodeStates, *, everything: bool) -> None:
        """Read again what may have changed since it was read."""
        size = len(states.states)
        if everything or size <= _WHOLE_UP_TO:
            self._kept.clear()
            self._kept.update({node.number: node for node in self._nodes(None)})
            return
        changed = [
            number
            for number, node in self._kept.items()
            if number >= size or (state := states.states[number]) in _ACTIVE or state is not node.standing.state
        ]
        for number in changed:
            del self._kept[number]
        self._load(changed)

    def _load(self, numbers: Sequence[int]) -> None:
        for at in range(0, len(numbers), _AT_ONCE):
            self._kept.update({node.number: node for node in self._nodes(numbers[at : at + _AT_ONCE])})

    def _nodes(self, numbers: Sequence[int] | None) -> Sequence[NodeView]:
        return self._session.connected_app.workflows.nodes(self.workflow, numbers)

    def _facts(self, nodes: Iterable[NodeView]) -> dict[int, Facts]:
        """Read what records and the broker know of the tasks that are under way."""
        sent = [node for node in nodes if node.standing.state is NodeState.SENT]
        found: dict[int, Facts] = {}
        for at in range(0, len(sent), _AT_ONCE):
            part = sent[at : at + _AT_ONCE]
            records = run(self._session.link.backend.read([node.id for node in part]))
            for node, record in zip(part, records, strict=True):
                if record is not None and record.state not in (State.PENDING, State.RECEIVED):
                    progress = "" if record.failure is not None else progress_text(value_of(self._session, record))
                    found[node.number] = Facts(record, progress=progress)
            self._locate([node for node in part if node.number not in found], found)
        return found

    def _locate(self, nodes: Sequence[NodeView], found: dict[int, Facts]) -> None:
        broker = self._session.link.broker
        if nodes and broker.capabilities.locates:
            places = run(broker.locate([node.id for node in nodes]))
            found.update({node.number: Facts(place=place) for node, place in zip(nodes, places, strict=True)})


def status_as_dict(status: WorkflowStatus, counts: Mapping[NodeState, int]) -> dict[str, Any]:
    """Return what is known of a workflow without its nodes, for JSON."""
    workflow = status.workflow
    return {
        "id": workflow.id,
        "name": workflow.name,
        "state": status.state,
        "is_at_rest": status.active == 0,
        **progress_of(counts, is_at_rest=status.active == 0),
        "states": {str(state): count for state, count in counts.items()},
        "sent_at": iso(workflow.sent_at_s),
        "finished_at": iso(status.finished_at_s),
        "expires_at": iso(status.expires_at_s),
        "root_id": workflow.root_id,
        "parent_id": workflow.parent_id,
    }
