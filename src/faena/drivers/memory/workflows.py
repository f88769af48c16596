"""The workflows of a memory backend. Plain data: the caller holds the lock and hands in the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from faena.backend import NewWorkflow
from faena.errors import WorkflowError
from faena.model.ended import Cause, ended_record
from faena.model.message import Member, Message
from faena.model.rerun import plan_rerun
from faena.model.result import Failure, ResultRecord
from faena.model.workflow import (
    ACTIVE_STATES,
    Ending,
    Graph,
    Links,
    Node,
    NodeState,
    NodeStates,
    NodeView,
    Standing,
    Step,
    Workflow,
    WorkflowState,
    WorkflowStatus,
    first_standing,
    placed,
    prepared,
)


class _Kept:
    """One node: what was compiled, and what became of it."""

    __slots__ = (
        "content",
        "failure",
        "finished_at_s",
        "links",
        "needs",
        "node",
        "since_s",
        "standing",
        "started_at_s",
        "value",
    )

    def __init__(self, node: Node, now_s: float) -> None:
        self.node, self.links, self.needs = node, node.links, node.needs
        self.standing = first_standing(node)
        self.value: bytes | None = None
        self.content = ""
        self.failure: Failure | None = None
        self.started_at_s: float | None = None
        self.finished_at_s: float | None = None
        self.since_s = now_s


class _One:
    """One workflow; it is the view of the law on itself."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.nodes: dict[int, _Kept] = {}
        self.state = WorkflowState.RUNNING
        self.active = 0
        self.finished_at_s: float | None = None
        self.expires_at_s: float | None = None

    def standing(self, node: int) -> Standing:
        return self.nodes[node].standing

    def links(self, node: int) -> Links:
        return self.nodes[node].links

    def status(self) -> WorkflowStatus:
        return WorkflowStatus(
            self.workflow, self.state, len(self.nodes), self.active, self.finished_at_s, self.expires_at_s
        )


class StepTaken:
    """What is left to do after a step: results to record, messages to publish."""

    def __init__(self, *, publishes: bool) -> None:
        self.publishes = publishes  # the messages go out in this very step
        self.records: list[ResultRecord] = []
        self.messages: list[Message] = []


class Workflows:
    def __init__(self) -> None:
        self._all: dict[str, _One] = {}

    def start(self, new: NewWorkflow, taken: StepTaken, now_s: float) -> bool:
        """Let a workflow begin; False: it is known already, and stays as it is."""
        if new.workflow.id in self._all:
            return False
        one = self._all[new.workflow.id] = _One(new.workflow)
        step = Step(one, new.workflow.output)
        self._add(one, new.graph, now_s)
        step.begin([node.number for node in new.graph.nodes])
        self._write(one, step, taken, now_s)
        return True

    def end(self, ending: Ending, taken: StepTaken, now_s: float) -> bool:
        """Take an event; False: it is no news."""
        one = self._all.get(ending.workflow)
        if one is None or ending.node not in one.nodes:
            return True
        kept = one.nodes[ending.node]
        step, is_news = Step(one, one.workflow.output), True
        if ending.added and kept.standing.run == ending.run and kept.standing.state in ACTIVE_STATES:
            join = step.group_of(ending.node)
            for graph in ending.added:
                added = self._add_placed(one, graph, () if join is None else (join,), now_s)
                if join is not None:
                    one.nodes[join].needs += (added.output,)
                    step.add(join, 1)
                step.begin([node.number for node in added.nodes])  # last: what runs nothing ends with that
        if ending.replaced_by is not None:
            if not step.replace(ending.node, ending.run, len(one.nodes) + ending.replaced_by.output):
                return False
            stand_in = self._add_placed(one, ending.replaced_by, (ending.node,), now_s)
            step.begin([node.number for node in stand_in.nodes])
        else:
            if kept.standing.run == ending.run and kept.standing.state in ACTIVE_STATES:
                kept.value, kept.content, kept.failure = ending.value, ending.content, ending.failure
                kept.started_at_s, kept.finished_at_s = ending.started_at_s, ending.finished_at_s
            is_news = step.end(ending)
        self._write(one, step, taken, now_s)
        return is_news

    def cancel(self, workflow: str, taken: StepTaken, now_s: float) -> list[str]:
        one = self._known(workflow)
        sent = [kept.node.id for kept in one.nodes.values() if kept.standing.state in ACTIVE_STATES]
        step = Step(one, one.workflow.output)
        step.revoke(list(one.nodes))
        self._write(one, step, taken, now_s)
        return sent

    def rerun(self, workflow: str, begun_at: Sequence[int] | None, taken: StepTaken, now_s: float) -> list[str]:
        """Return the ids whose results are to be forgotten first."""
        one = self._known(workflow)
        views = {view.number: view for view in self.nodes(workflow, None)}
        again = plan_rerun(workflow, views, begun_at)
        for number, standing in again.items():
            kept = one.nodes[number]
            kept.standing, kept.value, kept.failure = standing, None, None
            kept.started_at_s = kept.finished_at_s = None
        if one.workflow.output in again:
            one.state, one.finished_at_s = WorkflowState.RUNNING, None
        step = Step(one, one.workflow.output)
        step.begin(again)
        self._write(one, step, taken, now_s)
        return [one.nodes[number].node.id for number in again if one.nodes[number].node.id]

    def published(self, members: Iterable[Member], now_s: float) -> None:
        for member in members:
            one = self._all.get(member.workflow)
            kept = one.nodes.get(member.node) if one is not None else None
            if kept is not None and kept.standing.state is NodeState.READY and kept.standing.run == member.run:
                kept.standing.state, kept.since_s = NodeState.SENT, now_s

    def unpublished(self, before_s: float, limit: int, now_s: float) -> list[Message]:
        found: list[Message] = []
        for one in self._all.values():
            for kept in one.nodes.values() if one.active else ():
                if len(found) >= limit:
                    return found
                if kept.standing.state is NodeState.READY and kept.since_s < before_s:
                    found.append(_message(kept, now_s))
        return found

    def next_of(self, workflows: Iterable[str], now_s: float) -> list[Message]:
        """Return what stands unpublished of these workflows."""
        found = []
        for workflow in dict.fromkeys(workflows):
            one = self._all.get(workflow)
            for kept in one.nodes.values() if one is not None and one.active else ():
                if kept.standing.state is NodeState.READY:
                    found.append(_message(kept, now_s))  # noqa: PERF401 - two loops deep, it reads better so
        return found

    def status(self, workflow: str) -> WorkflowStatus | None:
        one = self._all.get(workflow)
        return one.status() if one is not None else None

    def latest(self, limit: int, state: WorkflowState | None, offset: int) -> list[WorkflowStatus]:
        fitting = [one for one in reversed(self._all.values()) if state is None or one.state is state]
        return [one.status() for one in fitting[offset : offset + limit]]

    def nodes(self, workflow: str, numbers: Sequence[int] | None) -> list[NodeView]:
        one = self._all.get(workflow)
        if one is None:
            return []
        wanted = sorted(one.nodes) if numbers is None else sorted(set(numbers))
        return [_seen(one.nodes[number]) for number in wanted if number in one.nodes]

    def wants(self, member: Member) -> bool:
        """Whether a node waits for the end of this very run."""
        one = self._all.get(member.workflow)
        kept = None if one is None else one.nodes.get(member.node)
        return kept is not None and kept.standing.run == member.run and kept.standing.state in ACTIVE_STATES

    def states(self, workflow: str) -> NodeStates | None:
        one = self._all.get(workflow)
        if one is None:
            return None
        kept = [one.nodes[number] for number in sorted(one.nodes)]
        return NodeStates(
            tuple([each.standing.state for each in kept]),
            frozenset([each.node.number for each in kept if each.links.is_virtual]),
        )

    def forget(self, ids: Iterable[str]) -> int:
        at_rest = [each for each in ids if each in self._all and not self._all[each].active]
        for each in at_rest:
            del self._all[each]
        return len(at_rest)

    def expire(self, limit: int, now_s: float) -> int:
        over = [
            each
            for each, one in self._all.items()
            if not one.active and one.expires_at_s is not None and one.expires_at_s <= now_s
        ]
        return self.forget(over[:limit])

    # -- within -------------------------------------------------------------------------------------------

    def _known(self, workflow: str) -> _One:
        one = self._all.get(workflow)
        if one is None:
            raise WorkflowError(workflow, "it is not known here, or it was forgotten since")
        return one

    def _add(self, one: _One, graph: Graph, now_s: float) -> None:
        for node in graph.nodes:
            one.nodes[node.number] = _Kept(node, now_s)

    def _add_placed(self, one: _One, graph: Graph, dependents: tuple[int, ...], now_s: float) -> Graph:
        whole = placed(graph, len(one.nodes), one.workflow.id, dependents)
        self._add(one, whole, now_s)
        return whole

    def _write(self, one: _One, step: Step, taken: StepTaken, now_s: float) -> None:
        for number in step.changed:
            one.nodes[number].since_s = now_s
        for number in step.ended:
            kept = one.nodes[number]
            if kept.node.id:
                cause = one.nodes.get(-1 if kept.standing.cause is None else kept.standing.cause)
                failed = Cause(cause.node.id, cause.failure, cause.content or "json") if cause is not None else Cause()
                record = ended_record(one.workflow, number, kept.node.id, kept.node.name, kept.standing, failed, now_s)
                taken.records.append(record)
            kept.finished_at_s = now_s
        for number in sorted(step.ready):
            kept = one.nodes[number]
            if kept.standing.state is not NodeState.READY:
                continue
            taken.messages.append(_message(kept, now_s))
            if taken.publishes:
                kept.standing.state = NodeState.SENT
        one.active += step.active
        if step.outcome is not None:
            one.state, one.finished_at_s = step.outcome, now_s
        keep_s = one.workflow.keep_s
        one.expires_at_s = now_s + keep_s if not one.active and keep_s is not None else None


def _message(kept: _Kept, now_s: float) -> Message:
    assert kept.node.message is not None
    return prepared(kept.node.message, kept.standing.run, kept.links.timing, now_s)


def _seen(kept: _Kept) -> NodeView:
    node, standing = kept.node, kept.standing
    copy = Standing(standing.state, standing.waits, standing.run, standing.cause, standing.through_group, standing.alias)
    return NodeView(
        node.number, node.id, node.name, kept.links, copy, kept.needs, node.takes, node.fallback, node.is_hook,
        node.is_aside, kept.value, kept.content, kept.failure, kept.started_at_s, kept.finished_at_s, kept.since_s,
    )  # fmt: skip
