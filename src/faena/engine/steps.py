"""What the end of an attempt means for the workflow it belongs to, or for the one that begins with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from faena.backend import NewWorkflow
from faena.codec import CodecSet
from faena.engine.attempt import Attempt, Ended
from faena.engine.rules import Rules
from faena.model.message import Link, Member, Message
from faena.model.result import Failure
from faena.model.workflow import (
    Ending,
    Graph,
    Links,
    Node,
    NodeState,
    Takes,
    Workflow,
    node_id,
    placed,
)
from faena.tasks.call import Call, Sender, build_message
from faena.tasks.canvas import Canvas
from faena.tasks.compile import Context, compile_canvas
from faena.tasks.task import Task


class Stepper:
    """Makes the events of workflows. Pure: moments are handed in."""

    def __init__(self, codecs: CodecSet, sender: Sender, rules: Rules, tasks: Mapping[str, Task[..., Any]]) -> None:
        self._codecs, self._sender, self._rules, self._tasks = codecs, sender, rules, tasks

    def ending(
        self,
        attempt: Attempt | Ended,
        state: NodeState,
        now_s: float,
        *,
        value: bytes | None = None,
        failure: Failure | None = None,
    ) -> Ending | None:
        """Return the event for the workflow of a task; None: it belongs to none.

        Raises WorkflowError, InvalidArguments, CodecError: something that it adds cannot be sent.
        """
        member = attempt.delivery.message.member
        if member is None:
            return None
        started_at_s: float | None = None
        added: tuple[Graph, ...] = ()
        if isinstance(attempt, Attempt):
            started_at_s = attempt.started_at_s
            if state is NodeState.SUCCESS and attempt.request.added:
                added = tuple([self._compiled(canvas, attempt, member, now_s) for canvas in attempt.request.added])
        return Ending(
            member.workflow, member.node, member.run, state, value if member.feeds else None,
            self._rules.result_serializer, failure, started_at_s, now_s, None, added,
        )  # fmt: skip

    def replacement(
        self, attempt: Attempt | Ended, canvas: Canvas[Any], now_s: float
    ) -> tuple[Ending | None, NewWorkflow | None]:
        """Return the event, or the new workflow, by which a canvas runs in the place of a task.

        Raises WorkflowError, InvalidArguments, CodecError: it cannot be sent.
        """
        message = attempt.delivery.message
        member = message.member
        if member is None:
            return None, self._beginning(attempt, canvas, now_s)
        graph = self._compiled(canvas, attempt, member, now_s)
        started_at_s = attempt.started_at_s if isinstance(attempt, Attempt) else None
        return Ending(
            member.workflow, member.node, member.run, NodeState.SUCCESS, None, "", None, started_at_s, now_s, graph
        ), None  # fmt: skip

    # -- internals -----------------------------------------------------------------------------------------

    def _compiled(self, canvas: Canvas[Any], attempt: Attempt | Ended, member: Member, now_s: float) -> Graph:
        message = attempt.delivery.message
        graph = compile_canvas(canvas, self._context(member.workflow, message, now_s)).graph
        if not member.is_grouped:
            return graph
        nodes = []
        for node in graph.nodes:  # what stands in for a member is one, too
            own = node.message
            if own is not None and own.member is not None and not node.is_aside:
                own = replace(own, member=replace(own.member, is_grouped=True))
            nodes.append(replace(node, message=own))
        return Graph(tuple(nodes), graph.output)

    def _beginning(self, attempt: Attempt | Ended, canvas: Canvas[Any], now_s: float) -> NewWorkflow:
        """Make a workflow of a task that belonged to none: its node 0 is the task, for which the canvas stands in."""
        message = attempt.delivery.message
        workflow = f"{message.id}-{message.retries}"  # the same where the end of this attempt is carried out twice
        inner = compile_canvas(canvas, self._context(workflow, message, now_s)).graph
        whole = placed(inner, 1, workflow, (0,))
        nodes = list(whole.nodes)
        callbacks = [self._linked(link, message, workflow, len(nodes) + 1 + at, now_s, Takes.VALUE) for at, link in
                     enumerate(message.on_success)]  # fmt: skip
        nodes += callbacks
        errbacks = [self._linked(link, message, workflow, len(nodes) + 1 + at, now_s, Takes.FAILED) for at, link in
                    enumerate(message.on_failure)]  # fmt: skip
        nodes += errbacks
        links = Links(tuple([each.number for each in callbacks]), tuple([each.number for each in errbacks]))
        own = replace(message, on_success=(), on_failure=(), retries=0, member=Member(workflow, 0, feeds=bool(callbacks)))
        first = Node(0, message.id, message.task, links, own, (whole.output,), alias=whole.output)
        known = Workflow(
            workflow, message.task, 0, now_s, self._rules.result_expires_s, message.root_id or message.id, message.parent_id
        )
        return NewWorkflow(known, Graph((first, *nodes), 0))

    def _linked(self, link: Link, message: Message, workflow: str, number: int, now_s: float, takes: Takes) -> Node:
        args, kwargs = self._codecs.decode(link.content, link.body)
        options: Any = {**(link.options or {}), "serializer": link.content}
        options |= {"parent_id": message.id, "root_id": message.root_id or message.id}
        if link.immutable:
            takes = Takes.NOTHING if takes is Takes.VALUE else takes
        call = Call(link.task, args, kwargs, options)
        own_id = node_id(workflow, number)
        made = build_message(call, self._sender, now_s=now_s, new_id=own_id, parent=None)
        is_hook = takes is Takes.FAILED
        given = not link.immutable
        flow, lane = self._sender.flow, made.lane
        if flow is not None and not link.immutable and flow.is_keyed(made.task):
            lane = None  # its arguments are complete only in the worker, which says where it waits
        made = replace(made, member=Member(workflow, number), lane=lane)
        return Node(
            number, own_id, link.task, Links(), made, () if is_hook else (0,), takes if given else Takes.NOTHING,
            is_hook=is_hook, is_aside=True,
        )  # fmt: skip

    def _context(self, workflow: str, message: Message, now_s: float) -> Context:
        return Context(
            workflow, self._sender, now_s, self._tasks, self._rules.ignore_result, message.root_id or message.id, message.id
        )
