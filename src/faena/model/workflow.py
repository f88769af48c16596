"""The law of workflows: what becomes of a graph when one of its nodes has ended.

A workflow is a directed graph without cycles. A node is a task, or it is *virtual*: it runs nothing, and ends when what it
needs has ended. A *join* is virtual and gathers the values of a group in their order; a *gate* is virtual and passes one
value on, under a policy of its own.

    WAITING ─▶ READY ─▶ SENT ─▶ SUCCESS | FAILURE | REVOKED | SKIPPED | TOLERATED
       └──────────────────────▶ ABANDONED                (a virtual node goes from WAITING to its end at once)

Each waiting node has one counter, of the needs that have not ended yet. An event is taken once: it must come from the run
of the node that stands, while the node is READY or SENT; its ending is what keeps it from being counted again. So events
may be repeated, late, or in any order. `Step` is the law, over a `View` that hands out one node at a time: over a
dictionary in the memory backend, over rows of a table in another. It changes nothing but what the view gave it.

At rest (`active` is 0) nothing of a workflow will happen by itself: every node that could begin has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from faena.model.message import Message
from faena.model.result import Failure

REFERENCE = "faena/node"
"""The `content` of a record whose value is that of a node: the result of a group, or of a task that was replaced."""


class NodeState(StrEnum):
    WAITING = "waiting"  # for what it needs; a hook waits for a failure
    READY = "ready"  # to be published
    SENT = "sent"
    SUCCESS = "success"
    FAILURE = "failure"
    REVOKED = "revoked"  # cancelled, or expired before it began
    SKIPPED = "skipped"  # failed, and the workflow goes on as if the node had not been written
    TOLERATED = "tolerated"  # failed, and its error goes on as its value
    ABANDONED = "abandoned"  # something it needs has failed: it will not run


ACTIVE_STATES = frozenset({NodeState.READY, NodeState.SENT})
UNENDED_STATES = frozenset({NodeState.WAITING, NodeState.READY, NodeState.SENT})
DONE_STATES = frozenset({NodeState.SUCCESS, NodeState.SKIPPED, NodeState.TOLERATED})
BROKEN_STATES = frozenset({NodeState.FAILURE, NodeState.REVOKED, NodeState.ABANDONED})


class Policy(StrEnum):
    """What the failure of a node means for those that need it."""

    FAIL = "fail"  # they are abandoned
    SKIP = "skip"  # left out: a group's list is shorter, a chain goes on with the value that came before
    CONTINUE = "continue"  # they get the error as the value


class Takes(StrEnum):
    """What a node is given of the nodes that it needs."""

    NOTHING = "nothing"
    VALUE = "value"  # of the only one, before its own arguments
    LIST = "list"  # of all, in their order; those that were skipped are left out
    FAILED = "failed"  # the id of the task that failed: for hooks


class Timing(Struct, frozen=True, gc=False, array_like=True):
    """Durations that count from the moment when a node becomes ready; seconds."""

    delay_s: float | None = None
    expires_s: float | None = None


class Links(Struct, frozen=True, gc=False, array_like=True):
    """What the law has to know of a node besides its standing."""

    dependents: tuple[int, ...] = ()  # the first is the next step of its chain or group; callbacks beside it come after
    hooks: tuple[int, ...] = ()  # nodes that run once if this one fails
    policy: Policy = Policy.FAIL
    is_virtual: bool = False
    is_join: bool = False
    timing: Timing | None = None
    source: int | None = None  # of a virtual node: what came before the part that it ends; if that broke, it never began


class Node(Struct, frozen=True, gc=False):
    """One node as it was compiled. `number` says where it stands in the workflow; others name it by that."""

    number: int
    id: str  # of its task or group; "": a gate, which nobody asks for
    name: str  # of its task; for people where it is virtual
    links: Links
    message: Message | None = None  # None: virtual
    needs: tuple[int, ...] = ()
    takes: Takes = Takes.NOTHING
    fallback: int | None = None  # whose value goes on where this node is skipped; None: there is none
    is_hook: bool = False  # begins when a node that names it in `hooks` fails
    is_aside: bool = False  # belongs to a hook or a callback: its end is not that of the workflow
    alias: int | None = None  # the node that stands in for it from the beginning


class Graph(Struct, frozen=True):
    """Nodes by number, each after those that it needs. `output` is the node whose end is that of the workflow."""

    nodes: tuple[Node, ...]
    output: int


class Workflow(Struct, frozen=True, array_like=True):
    """What is known of a workflow when it is sent. Moments in unix seconds, durations in seconds."""

    id: str
    name: str  # for people
    output: int
    sent_at_s: float
    keep_s: float | None = None  # how long it is kept once it is at rest; None: until forgotten
    root_id: str | None = None
    parent_id: str | None = None


class WorkflowState(StrEnum):
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"


class WorkflowStatus(Struct, frozen=True):
    """A workflow at one moment. `active` counts the nodes that are ready or sent; 0: it is at rest."""

    workflow: Workflow
    state: WorkflowState
    size: int
    active: int
    finished_at_s: float | None = None
    expires_at_s: float | None = None


class Standing(Struct, gc=False):
    """What changes of a node. Changed by the law only."""

    state: NodeState
    waits: int
    run: int = 0
    cause: int | None = None  # the node whose failure it suffers from, or (a hook) answers
    through_group: bool = False  # that failure came by way of a group
    alias: int | None = None  # the node that stands in for it, since its task asked to be replaced


class Ending(Struct, frozen=True, gc=False):
    """How the run of a node ended: an event. `value` is encoded by the codec `content`."""

    workflow: str
    node: int
    run: int
    state: NodeState  # SUCCESS, FAILURE or REVOKED
    value: bytes | None = None
    content: str = ""
    failure: Failure | None = None
    started_at_s: float | None = None
    finished_at_s: float | None = None
    replaced_by: Graph | None = None  # runs, and ends, in its place; numbered from 0, the backend gives it its place
    added: tuple[Graph, ...] = ()  # further members of the group that the node belongs to; numbered likewise


class NodeView(Struct, frozen=True):
    """A node with everything that is known of it, for those who look."""

    number: int
    id: str
    name: str
    links: Links
    standing: Standing
    needs: tuple[int, ...] = ()
    takes: Takes = Takes.NOTHING
    fallback: int | None = None
    is_hook: bool = False
    is_aside: bool = False
    value: bytes | None = None
    content: str = ""
    failure: Failure | None = None
    started_at_s: float | None = None
    finished_at_s: float | None = None
    since_s: float | None = None  # when its state changed last


class NodeStates(Struct, frozen=True):
    """The state of every node of a workflow at one moment, by number: little to read, also where the workflow is large."""

    states: Sequence[NodeState]
    virtual: frozenset[int] = frozenset()

    def counts(self) -> dict[NodeState, int]:
        """Return how many tasks are in each state; virtual nodes are none."""
        found = Counter(self.states)
        found.subtract(Counter(self.states[number] for number in self.virtual))
        return {state: found[state] for state in NodeState if found[state]}


class View(Protocol):
    """The nodes of one workflow, each loaded when it is asked for, and the same object every time."""

    def standing(self, node: int) -> Standing: ...

    def links(self, node: int) -> Links: ...


class Step:
    """The consequences of events, gathered until somebody writes them down."""

    def __init__(self, view: View, output: int) -> None:
        self._view, self._output = view, output
        self.changed: dict[int, Standing] = {}
        self.ready: list[int] = []  # to be published
        self.ended: list[int] = []  # ended without a run of their own: their results are for the backend to record
        self.active = 0  # how many more are ready or sent than before
        self.outcome: WorkflowState | None = None  # of the whole, once its output has ended

    def begin(self, numbers: Iterable[int]) -> None:
        """Let those begin that need nothing; their standings are WAITING with nothing left to wait for."""
        for number in numbers:
            standing = self._view.standing(number)
            if standing.state is NodeState.WAITING and standing.waits == 0:
                self._begin_one(number, standing)

    def end(self, ending: Ending) -> bool:
        """Take an event; say whether it was news."""
        standing = self._view.standing(ending.node)
        if standing.run != ending.run or standing.state not in ACTIVE_STATES or standing.alias is not None:
            return False
        self.active -= 1
        if ending.state is NodeState.SUCCESS:
            self._conclude(ending.node, standing, NodeState.SUCCESS)
        else:
            self._fail(ending.node, standing, ending.state, cause=ending.node, through_group=False)
        return True

    def replace(self, number: int, run: int, output: int) -> bool:
        """Let the node `output`, which names `number` as its dependent, stand in for a node that runs."""
        standing = self._view.standing(number)
        if standing.run != run or standing.state not in ACTIVE_STATES or standing.alias is not None:
            return False
        self.active -= 1
        self._set(number, standing, NodeState.WAITING)
        standing.waits, standing.alias = 1, output
        return True

    def group_of(self, number: int) -> int | None:
        """Return the join that a node leads to, on its way through its chain; None: it belongs to no group."""
        seen: set[int] = set()
        while number not in seen:
            seen.add(number)
            for dependent in self._view.links(number).dependents:
                number = dependent
                break
            if self._view.links(number).is_join:
                return number
        return None

    def add(self, join: int, count: int) -> None:
        """Let a group that is not complete wait for more members."""
        standing = self._view.standing(join)
        if standing.state is NodeState.WAITING:
            standing.waits += count
            self.changed[join] = standing

    def revoke(self, numbers: Iterable[int]) -> None:
        """End these and whatever needs them, whether they have begun or not; no hook runs."""
        for number in numbers:
            standing = self._view.standing(number)
            if standing.state in ACTIVE_STATES:
                self.active -= 1
            elif standing.state is not NodeState.WAITING:
                continue
            self._set(number, standing, NodeState.REVOKED)
            standing.cause = number
            self.ended.append(number)
            if number == self._output:
                self.outcome = WorkflowState.REVOKED

    # -- the law -------------------------------------------------------------------------------------------

    def _fail(self, number: int, standing: Standing, state: NodeState, *, cause: int, through_group: bool) -> None:
        """End a node that has failed itself, or by what stands in for it."""
        links = self._view.links(number)
        standing.cause, standing.through_group = cause, through_group
        match links.policy:
            case Policy.SKIP:
                state = NodeState.SKIPPED
            case Policy.CONTINUE:
                state = NodeState.TOLERATED
            case Policy.FAIL:
                pass
        if state is not NodeState.REVOKED:
            self._fire(links.hooks, cause)
        self._conclude(number, standing, state)

    def _conclude(self, number: int, standing: Standing, state: NodeState) -> None:
        """End a node, and everything that ends with it."""
        self._set(number, standing, state)
        pending = [number]
        for source in pending:  # grows; breadth first, so that groups begin in their order
            if source == self._output:
                self.outcome = _outcome_of(self._view.standing(source).state)
            pending.extend(self._pass_on(source))

    def _pass_on(self, source: int) -> list[int]:
        """Tell the dependents of a node that it has ended; return those that end with it."""
        standing, links = self._view.standing(source), self._view.links(source)
        done = standing.state in DONE_STATES
        ended: list[int] = []
        for number in links.dependents:
            waiting = self._view.standing(number)
            if waiting.state is not NodeState.WAITING:
                continue
            if done:
                waiting.waits -= 1
                self.changed[number] = waiting
                if waiting.waits == 0 and self._begin_alone(number, waiting):
                    ended.append(number)
            else:
                own = links.is_join and self._has_begun(links)
                self._break(number, waiting, standing, through_group=standing.through_group or own)
                ended.append(number)
        return ended

    def _begin_one(self, number: int, standing: Standing) -> None:
        if self._begin_alone(number, standing):
            pending = [number]
            for source in pending:
                if source == self._output:
                    self.outcome = _outcome_of(self._view.standing(source).state)
                pending.extend(self._pass_on(source))

    def _begin_alone(self, number: int, standing: Standing) -> bool:
        """Begin a node whose needs are done; say whether it has ended with that, as a virtual one does."""
        if standing.alias is not None or self._view.links(number).is_virtual:
            self._set(number, standing, NodeState.SUCCESS)
            self.ended.append(number)
            return True
        self._set(number, standing, NodeState.READY)
        self.ready.append(number)
        self.active += 1
        return False

    def _break(self, number: int, standing: Standing, source: Standing, *, through_group: bool) -> None:
        """End a node of which a need has failed."""
        links = self._view.links(number)
        stands_for_itself = standing.alias is not None  # its own task has failed, only elsewhere
        state = NodeState.FAILURE if stands_for_itself else NodeState.ABANDONED
        if (
            links.is_virtual and self._has_begun(links)
        ) or stands_for_itself:  # else it suffers from what another part has to answer for
            if links.policy is not Policy.FAIL:
                state = NodeState.SKIPPED if links.policy is Policy.SKIP else NodeState.TOLERATED
            self._fire(links.hooks, source.cause)
        standing.cause, standing.through_group = source.cause, through_group
        self._set(number, standing, state)
        self.ended.append(number)

    def _has_begun(self, links: Links) -> bool:
        """Whether the part that a virtual node ends could begin: what came before it did not break."""
        return links.source is None or self._view.standing(links.source).state not in BROKEN_STATES

    def _fire(self, hooks: Sequence[int], cause: int | None) -> None:
        for number in hooks:
            standing = self._view.standing(number)
            if standing.state is NodeState.WAITING and standing.waits == 1 and standing.cause is None:
                standing.waits, standing.cause = 0, cause
                self.changed[number] = standing
                self._begin_one(number, standing)

    def _set(self, number: int, standing: Standing, state: NodeState) -> None:
        standing.state = state
        self.changed[number] = standing


def first_standing(node: Node) -> Standing:
    """Return the standing of a node of a workflow that begins."""
    waits = 1 if node.is_hook else len(node.needs)
    return Standing(NodeState.WAITING, waits, alias=node.alias)


def node_id(workflow: str, number: int) -> str:
    """Return the id of the task or group of a node, unless it was given one."""
    return f"{workflow}.{number}"


def placed(graph: Graph, base: int, workflow: str, dependents: tuple[int, ...]) -> Graph:
    """Return a graph with its numbers counted from `base`; its output is what the `dependents` need."""

    def shift(numbers: tuple[int, ...]) -> tuple[int, ...]:
        return tuple([number + base for number in numbers])

    nodes = []
    for node in graph.nodes:
        number = node.number + base
        links = msgspec.structs.replace(
            node.links,
            dependents=(dependents if node.number == graph.output else ()) + shift(node.links.dependents),
            hooks=shift(node.links.hooks),
            source=None if node.links.source is None else node.links.source + base,
        )
        own_id = node_id(workflow, number) if node.id == node_id(workflow, node.number) else node.id
        message = node.message
        if message is not None and message.member is not None:
            feeds = message.member.feeds or node.number == graph.output
            member = msgspec.structs.replace(message.member, node=number, feeds=feeds)
            message = msgspec.structs.replace(message, id=own_id, member=member)
        nodes.append(
            Node(
                number, own_id, node.name, links, message, shift(node.needs), node.takes,
                None if node.fallback is None else node.fallback + base, node.is_hook, node.is_aside,
            )
        )  # fmt: skip
    return Graph(tuple(nodes), graph.output + base)


def prepared(message: Message, run: int, timing: Timing | None, now_s: float) -> Message:
    """Return the message of a node that becomes ready now."""
    member = message.member
    assert member is not None
    changes: dict[str, Any] = {"sent_at_s": now_s}
    if member.run != run:
        changes["member"] = msgspec.structs.replace(member, run=run)
        if message.expires_at_s is not None:  # the time it has is as long as it was
            changes["expires_at_s"] = now_s + message.expires_at_s - message.sent_at_s
    if timing is not None and timing.delay_s is not None:
        changes["due_at_s"] = now_s + timing.delay_s
    if timing is not None and timing.expires_s is not None:
        changes["expires_at_s"] = now_s + timing.expires_s
    return msgspec.structs.replace(message, **changes)


def reference_to(workflow: str, node: int) -> bytes:
    """Return the value of a record with the content REFERENCE."""
    return f"{node} {workflow}".encode()


def referred(value: bytes) -> tuple[str, int]:
    """Return workflow and node of a reference."""
    node, _, workflow = value.decode().partition(" ")
    return workflow, int(node)


def _outcome_of(state: NodeState) -> WorkflowState:
    if state in DONE_STATES:
        return WorkflowState.SUCCESS
    return WorkflowState.REVOKED if state is NodeState.REVOKED else WorkflowState.FAILURE
