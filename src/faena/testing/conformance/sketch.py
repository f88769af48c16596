"""Workflows for tests, drawn node by node; and the events that drive them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from faena._lib.ids import new_id
from faena.backend import Backend, NewWorkflow
from faena.model.inputs import FailedId
from faena.model.message import Member, Message
from faena.model.result import Failure, ResultRecord, State
from faena.model.workflow import (
    Ending,
    Graph,
    Links,
    Node,
    NodeState,
    Policy,
    Standing,
    Takes,
    Timing,
    Workflow,
    node_id,
)
from faena.testing.conformance.stage import message

ELSEWHERE = object()
"""A broker that is no store of any backend: what begins is handed out."""
BOOM = Failure("builtins", "ValueError", "boom", b'["boom"]')
_STATES = {
    NodeState.SUCCESS: State.SUCCESS,
    NodeState.FAILURE: State.FAILURE,
    NodeState.REVOKED: State.REVOKED,
}


class Sketch:
    """Draws a workflow; each verb adds a node and returns its number."""

    def __init__(self, workflow: str | None = None, *, keep_s: float | None = None, queue: str = "default") -> None:
        self.id = workflow or f"flow-{new_id()}"
        self._keep_s, self._queue = keep_s, queue
        self._nodes: list[Node] = []

    def task(
        self,
        *needs: int,
        takes: Takes | None = None,
        policy: Policy = Policy.FAIL,
        fallback: int | None = None,
        guards: Iterable[int] = (),
        timing: Timing | None = None,
        task_id: str | None = None,
        is_aside: bool = False,
        **fields: Any,
    ) -> int:
        """Add a task after `needs`, or one that runs when one of those that it `guards` fails."""
        number, hooked = len(self._nodes), tuple(guards)
        if takes is None:
            takes = Takes.FAILED if hooked else Takes.VALUE if needs else Takes.NOTHING
        own_id = node_id(self.id, number) if task_id is None else task_id
        member = Member(self.id, number, 0, feeds=True)
        sent = message(id=own_id, queue=self._queue, member=member, **fields)
        links = Links((), (), policy, timing=timing)
        self._add(
            Node(number, own_id, sent.task, links, sent, needs, takes, fallback, bool(hooked), is_aside or bool(hooked)),
            hooked,
        )
        return number

    def join(self, *needs: int, policy: Policy = Policy.FAIL, fallback: int | None = None) -> int:
        number = len(self._nodes)
        links = Links((), (), policy, is_virtual=True, is_join=True, source=fallback)
        takes = Takes.LIST if needs else Takes.NOTHING
        self._add(Node(number, node_id(self.id, number), "group", links, None, needs, takes, fallback))
        return number

    def gate(self, need: int, *, policy: Policy = Policy.FAIL, fallback: int | None = None) -> int:
        number = len(self._nodes)
        links = Links((), (), policy, is_virtual=True, source=fallback)
        self._add(Node(number, "", "", links, None, (need,), Takes.VALUE, fallback))
        return number

    def graph(self, output: int) -> Graph:
        return Graph(tuple(self._nodes), output)

    def new(self, output: int | None = None, *, sent_at_s: float = 1000.0, name: str = "a sketch") -> NewWorkflow:
        """Return the workflow; its output is the node added last, unless it is said."""
        number = len(self._nodes) - 1 if output is None else output
        return NewWorkflow(Workflow(self.id, name, number, sent_at_s, self._keep_s), self.graph(number))

    def _add(self, node: Node, guards: Iterable[int] = ()) -> None:
        self._nodes.append(node)
        for need in dict.fromkeys(node.needs):
            links = self._nodes[need].links
            self._relink(need, replace(links, dependents=(*links.dependents, node.number)))
        for guarded in guards:
            links = self._nodes[guarded].links
            self._relink(guarded, replace(links, hooks=(*links.hooks, node.number)))

    def _relink(self, number: int, links: Links) -> None:
        self._nodes[number] = replace(self._nodes[number], links=links)


def chain(length: int, **more: Any) -> NewWorkflow:
    """Return a workflow of tasks one after the other."""
    sketch = Sketch(**more)
    sketch.task()
    for number in range(length - 1):
        sketch.task(number)
    return sketch.new()


def ending(
    new: NewWorkflow | str, node: int, value: bytes | None = None, state: NodeState = NodeState.SUCCESS, **fields: Any
) -> Ending:
    """Return the event that a node has ended so."""
    workflow = new if isinstance(new, str) else new.workflow.id
    if state is not NodeState.SUCCESS:
        fields.setdefault("failure", BOOM)
    return Ending(
        **{"workflow": workflow, "node": node, "run": 0, "state": state, "value": value, "content": "json", **fields}
    )


def failure_of(task_id: str) -> FailedId:
    """Return what a hook is given of a node that failed as `failed` says."""
    return FailedId(task_id, "tasks.add", BOOM, "json")


def failed(new: NewWorkflow | str, node: int, **fields: Any) -> Ending:
    return ending(new, node, None, NodeState.FAILURE, **fields)


def result_of(event: Ending) -> ResultRecord:
    """Return the record of the task that ended so."""
    return ResultRecord(
        node_id(event.workflow, event.node), "tasks.add", _STATES[event.state], event.value, failure=event.failure
    )


def sent(messages: Iterable[Message]) -> list[int]:
    """Return the numbers of the nodes whose messages these are."""
    return [each.member.node for each in messages if each.member is not None]


def as_drawn(messages: Iterable[Message]) -> list[Message]:
    """Return messages without the moment of their sending."""
    return [replace(each, sent_at_s=0.0) for each in messages]


def members_of(messages: Iterable[Message]) -> list[Member]:
    return [each.member for each in messages if each.member is not None]


async def states(backend: Backend, workflow: str) -> list[NodeState]:
    """Return the states of all nodes of a workflow, by number."""
    return [view.standing.state for view in await backend.workflows.nodes(workflow)]


async def standing(backend: Backend, workflow: str, node: int) -> Standing:
    (view,) = await backend.workflows.nodes(workflow, [node])
    return view.standing


async def begin(backend: Backend, new: NewWorkflow) -> list[int]:
    """Start a workflow and publish what is handed out; return the numbers of the nodes that began."""
    ready = await backend.workflows.start(new, ELSEWHERE)
    await backend.workflows.published(members_of(ready))
    return sent(ready)


async def step(backend: Backend, *events: Ending) -> list[int]:
    """Take events with the results of their tasks, and publish what is handed out; return the nodes that began."""
    records = [result_of(each) for each in events if each.replaced_by is None]
    ready = await backend.workflows.advance(records, events)
    await backend.workflows.published(members_of(ready))
    return sent(ready)


async def play(backend: Backend, *events: Ending) -> list[list[int]]:
    """Take events one after the other; return what each of them let begin."""
    return [await step(backend, each) for each in events]


def moments(messages: Sequence[Message]) -> list[tuple[float | None, float | None]]:
    """Return when each is due and when it expires, counted from its sending."""
    return [
        (
            None if each.due_at_s is None else each.due_at_s - each.sent_at_s,
            None if each.expires_at_s is None else each.expires_at_s - each.sent_at_s,
        )
        for each in messages
    ]
