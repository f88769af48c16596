"""The workflow part of an SQLite backend: each verb is one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from faena.backend import NewWorkflow
from faena.drivers.signals import name_of
from faena.drivers.sqlite import results, steps, workflows
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.driver import Driver
from faena.drivers.sqlite.results import RESULTS, ids_json
from faena.drivers.sqlite.workflows import WORKFLOWS, Effects
from faena.model.inputs import Encoded, Gathering, Input, Value
from faena.model.message import Member, Message
from faena.model.rerun import plan_rerun
from faena.model.result import ResultRecord
from faena.model.workflow import Ending, NodeState, NodeStates, NodeView, Standing, Step, WorkflowState, WorkflowStatus

_FEW = 16  # nodes: fewer are read with everything that is known of them


class SqliteWorkflows:
    """See `faena.backend.Workflows`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def start(self, new: NewWorkflow, broker: object) -> Sequence[Message]:
        return await self._step(broker, lambda sql, effects: workflows.start(sql, new, effects))

    async def advance(
        self, records: Sequence[ResultRecord], endings: Sequence[Ending], starts: Sequence[NewWorkflow] = ()
    ) -> Sequence[Message]:
        def work(sql: Connection, effects: Effects) -> list[Message]:
            effects.records.extend(records)
            repeated = workflows.end_all(sql, endings, effects)
            repeated |= {new.workflow.id: None for new in starts if not workflows.start(sql, new, effects)}
            fresh = [each for each in effects.messages if each.member is None or each.member.workflow not in repeated]
            return fresh + _unpublished_of(sql, repeated, effects.now_s)

        return await self._driver.call(self._take, False, work)

    async def published(self, members: Sequence[Member]) -> None:
        if members:
            await self._driver.write(lambda sql: _note_published(sql, members, time.time()))

    async def unpublished(self, before_s: float, limit: int) -> Sequence[Message]:
        rows = await self._driver.read(lambda sql: sql.execute(WORKFLOWS.unpublished, (before_s, limit)).fetchall())
        return workflows.unpublished(rows, time.time())

    async def statuses(self, ids: Sequence[str]) -> Sequence[WorkflowStatus | None]:
        rows = await self._driver.read(lambda sql: sql.execute(WORKFLOWS.statuses, (ids_json(ids),)).fetchall())
        found = {status.workflow.id: status for status in map(_status, rows)}
        return [found.get(each) for each in ids]

    async def latest(self, limit: int, state: WorkflowState | None = None, offset: int = 0) -> Sequence[WorkflowStatus]:
        parameters = (None if state is None else state.value, limit, offset)
        rows = await self._driver.read(lambda sql: sql.execute(WORKFLOWS.latest, parameters).fetchall())
        return [_status(row) for row in rows]

    async def nodes(self, workflow: str, numbers: Sequence[int] | None = None) -> Sequence[NodeView]:
        return await self._driver.read(lambda sql: _views(sql, workflow, numbers))

    async def states(self, workflow: str) -> NodeStates | None:
        return await self._driver.read(lambda sql: _states(sql, workflow))

    async def inputs(self, members: Sequence[Member]) -> Sequence[Input]:
        return await self._driver.read(lambda sql: _inputs(sql, members))

    async def value(self, workflow: str, node: int) -> Value:
        return await self._driver.read(lambda sql: _gathered(sql, workflow, Gathering(values=[node])).value_of(node))

    async def cancel(self, workflow: str) -> Sequence[str]:
        sent: list[str] = []

        def work(sql: Connection, effects: Effects) -> None:
            found = workflows.known(sql, workflow)
            sent.extend(_cancel(sql, found, effects))

        await self._driver.call(self._take, False, work)
        return sent

    async def rerun(self, workflow: str, begun_at: Sequence[int] | None, broker: object) -> Sequence[Message]:
        def work(sql: Connection, effects: Effects) -> None:
            found = workflows.known(sql, workflow)
            nodes = {view.number: view for view in _views(sql, workflow, None)}
            again = plan_rerun(workflow, nodes, begun_at)
            ids = [nodes[number].id for number in again if nodes[number].id]
            sql.execute(RESULTS.forget, (ids_json(ids),))
            workflows.begin_anew(sql, found, again, effects)

        return await self._step(broker, work)

    async def forget(self, ids: Sequence[str]) -> int:
        return await self._driver.write(lambda sql: workflows.forget(sql, workflows.at_rest(sql, ids)))

    # -- within --------------------------------------------------------------------------------------------

    async def _step(self, broker: object, work: Callable[[Connection, Effects], Any]) -> Sequence[Message]:
        """Take a step; return what the caller has to publish."""
        publishes = shares_file(self._driver, broker)
        effects: list[Effects] = []

        def noted(sql: Connection, own: Effects) -> None:
            effects[:] = [own]  # a transaction may be tried more than once
            work(sql, own)

        await self._driver.call(self._take, publishes, noted)
        return () if publishes else effects[0].messages

    def _take(self, publishes: bool, work: Callable[[Connection, Effects], Any]) -> Any:
        """Do `work` and what follows from it in one transaction; then wake who waits for it."""
        driver, touched = self._driver, set[str]()

        def whole(sql: Connection) -> tuple[Any, results.Tickets]:
            effects = Effects(time.time(), publishes=publishes)
            returned = work(sql, effects)
            return returned, carry_out(sql, effects, touched, driver.location.largest_message_bytes)

        returned, tickets = driver.database.write(whole)
        driver.signals.notify([name_of("q", queue) for queue in touched])
        results.tell(driver.signals, tickets)
        return returned


def shares_file(driver: Driver, broker: object) -> bool:
    """Whether a broker keeps its messages in the same file."""
    other = getattr(broker, "driver", None)
    return isinstance(other, Driver) and other.location.path == driver.location.path


def carry_out(connection: Connection, effects: Effects, touched: set[str], largest_bytes: int) -> results.Tickets:
    """Record what a step has ended, and publish what became ready; add the queues to `touched`."""
    tickets: results.Tickets = {}
    if effects.records:
        rows = [results.row_of(record) for record in effects.records]
        kept = results.record_each(connection, rows)
        tickets = results.take_tickets(connection, [row for row, is_kept in zip(rows, kept, strict=True) if is_kept])
    if effects.messages and effects.publishes:
        lined_up = [steps.row_of(message, largest_bytes) for message in effects.messages]
        steps.insert(connection, lined_up)
        touched.update([row[0] for row in lined_up])
    return tickets


def _note_published(connection: Connection, members: Sequence[Member], now_s: float) -> None:
    numbers: dict[str, int] = {}
    rows = []
    for member in members:
        if member.workflow not in numbers:
            found = workflows.find(connection, member.workflow)
            numbers[member.workflow] = -1 if found is None else found.number
        rows.append((now_s, workflows.bounds(numbers[member.workflow])[0] + member.node, member.run))
    connection.executemany(WORKFLOWS.published, rows)


def _unpublished_of(connection: Connection, ids: Iterable[str], now_s: float) -> list[Message]:
    messages: list[Message] = []
    for workflow in ids:
        found = workflows.find(connection, workflow)
        if found is not None:
            rows = connection.execute(WORKFLOWS.unpublished_of, workflows.bounds(found.number)).fetchall()
            messages += workflows.unpublished(sorted(rows), now_s)
    return messages


def _cancel(connection: Connection, found: workflows.Found, effects: Effects) -> list[str]:
    rows = connection.execute(WORKFLOWS.unended, workflows.bounds(found.number)).fetchall()
    nodes = [workflows.node_of(key) for (key,) in rows]
    found.load(nodes)
    active = [node for node in nodes if found.standing(node).state is not NodeState.WAITING]
    step = Step(found, found.workflow.output)
    step.revoke(nodes)
    workflows.write(connection, found, step, effects)
    return [view.id for view in _views(connection, found.workflow.id, active)]


def _inputs(connection: Connection, members: Sequence[Member]) -> list[Input]:
    of_workflows: dict[str, list[int]] = {}
    for member in members:
        of_workflows.setdefault(member.workflow, []).append(member.node)
    gathered = {
        workflow: _gathered(connection, workflow, Gathering(inputs=nodes)) for workflow, nodes in of_workflows.items()
    }
    return [gathered[member.workflow].input_of(member.node, member.run) for member in members]


def _gathered(connection: Connection, workflow: str, gathering: Gathering) -> Gathering:
    found = workflows.find(connection, workflow)
    while missing := gathering.missing():
        others = set(missing)
        if found is not None and len(missing) > _FEW:
            returned = _returned(connection, found, [number for number in missing if not gathering.is_asked(number)])
            gathering.add_returned(returned)
            others.difference_update([number for number, _ in returned])
        gathering.add(_views(connection, workflow, list(others)) if others else ())
    return gathering


def _returned(connection: Connection, found: workflows.Found, numbers: list[int]) -> list[tuple[int, Encoded]]:
    """Read the values of those among many nodes that succeeded themselves."""
    if not numbers:
        return []
    numbers.sort()
    first, last = numbers[0], numbers[-1]
    if last - first == len(numbers) - 1:
        rows = connection.execute(WORKFLOWS.returned, (found.key(first), found.key(last)))
    else:
        rows = connection.execute(WORKFLOWS.returned_some, (found.keys(numbers),))
    return [(workflows.node_of(key), Encoded(value, content)) for key, value, content in rows]


def _views(connection: Connection, workflow: str, numbers: Sequence[int] | None) -> list[NodeView]:
    found = workflows.find(connection, workflow)
    if found is None:
        return []
    if numbers is None:
        rows = connection.execute(WORKFLOWS.view, workflows.bounds(found.number)).fetchall()
    else:
        rows = connection.execute(WORKFLOWS.view_some, (found.keys(numbers),)).fetchall()
    return sorted(map(_view, rows), key=lambda view: view.number)


def _states(connection: Connection, workflow: str) -> NodeStates | None:
    found = workflows.find(connection, workflow)
    if found is None:
        return None
    rows = connection.execute(WORKFLOWS.states, workflows.bounds(found.number)).fetchall()
    return NodeStates(
        tuple([workflows.STATES[state] for _, state, _ in rows]),
        frozenset([workflows.node_of(key) for key, _, is_virtual in rows if is_virtual]),
    )


def _view(row: tuple[Any, ...]) -> NodeView:
    key, state, waits, run, cause, through_group, alias, since_s, started_at_s, finished_at_s = row[:10]
    links, made, value, content, failure, needs = row[10:]
    own = workflows.decode_made(made)
    return NodeView(
        workflows.node_of(key), own.id, own.name, workflows.decode_links(links),
        Standing(workflows.STATES[state], waits, run, cause, bool(through_group), alias),
        own.needs if needs is None else workflows.decode_needs(needs), own.takes, own.fallback, own.is_hook, own.is_aside,
        value, content or "", None if failure is None else workflows.decode_failure(failure),
        started_at_s, finished_at_s, since_s,
    )  # fmt: skip


def _status(row: tuple[Any, ...]) -> WorkflowStatus:
    body, state, size, active, finished_at_s, expires_at_s = row
    workflow = workflows.decode_workflow(body)
    return WorkflowStatus(workflow, WorkflowState(state), size, active, finished_at_s, expires_at_s)
