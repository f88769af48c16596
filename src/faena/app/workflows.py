"""Sending workflows, and what their handles ask for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.app.links import Link
from faena.app.publishing import apatiently, apublish, patiently, publish
from faena.backend import NewWorkflow
from faena.errors import InvalidArguments, WorkflowError
from faena.model.delivery import Place
from faena.model.message import Member, Message
from faena.model.result import ResultRecord, State
from faena.model.workflow import (
    REFERENCE,
    Graph,
    Node,
    NodeState,
    NodeStates,
    NodeView,
    Workflow,
    WorkflowState,
    WorkflowStatus,
    node_id,
    reference_to,
    referred,
)
from faena.tasks.canvas import Canvas
from faena.tasks.compile import Compiled, Context, Shape, compile_canvas
from faena.tasks.context import current_request
from faena.tasks.group_result import ChainResult, GroupResult, WorkflowHandle
from faena.tasks.options import check_send_options, seconds
from faena.tasks.outline import outline
from faena.tasks.result import AsyncResult
from faena.tasks.values import decoded

if TYPE_CHECKING:
    from faena.app.app import Faena

_Handle: TypeAlias = AsyncResult[Any] | GroupResult[Any]

_SAVED = "SAVED"  # the state of a record that keeps which calls belong to a group
_LOOK_AT_ONCE = 1000
_LET_GO_S, _LOOK_EVERY_S = 5.0, 0.02
_NAME_LENGTH = 100


class AppWorkflows:
    """See `faena.tasks.dispatcher.Workflows`."""

    def __init__(self, app: Faena) -> None:
        self._app = app

    # -- sending -------------------------------------------------------------------------------------------

    def send(self, canvas: Canvas[Any], options: Mapping[str, Any]) -> AsyncResult[Any] | GroupResult[Any]:
        app = self._app
        new, compiled = self.compiled(canvas, options)
        patiently(app.conf, options, lambda: run(_refuse_taken(app.links.blocking(), new)))
        self._send(new, options)
        return self.handle(compiled.shape, new.workflow.id)

    async def asend(self, canvas: Canvas[Any], options: Mapping[str, Any]) -> AsyncResult[Any] | GroupResult[Any]:
        app = self._app
        new, compiled = self.compiled(canvas, options)

        async def refuse() -> None:
            await _refuse_taken(await app.links.asyncio(), new)

        await apatiently(app.conf, options, refuse)
        await self._asend(new, options)
        return self.handle(compiled.shape, new.workflow.id)

    def begin(self, new: NewWorkflow) -> AsyncResult[Any] | GroupResult[Any]:
        """Send a workflow that was compiled before, none of whose steps has an id of its own."""
        self._send(new, {})
        return self.handle(_end_of(new.graph), new.workflow.id)

    async def abegin(self, new: NewWorkflow) -> AsyncResult[Any] | GroupResult[Any]:
        await self._asend(new, {})
        return self.handle(_end_of(new.graph), new.workflow.id)

    def compiled(self, canvas: Canvas[Any], options: Mapping[str, Any]) -> tuple[NewWorkflow, Compiled]:
        """Return the workflow that a canvas is. Raises WorkflowError, InvalidArguments, EncodeError."""
        app, request = self._app, current_request.get()
        check_send_options("workflow", options)
        workflow, now_s = new_id(), app.clock()
        parent = request if request is not None and request.message is not None else None
        root_id = options.get("root_id") or (parent.root_id if parent is not None else None)
        parent_id = options.get("parent_id") or (parent.id if parent is not None else None)
        conf = app.conf
        context = Context(
            workflow, app.sender, now_s, app.tasks, conf.task_ignore_result, root_id=root_id, parent_id=parent_id
        )
        compiled = compile_canvas(canvas, context, options)
        known = Workflow(
            workflow, outline(canvas)[:_NAME_LENGTH], compiled.graph.output, now_s, seconds(conf.result_expires) or None,
            root_id, parent_id,
        )  # fmt: skip
        _check_ids(compiled, workflow)
        if request is not None:
            request.children.append(compiled.shape.id)
        return NewWorkflow(known, compiled.graph), compiled

    def handle(self, shape: Shape, workflow: str) -> AsyncResult[Any] | GroupResult[Any]:
        """Return the handle of a part of a workflow."""
        return _handle(shape, WorkflowHandle(workflow, self._app.results), is_end=True)

    def _send(self, new: NewWorkflow, options: Mapping[str, Any]) -> None:
        app = self._app
        ready = patiently(app.conf, options, lambda: run(self._start(app.links.blocking(), new)))
        if ready:
            publish(app.links, app.conf, ready, options)
            run(app.links.blocking().backend.workflows.published(_members(ready)))

    async def _asend(self, new: NewWorkflow, options: Mapping[str, Any]) -> None:
        app = self._app

        async def start() -> Sequence[Message]:
            return await self._start(await app.links.asyncio(), new)

        ready = await apatiently(app.conf, options, start)
        if ready:
            await apublish(app.links, app.conf, ready, options)
            await (await app.links.asyncio()).backend.workflows.published(_members(ready))

    async def _start(self, link: Link, new: NewWorkflow) -> Sequence[Message]:
        own = [node for node in new.graph.nodes if node.id and node.id != node_id(new.workflow.id, node.number)]
        if own:  # nobody could tell from such an id that it belongs to a workflow
            await link.backend.record([self._pending(new.workflow, node) for node in own])
        return await link.backend.workflows.start(new, link.broker)

    def _pending(self, workflow: Workflow, node: Node) -> ResultRecord:
        expires_at_s = workflow.sent_at_s + workflow.keep_s if workflow.keep_s else None
        record = ResultRecord(
            node.id, node.name, State.PENDING, root_id=workflow.root_id or workflow.id, expires_at_s=expires_at_s
        )
        if not node.links.is_join:
            return record
        return replace(record, value=reference_to(workflow.id, node.number), content=REFERENCE)  # which group it is

    # -- looking -------------------------------------------------------------------------------------------

    def resolve(self, record: ResultRecord) -> Any:
        return run(self._resolve(self._app.links.blocking(), record))

    async def aresolve(self, record: ResultRecord) -> Any:
        return await self._resolve(await self._app.links.asyncio(), record)

    def status(self, workflow: str) -> WorkflowStatus | None:
        return run(self._app.links.blocking().backend.workflows.statuses([workflow]))[0]

    async def astatus(self, workflow: str) -> WorkflowStatus | None:
        return (await (await self._app.links.asyncio()).backend.workflows.statuses([workflow]))[0]

    def latest(self, limit: int, state: WorkflowState | None = None, offset: int = 0) -> Sequence[WorkflowStatus]:
        """Return workflows, the latest first."""
        return run(self._app.links.blocking().backend.workflows.latest(limit, state, offset))

    def nodes(self, workflow: str, numbers: Sequence[int] | None = None) -> Sequence[NodeView]:
        return run(self._app.links.blocking().backend.workflows.nodes(workflow, numbers))

    async def anodes(self, workflow: str, numbers: Sequence[int] | None = None) -> Sequence[NodeView]:
        return await (await self._app.links.asyncio()).backend.workflows.nodes(workflow, numbers)

    def states(self, workflow: str) -> NodeStates | None:
        return run(self._app.links.blocking().backend.workflows.states(workflow))

    def save(self, group: str, ids: Sequence[str]) -> None:
        app = self._app
        keep_s = seconds(app.conf.result_expires)
        record = ResultRecord(
            group, "group", _SAVED, app.codecs.encode("json", list(ids)),
            expires_at_s=app.clock() + keep_s if keep_s else None,
        )  # fmt: skip
        run(app.links.blocking().backend.record([record]))

    def members(self, group: str) -> tuple[str, Sequence[str]] | None:
        link = self._app.links.blocking()
        record = run(link.backend.read([group]))[0]
        workflow, _, number = group.rpartition(".")
        if record is not None and record.content == REFERENCE and record.value is not None:
            workflow, node = referred(record.value)
            number = str(node)
        elif record is not None and record.task == "group" and record.root_id and record.state != _SAVED:
            # one that has failed; an id of its own says nothing
            same = [view.number for view in run(link.backend.workflows.nodes(record.root_id)) if view.id == group]
            workflow, number = record.root_id, str(same[0]) if same else ""
        if workflow and number.isdigit():
            found = run(link.backend.workflows.nodes(workflow, [int(number)]))
            if found and found[0].links.is_join:
                needed: dict[int, NodeView] = {}
                missing: Sequence[int] = found[0].needs
                while missing:
                    read = run(link.backend.workflows.nodes(workflow, missing))
                    needed |= {view.number: view for view in read}
                    missing = [view.needs[0] for view in read if not view.id and view.needs]  # behind a gate
                return workflow, [_asked_for(needed, number).id for number in found[0].needs]
        if record is None or record.state != _SAVED or record.value is None:
            return None
        return "", [str(each) for each in self._app.codecs.decode(record.content, record.value)]

    # -- changing ------------------------------------------------------------------------------------------

    def cancel(self, workflow: str, *, terminate: bool = False) -> None:
        run(self.cancel_through(self._app.links.blocking(), workflow, terminate=terminate))

    async def acancel(self, workflow: str, *, terminate: bool = False) -> None:
        await self.cancel_through(await self._app.links.asyncio(), workflow, terminate=terminate)

    async def cancel_through(self, link: Link, workflow: str, *, terminate: bool) -> None:
        """Do as `cancel`, through an open link."""
        sent = await link.backend.workflows.cancel(workflow)
        await self._app.control.take_back(link, sent, terminate)

    def rerun(self, workflow: str, begun_at: Sequence[int] | None = None) -> None:
        app, link = self._app, self._app.links.blocking()
        until_s = time.monotonic() + _LET_GO_S
        while run(self._is_held(link, workflow)) and time.monotonic() < until_s:
            time.sleep(_LOOK_EVERY_S)
        ready = run(self.begin_again(link, workflow, begun_at))
        if ready:
            publish(app.links, app.conf, ready, {})
            run(link.backend.workflows.published(_members(ready)))

    async def arerun(self, workflow: str, begun_at: Sequence[int] | None = None) -> None:
        import asyncio  # who comes here has it

        app, link = self._app, await self._app.links.asyncio()
        until_s = time.monotonic() + _LET_GO_S
        while await self._is_held(link, workflow) and time.monotonic() < until_s:  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(_LOOK_EVERY_S)
        ready = await self.begin_again(link, workflow, begun_at)
        if ready:
            await apublish(app.links, app.conf, ready, {})
            await link.backend.workflows.published(_members(ready))

    # -- internals -----------------------------------------------------------------------------------------

    async def _resolve(self, link: Link, record: ResultRecord) -> Any:
        assert record.value is not None
        value = await link.backend.workflows.value(*referred(record.value))
        return decoded(value, self._app.codecs.decode)

    async def _is_held(self, link: Link, workflow: str) -> bool:
        """Say whether a worker has still to let go of a task that has failed.

        Where there are two stores, its end is recorded first, and a broker takes no second message of an id that it has.
        """
        can = link.broker.capabilities
        if not (can.locates and can.deduplicates) or link.backend.joint(link.broker, "") is not None:
            return False
        nodes = await link.backend.workflows.nodes(workflow)
        failed = [node.id for node in nodes if node.standing.state is NodeState.FAILURE and not node.links.is_virtual]
        return Place.HELD in await link.broker.locate(failed[:_LOOK_AT_ONCE]) if failed else False

    async def _refuse_held(self, link: Link, workflow: str, revoked: Sequence[str]) -> None:
        """Raise WorkflowError where a worker still has what was cancelled: a broker takes no second message of one id."""
        for at in range(0, len(revoked), _LOOK_AT_ONCE):
            ids = revoked[at : at + _LOOK_AT_ONCE]
            if link.broker.capabilities.cancels:
                await link.broker.cancel(ids)
            places = await link.broker.locate(ids) if link.broker.capabilities.locates else [None] * len(ids)
            if (held := _first_held(ids, places)) is not None:
                raise WorkflowError(
                    workflow, f"task {held} was cancelled, and a worker has it still; run it again when that has ended "
                    "(cancelling with terminate ends it)",
                )  # fmt: skip

    async def begin_again(self, link: Link, workflow: str, begun_at: Sequence[int] | None) -> Sequence[Message]:
        """Let a workflow run again from these nodes on; return what is to be published. Raises WorkflowError."""
        before_s = self._app.clock()
        nodes = await link.backend.workflows.nodes(workflow)
        chosen = [node for node in nodes if begun_at is None or node.number in begun_at]
        failed = [node.id for node in chosen if node.standing.state is NodeState.FAILURE and not node.links.is_virtual]
        revoked = [node.id for node in nodes if node.id and node.standing.state is NodeState.REVOKED]
        await self._refuse_held(link, workflow, revoked)
        if await self._is_held(link, workflow):
            raise WorkflowError(workflow, "a worker has still to let go of a task that failed; run it again when it has")
        await self._app.control.unrevoke(link, revoked)
        ready = await link.backend.workflows.rerun(workflow, begun_at, link.broker)
        if failed and link.broker.capabilities.dead_letters:  # what runs again is not dead; what failed since is
            await link.broker.dead_letters.purge(None, failed, before_s)
        return ready


async def _refuse_taken(link: Link, new: NewWorkflow) -> None:
    """Raise InvalidArguments where a step was given the id of a task that has not ended: its message would be dropped."""
    own = [node for node in new.graph.nodes if node.message is not None and not _is_numbered(node, new.workflow.id)]
    if not own or not link.broker.capabilities.locates:
        return
    places = await link.broker.locate([node.id for node in own])
    for node, place in zip(own, places, strict=True):
        if place not in (None, Place.DEAD):
            raise InvalidArguments(node.name, f"a task with the task_id '{node.id}' has not ended; give it another")


def _is_numbered(node: Node, workflow: str) -> bool:
    return not node.id or node.id == node_id(workflow, node.number)


def _first_held(ids: Sequence[str], places: Sequence[Place | None]) -> str | None:
    return next((each for each, place in zip(ids, places, strict=True) if place is Place.HELD), None)


def _handle(shape: Shape, workflow: WorkflowHandle, before: _Handle | None = None, *, is_end: bool = False) -> _Handle:
    for step in shape.before:
        before = _handle(step, workflow, before)
    results = workflow._results
    if shape.members is not None:
        members: Any = [_handle(member, workflow) for member in shape.members]
        return GroupResult(shape.id, members, results, workflow=workflow, parent=before)
    if is_end:
        return ChainResult(workflow, shape.id, results, task_name=shape.name, ignored=shape.ignored, parent=before)
    return AsyncResult(shape.id, results, task_name=shape.name, ignored=shape.ignored, parent=before)


def _end_of(graph: Graph) -> Shape:
    """Return what handles are made of for what ends a workflow: its last task, or a group and what that consists of."""
    return _shape_of(graph, graph.output)


def _shape_of(graph: Graph, number: int) -> Shape:
    node = graph.nodes[number]
    while not node.id:  # a gate, which passes on what it needs
        node = graph.nodes[node.needs[0]]
    members = [_shape_of(graph, need) for need in node.needs] if node.links.is_join else None
    ignored = node.message is not None and bool(node.message.ignore_result)
    return Shape(node.number, node.id, node.name, ignored, members)


def _members(messages: Sequence[Message]) -> list[Member]:
    return [message.member for message in messages if message.member is not None]


def _asked_for(nodes: Mapping[int, NodeView], number: int) -> NodeView:
    """Return the node itself, or what a gate stands before."""
    view = nodes[number]
    while not view.id and view.needs and view.needs[0] in nodes:
        view = nodes[view.needs[0]]
    return view


def _check_ids(compiled: Compiled, workflow: str) -> None:
    """Refuse two calls with one id: a signature with a task_id that stands in a workflow twice."""
    own = [node for node in compiled.graph.nodes if node.id and node.id != node_id(workflow, node.number)]
    seen: set[str] = set()
    for node in own:
        if node.id in seen:
            raise InvalidArguments(node.name, f"two calls of one workflow cannot both have the task_id '{node.id}'")
        seen.add(node.id)
