"""The steps of workflows, each within the transaction of its caller.

The law is `faena.model.workflow.Step`; here stands how its view reads rows, each once, and how what it changed is written.
A batch of events of one workflow is one step: the counter of a group is read and written once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from faena.backend import NewWorkflow
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.results import ids_json
from faena.drivers.sqlite.statements import statements_of
from faena.errors import WorkflowError
from faena.model.ended import Cause, ended_record
from faena.model.message import Member, Message
from faena.model.result import Failure, ResultRecord
from faena.model.workflow import (
    ACTIVE_STATES,
    Ending,
    Links,
    Node,
    NodeState,
    Standing,
    Step,
    Takes,
    Workflow,
    first_standing,
    placed,
    prepared,
)

WORKFLOWS = statements_of("workflows")

_NODE_BITS = 24
MOST_NODES = 1 << _NODE_BITS
STATES = tuple(NodeState)  # a state is kept as its place in here: only ever appended to
_NUMBER_OF = {state: number for number, state in enumerate(STATES)}
_AT_ONCE = 1000  # rows of one look


class Made(msgspec.Struct, frozen=True, array_like=True):
    """What was compiled of a node and is seldom looked at."""

    id: str
    name: str
    needs: tuple[int, ...] = ()  # those of a join stand in their own table
    takes: Takes = Takes.NOTHING
    fallback: int | None = None
    is_hook: bool = False
    is_aside: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode_links = msgspec.msgpack.Decoder(Links).decode
decode_made = msgspec.msgpack.Decoder(Made).decode
_decode_message = msgspec.msgpack.Decoder(Message).decode
decode_failure = msgspec.msgpack.Decoder(Failure).decode
decode_workflow = msgspec.msgpack.Decoder(Workflow).decode
decode_needs = msgspec.msgpack.Decoder(tuple[int, ...]).decode
decode_links = _decode_links


class Effects:
    """What a step leaves to its caller: results to record, messages to publish. `publishes`: in this very transaction."""

    def __init__(self, now_s: float, *, publishes: bool) -> None:
        self.now_s, self.publishes = now_s, publishes
        self.records: list[ResultRecord] = []
        self.messages: list[Message] = []


def bounds(number: int) -> tuple[int, int]:
    """Return the first and the last key that nodes of a workflow can have."""
    return number << _NODE_BITS, ((number + 1) << _NODE_BITS) - 1


def node_of(key: int) -> int:
    return key & (MOST_NODES - 1)


class Found:
    """One workflow in this transaction: its row, and the view of the law on its nodes."""

    def __init__(self, connection: Connection, number: int, size: int, state: str, workflow: Workflow) -> None:
        self.number, self.size, self.state, self.workflow = number, size, state, workflow
        self.added: dict[int, Node] = {}  # in this step; not written yet
        self._connection = connection
        self._standings: dict[int, Standing] = {}
        self._links: dict[int, Links] = {}

    def standing(self, node: int) -> Standing:
        if node not in self._standings:
            self.load([node])
        return self._standings[node]

    def links(self, node: int) -> Links:
        if node not in self._links:
            self.load([node])
        return self._links[node]

    def has(self, node: int) -> bool:
        return 0 <= node < self.size

    def load(self, nodes: Sequence[int]) -> None:
        """Read these nodes, and those that they may touch, with few statements."""
        wanted = [node for node in nodes if node not in self._standings]
        found: set[int] = set()
        for at in range(0, len(wanted), _AT_ONCE):
            found |= self._load_part(wanted[at : at + _AT_ONCE])
        missing = [node for node in found if node not in self._standings]
        for at in range(0, len(missing), _AT_ONCE):
            self._load_part(missing[at : at + _AT_ONCE])

    def add(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.added[node.number] = node
            self._standings[node.number] = first_standing(node)
            self._links[node.number] = node.links
            self.size = max(self.size, node.number + 1)
        if self.size > MOST_NODES:
            raise WorkflowError(self.workflow.id, f"SQLite keeps workflows of at most {MOST_NODES:,} nodes")

    def keys(self, nodes: Iterable[int]) -> str:
        """Return the keys as one parameter; `json_each` takes it apart."""
        base = self.number << _NODE_BITS
        return _json([base | node for node in nodes])

    def key(self, node: int) -> int:
        return self.number << _NODE_BITS | node

    def _load_part(self, nodes: Sequence[int]) -> set[int]:
        after: set[int] = set()
        for row in self._connection.execute(WORKFLOWS.standings, (self.keys(nodes),)).fetchall():
            node = node_of(row[0])
            links = self._links[node] = _decode_links(row[7])
            self._standings[node] = Standing(STATES[row[1]], row[2], row[3], row[4], bool(row[5]), row[6])
            after.update(links.dependents)
        return after


def _json(numbers: Sequence[int]) -> str:
    return f"[{','.join(map(str, numbers))}]"


def find(connection: Connection, workflow: str) -> Found | None:
    row = connection.execute(WORKFLOWS.find, (workflow,)).fetchone()
    return None if row is None else Found(connection, row[0], row[1], row[3], decode_workflow(row[4]))


def known(connection: Connection, workflow: str) -> Found:
    found = find(connection, workflow)
    if found is None:
        raise WorkflowError(workflow, "it is not known here, or it was forgotten since")
    return found


def wants(connection: Connection, member: Member) -> bool:
    """Whether a node waits for the end of this very run."""
    return connection.execute(WORKFLOWS.wants, (member.workflow, member.node, member.run)).fetchone() is not None


def start(connection: Connection, new: NewWorkflow, effects: Effects) -> bool:
    """Keep a graph and let it begin; False: it is known already, and stays as it is."""
    workflow = new.workflow
    added = connection.execute(WORKFLOWS.add, (workflow.id, len(new.graph.nodes), _encode(workflow)))
    if added.rowcount != 1:
        return False
    found = Found(connection, added.lastrowid or 0, len(new.graph.nodes), "RUNNING", workflow)
    found.add(new.graph.nodes)
    step = Step(found, workflow.output)
    step.begin([node.number for node in new.graph.nodes])
    write(connection, found, step, effects)
    return True


def end_all(connection: Connection, endings: Iterable[Ending], effects: Effects) -> dict[str, None]:
    """Take events, those of one workflow together; return, in order, the workflows where one was no news."""
    of_workflows: dict[str, list[Ending]] = {}
    repeated: dict[str, None] = {}
    for ending in endings:
        of_workflows.setdefault(ending.workflow, []).append(ending)
    for workflow, events in of_workflows.items():
        found = find(connection, workflow)
        if found is None:
            continue  # forgotten, or expired
        found.load([ending.node for ending in events if found.has(ending.node)])
        step = Step(found, found.workflow.output)
        for ending in events:
            if found.has(ending.node) and not _end(connection, found, step, ending):
                repeated[workflow] = None
        write(connection, found, step, effects)
    return repeated


def _end(connection: Connection, found: Found, step: Step, ending: Ending) -> bool:
    """Take an event; False: it is no news."""
    standing = found.standing(ending.node)
    if standing.run != ending.run or standing.state not in ACTIVE_STATES:
        return False  # it has ended before
    for graph in ending.added:
        join = step.group_of(ending.node)
        whole = placed(graph, found.size, found.workflow.id, () if join is None else (join,))
        found.add(whole.nodes)
        if join is not None:
            needs = decode_needs(connection.execute(WORKFLOWS.needs, (found.key(join),)).fetchone()[0])
            connection.execute(WORKFLOWS.add_join, (found.key(join), _encode((*needs, whole.output))))
            step.add(join, 1)
        step.begin([node.number for node in whole.nodes])
    if ending.replaced_by is not None:
        whole = placed(ending.replaced_by, found.size, found.workflow.id, (ending.node,))
        found.add(whole.nodes)
        step.replace(ending.node, ending.run, whole.output)
        step.begin([node.number for node in whole.nodes])
        return True
    connection.execute(
        WORKFLOWS.keep,
        (
            ending.value, ending.content, None if ending.failure is None else _encode(ending.failure),
            ending.started_at_s, ending.finished_at_s, found.key(ending.node),
        ),
    )  # fmt: skip
    return step.end(ending)


def write(connection: Connection, found: Found, step: Step, effects: Effects) -> None:
    """Write what a step has changed, and say what follows."""
    now_s = effects.now_s
    ready = sorted([node for node in step.ready if found.standing(node).state is NodeState.READY])
    if ready:
        effects.messages += _messages(connection, found, ready, now_s)
    if effects.publishes:
        for node in ready:
            found.standing(node).state = NodeState.SENT
    _insert(connection, found, step, now_s)
    connection.executemany(
        WORKFLOWS.move_node,
        [
            (_NUMBER_OF[now.state], now.waits, now.run, now.cause, now.through_group, now.alias, now_s, found.key(node))
            for node, now in step.changed.items()
            if node not in found.added
        ],
    )
    if step.ended:
        _note_ended(connection, found, step, effects)
    if not (step.changed or step.active or found.added):
        return
    keep_s = found.workflow.keep_s
    expires_at_s = now_s + keep_s if keep_s is not None else None
    outcome = step.outcome.value if step.outcome is not None else None
    connection.execute(WORKFLOWS.move, (outcome, found.size, step.active, now_s, expires_at_s, found.number))


def _insert(connection: Connection, found: Found, step: Step, now_s: float) -> None:
    if not found.added:
        return
    ended = set(step.ended)
    joins = []
    rows = []
    for number, node in found.added.items():
        key, now, needs = found.key(number), found.standing(number), node.needs
        if node.links.is_join:
            joins.append((key, _encode(needs)))
            needs = ()
        made = Made(node.id, node.name, needs, node.takes, node.fallback, node.is_hook, node.is_aside)
        rows.append(
            (
                key, _NUMBER_OF[now.state], now.waits, now.cause, now.alias, now_s, now_s if number in ended else None,
                _encode(node.links), _encode(made), None if node.message is None else _encode(node.message),
            )
        )  # fmt: skip
    connection.executemany(WORKFLOWS.add_node, rows)
    if joins:
        connection.executemany(WORKFLOWS.add_join, joins)


def _messages(connection: Connection, found: Found, ready: Sequence[int], now_s: float) -> list[Message]:
    messages: dict[int, Message] = {}
    stored = []
    for node in ready:
        fresh = found.added.get(node)
        if fresh is not None and fresh.message is not None:
            messages[node] = fresh.message
        else:
            stored.append(node)
    for at in range(0, len(stored), _AT_ONCE):
        keys = found.keys(stored[at : at + _AT_ONCE])
        for key, body in connection.execute(WORKFLOWS.messages, (keys,)).fetchall():
            messages[node_of(key)] = _decode_message(body)
    return [prepared(messages[node], found.standing(node).run, found.links(node).timing, now_s) for node in ready]


def _note_ended(connection: Connection, found: Found, step: Step, effects: Effects) -> None:
    """Record the results of nodes that ended without a run of their own."""
    connection.executemany(
        WORKFLOWS.finish, [(effects.now_s, found.key(node)) for node in step.ended if node not in found.added]
    )
    wanted = set(step.ended)
    wanted.update([at for node in step.ended if (at := found.standing(node).cause) is not None])
    made: dict[int, Made] = {}
    failures: dict[int, tuple[Failure, str]] = {}
    known_nodes = list(wanted)
    for at in range(0, len(known_nodes), _AT_ONCE):
        keys = found.keys(known_nodes[at : at + _AT_ONCE])
        for key, body, failure, content in connection.execute(WORKFLOWS.made, (keys,)).fetchall():
            made[node_of(key)] = decode_made(body)
            if failure is not None:
                failures[node_of(key)] = (decode_failure(failure), content or "json")
    for node in step.ended:
        own = made[node]
        if own.id:
            standing = found.standing(node)
            cause = Cause()
            if standing.cause is not None:
                cause = Cause(made[standing.cause].id, *failures.get(standing.cause, (None, "json")))
            effects.records.append(ended_record(found.workflow, node, own.id, own.name, standing, cause, effects.now_s))


def unpublished(rows: Iterable[tuple[Any, ...]], now_s: float) -> list[Message]:
    """Return the messages of rows of (key, message, run, links)."""
    return [prepared(_decode_message(row[1]), row[2], _decode_links(row[3]).timing, now_s) for row in rows]


def begin_anew(connection: Connection, found: Found, again: dict[int, Standing], effects: Effects) -> None:
    """Give nodes the standings with which they begin anew, and let them begin."""
    found.load(list(again))
    for node, standing in again.items():
        found._standings[node] = standing
    connection.executemany(WORKFLOWS.begin_anew, [(found.key(node),) for node in again])
    step = Step(found, found.workflow.output)
    step.changed.update(again)
    step.begin(again)
    write(connection, found, step, effects)
    if found.workflow.output in again and step.outcome is None:
        connection.execute(WORKFLOWS.move, ("RUNNING", found.size, 0, effects.now_s, None, found.number))


def forget(connection: Connection, numbers: Iterable[int]) -> int:
    """Remove workflows with their nodes; return how many went."""
    gone = 0
    for number in numbers:
        connection.execute(WORKFLOWS.forget_nodes, bounds(number))
        connection.execute(WORKFLOWS.forget_joins, bounds(number))
        gone += connection.execute(WORKFLOWS.forget, (number,)).rowcount
    return gone


def at_rest(connection: Connection, ids: Sequence[str]) -> list[int]:
    """Return the numbers of those of which nothing is under way."""
    return [row[0] for row in connection.execute(WORKFLOWS.at_rest, (ids_json(ids),)).fetchall()]
