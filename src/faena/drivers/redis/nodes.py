"""Nodes of workflows as they lie in Redis, and the words that scripts take of them.

    standing   state, flags, waits, run, cause, alias, since: 26 bytes (`STANDING`)
    compiled   base, further, length: 12 bytes; links, names and needs (MessagePack); the message in pieces
    outcome    codec, value, when it began and ended (MessagePack)
    failure    lengths of the codec, the error as a text, and its traceback; codec, text, the error (MessagePack)

Numbers in what was compiled count from `base`, which the server fills in where a graph comes to a workflow later. Of the
message everything is encoded here but what depends on the moment: the server puts the pieces together (`message_of` in
part_workflow.lua), so it publishes what begins without anybody's help.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from faena.backend import NewWorkflow
from faena.drivers.redis.messages import Words, encode, rank_of
from faena.errors import MessageTooLarge
from faena.model.ended import Cause, ended_record, text_of
from faena.model.message import Message
from faena.model.result import Failure, ResultRecord
from faena.model.workflow import (
    Ending,
    Graph,
    Links,
    Node,
    NodeState,
    NodeView,
    Policy,
    Standing,
    Step,
    Takes,
    Timing,
    Workflow,
    WorkflowState,
    WorkflowStatus,
    first_standing,
    node_id,
)

STANDING = struct.Struct(">BBiiiid")
STATES = tuple(NodeState)  # a state is kept as its place in here: only ever appended to
NUMBER_OF = {state: number for number, state in enumerate(STATES)}
VIRTUAL, _THROUGH_GROUP = 2, 1
_HEAD = struct.Struct(">III")
_MESSAGE = struct.Struct(">BHIIddd")
_FAILURE = struct.Struct(">HII")
_NEVER = -1.0


class _Compiled(Struct, frozen=True, array_like=True, gc=False):
    """What was compiled of a node. The scripts know the order of the fields."""

    dependents: tuple[int, ...]
    hooks: tuple[int, ...]
    policy: Policy
    is_virtual: bool
    is_join: bool
    timing: Timing | None
    id: str | None  # None: as its number says
    name: str
    needs: tuple[int, ...]  # those of a join stand by themselves
    takes: Takes
    fallback: int | None
    is_hook: bool
    is_aside: bool
    source: int | None = None


class Outcome(Struct, frozen=True, array_like=True, gc=False):
    content: str = ""  # the scripts read it, and nothing else
    value: bytes | None = None
    started_at_s: float | None = None
    finished_at_s: float | None = None


_compiled_in = msgspec.msgpack.Decoder(_Compiled).decode
outcome_in = msgspec.msgpack.Decoder(Outcome).decode
_failure_in = msgspec.msgpack.Decoder(Failure).decode
_workflow_in = msgspec.msgpack.Decoder(Workflow).decode
_FLAGS = {False: b"\xc2", True: b"\xc3"}


# -- to the server -----------------------------------------------------------------------------------------


def standing_bytes(standing: Standing, *, is_virtual: bool, now_s: float) -> bytes:
    flags = VIRTUAL * is_virtual + _THROUGH_GROUP * standing.through_group
    cause, alias = standing.cause, standing.alias
    return STANDING.pack(
        NUMBER_OF[standing.state], flags, standing.waits, standing.run, -1 if cause is None else cause,
        -1 if alias is None else alias, now_s,
    )  # fmt: skip


def compiled_bytes(node: Node, workflow: str, largest_bytes: int, *, feeds: bool = False) -> bytes:
    """Return what was compiled of a node. `feeds`: others take its value, whatever its message says."""
    links = node.links
    own_id = None if node.id == node_id(workflow, node.number) else node.id
    made = encode(
        _Compiled(
            links.dependents, links.hooks, links.policy, links.is_virtual, links.is_join, links.timing, own_id, node.name,
            () if links.is_join else node.needs, node.takes, node.fallback, node.is_hook, node.is_aside,
            links.source,
        )
    )  # fmt: skip
    head = _HEAD.pack(0, 0, len(made))
    return head + made + (_pieces(node.message, largest_bytes, feeds=feeds) if node.message is not None else b"")


def needs_bytes(node: Node) -> bytes:
    """Return the needs of a join; nothing for others."""
    return struct.pack(f">{len(node.needs)}I", *node.needs) if node.links.is_join else b""


def _pieces(message: Message, largest_bytes: int, *, feeds: bool) -> bytes:
    member = message.member
    assert member is not None
    # the fields before the moments, and those after them; an array of fewer than 16 has a head of one byte
    head = encode((message.task, message.queue, message.body, message.content, message.priority))[1:]
    middle = encode(
        (
            message.retries, message.root_id, message.parent_id, message.soft_time_limit_s, message.time_limit_s,
            message.ignore_result, message.headers, message.on_success, message.on_failure, message.origin,
            message.result_expires_s,
        )
    )[1:]  # fmt: skip
    if len(head) + len(middle) > largest_bytes:
        raise MessageTooLarge(len(head) + len(middle), largest_bytes, "Redis")
    queue = message.queue.encode()
    due_s, expires_at_s = message.due_at_s, message.expires_at_s
    fixed = _MESSAGE.pack(
        rank_of(message), len(queue), len(head), len(middle), message.sent_at_s,
        _NEVER if due_s is None else due_s, _NEVER if expires_at_s is None else expires_at_s,
    )  # fmt: skip
    tail = _FLAGS[member.feeds or feeds] + _FLAGS[member.is_grouped]
    return b"".join((fixed, queue, head, middle, tail))


def graph_words(graph: Graph, workflow: str, largest_bytes: int) -> Words:
    """Return the words of a graph that comes to a workflow later: its output, how many nodes, three words for each."""
    words: Words = [graph.output, len(graph.nodes)]
    for node in graph.nodes:
        blob = compiled_bytes(node, workflow, largest_bytes, feeds=node.number == graph.output)
        words += (first_standing(node).waits, blob, needs_bytes(node))
    return words


def ending_words(ending: Ending, largest_bytes: int) -> Words:
    """Return the words of an event, with their kind and number before them."""
    failure = b"" if ending.failure is None else _failure_bytes(ending.failure, ending.content)
    outcome = encode(Outcome(ending.content, ending.value, ending.started_at_s, ending.finished_at_s))
    graphs = [("a", graph) for graph in ending.added]
    if ending.replaced_by is not None:
        graphs.append(("r", ending.replaced_by))
    words: Words = [
        "e",
        7,
        ending.workflow,
        ending.node,
        ending.run,
        NUMBER_OF[ending.state],
        outcome,
        failure,
        len(graphs),
    ]
    for kind, graph in graphs:
        words.append(kind)
        words += graph_words(graph, ending.workflow, largest_bytes)
    words[1] = len(words) - 2
    return words


def _failure_bytes(failure: Failure, content: str) -> bytes:
    codec, text = (content or "json").encode(), text_of(failure).encode("utf-8", "replace")
    return _FAILURE.pack(len(codec), len(text), len(encode(failure.traceback))) + codec + text + encode(failure)


class Beginning:
    """A workflow as it stands once all has begun that can: nothing on the server has a say in that."""

    def __init__(self, new: NewWorkflow, largest_bytes: int) -> None:
        self._workflow, self._nodes, self._largest_bytes = new.workflow, new.graph.nodes, largest_bytes
        self._now_s = time.time()
        self._standings = [first_standing(node) for node in self._nodes]
        self._step = Step(self, new.workflow.output)
        self._step.begin(range(len(self._nodes)))
        self._ended = frozenset(self._step.ended)

    def __len__(self) -> int:
        return len(self._nodes)

    def standing(self, node: int) -> Standing:
        return self._standings[node]

    def links(self, node: int) -> Links:
        return self._nodes[node].links

    def head(self, token: str) -> Words:
        """Return what there is to say of the whole, and how many records of what ended with the beginning come next."""
        workflow, outcome = self._workflow, self._step.outcome
        keep = "" if workflow.keep_s is None else f"{workflow.keep_s * 1000:.3f}"
        return [
            workflow.id, encode(workflow), workflow.output, keep, workflow.root_id or workflow.id,
            outcome or WorkflowState.RUNNING, self._step.active, len(self._nodes), token, len(self.records()),
        ]  # fmt: skip

    def records(self) -> list[ResultRecord]:
        return [
            ended_record(self._workflow, number, node.id, node.name, self._standings[number], Cause(), self._now_s)
            for number in self._step.ended
            if (node := self._nodes[number]).id
        ]

    def node_words(self, number: int) -> tuple[bytes, bytes, bytes, bytes]:
        """Return standing, compiled, needs and outcome."""
        node = self._nodes[number]
        outcome = encode(Outcome(finished_at_s=self._now_s)) if number in self._ended else b""
        return (
            standing_bytes(self._standings[number], is_virtual=node.links.is_virtual, now_s=self._now_s),
            compiled_bytes(node, self._workflow.id, self._largest_bytes),
            needs_bytes(node),
            outcome,
        )


# -- from the server ---------------------------------------------------------------------------------------


def view_of(workflow: str, row: Sequence[Any]) -> NodeView:
    """Return a node of a row of the script `look`."""
    number, standing, compiled, joined, outcome, failed = row
    number = int(number)
    state, flags, waits, run, cause, alias, since_s = STANDING.unpack(standing)
    base, further, _ = _HEAD.unpack_from(compiled)
    made = _compiled_in(memoryview(compiled)[_HEAD.size :])
    needs = made.needs if joined is None else struct.unpack(f">{len(joined) // 4}I", joined)
    dependents, hooks, fallback, source = made.dependents, made.hooks, made.fallback, made.source
    if base:
        dependents, hooks = _moved(dependents, base), _moved(hooks, base)
        needs = needs if joined is not None else _moved(needs, base)
        fallback = None if fallback is None else fallback + base
        source = None if source is None else source + base
    if further:
        dependents = (further - 1, *dependents)
    known = Outcome() if outcome is None else outcome_in(outcome)
    return NodeView(
        number, node_id(workflow, number) if made.id is None else made.id, made.name,
        Links(dependents, hooks, made.policy, made.is_virtual, made.is_join, made.timing, source),
        Standing(STATES[state], waits, run, _number(cause), bool(flags & _THROUGH_GROUP), _number(alias)),
        tuple(needs), made.takes, fallback, made.is_hook, made.is_aside, known.value, known.content,
        None if failed is None else _failed_in(failed), known.started_at_s, known.finished_at_s, since_s,
    )  # fmt: skip


def returned_in(standing: bytes | None, outcome: bytes | None) -> Outcome | None:
    """Return the outcome of a task that ran and succeeded itself; None: it did not."""
    if standing is None or outcome is None or standing[0] != _SUCCESS or standing[1] & VIRTUAL:
        return None
    return outcome_in(outcome) if standing[_ALIAS] == _NO_ALIAS else None


_SUCCESS = NUMBER_OF[NodeState.SUCCESS]
_ALIAS, _NO_ALIAS = slice(14, 18), b"\xff\xff\xff\xff"


def status_of(row: Sequence[Any]) -> WorkflowStatus | None:
    body, state, size, active, finished, expires = row
    if body is None:
        return None
    return WorkflowStatus(
        _workflow_in(body), WorkflowState(state.decode()), int(size), int(active), _moment(finished), _moment(expires)
    )


def _number(found: int) -> int | None:
    return None if found < 0 else found


def _moment(text: bytes | None) -> float | None:
    return float(text) if text else None


def _failed_in(body: bytes) -> Failure:
    codec, text, _ = _FAILURE.unpack_from(body)
    return _failure_in(memoryview(body)[_FAILURE.size + codec + text :])


def _moved(numbers: Iterable[int], base: int) -> tuple[int, ...]:
    return tuple([number + base for number in numbers])
