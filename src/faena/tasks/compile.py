"""From a canvas to the graph that runs it: once, when it is sent. Pure; time and ids are handed in.

    signature          a node
    chain              its steps, each needing the one before
    group              its members, and a join that needs them all
    chord              a group and a body that needs the join
    link, link_error   branches beside: after the node, or when it fails
    a policy or an errback of a whole chain or chord    a gate after it, which passes its value on

What begins first needs nothing; where a canvas comes after another, everything that begins in it needs that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from faena.errors import WorkflowError
from faena.model.message import Member, Message
from faena.model.workflow import Graph, Links, Node, Policy, Takes, Timing, node_id
from faena.tasks.call import Call, Sender, build_message
from faena.tasks.canvas import Canvas, Chain, Chord, Group, links_in
from faena.tasks.dispatcher import Dispatcher
from faena.tasks.errback import check_errback
from faena.tasks.options import refuse_unique, seconds
from faena.tasks.signature import Signature

_OF_ONE = frozenset({"task_id", "countdown", "eta", "link", "link_error", "retry", "retry_policy", "root_id", "parent_id"})
"""Options that are not handed down from a whole to its steps."""

_LINKS = ("link", "link_error")


class Shape(Struct, gc=False):
    """Where a part of a canvas went: what handles are made of."""

    node: int  # whose result is that of the part
    id: str
    name: str
    ignored: bool = False  # its result is not kept
    members: list[Shape] | None = None  # of a group
    before: Sequence[Shape] = ()  # the parts before it in its chain
    out: int = 0  # what comes after it needs this node


class Compiled(Struct):
    graph: Graph
    shape: Shape


class _Entry(Struct, frozen=True):
    """What comes before a part of a canvas."""

    source: int | None = None
    takes: Takes = Takes.NOTHING
    guards: tuple[_Draft, ...] = ()  # it begins when the first of those fails

    @property
    def is_hook(self) -> bool:
        return self.takes is Takes.FAILED


class _Draft:
    """A node in the making."""

    __slots__ = ("aside", "dependents", "fallback", "hooks", "id", "is_grouped", "is_hook", "is_join", "message", "name",
                 "needs", "number", "policy", "takes", "timing")  # fmt: skip

    def __init__(self, number: int, node_id: str, name: str, policy: Policy) -> None:
        self.number, self.id, self.name, self.policy = number, node_id, name, policy
        self.needs: tuple[int, ...] = ()
        self.dependents: list[int] = []
        self.hooks: list[int] = []
        self.takes = Takes.NOTHING
        self.fallback: int | None = None
        self.is_hook = self.is_join = self.is_grouped = False
        self.aside = 0  # how deep in branches beside
        self.message: Message | None = None
        self.timing: Timing | None = None


class Context(Struct, frozen=True):
    """What compiling needs besides the canvas."""

    workflow: str  # its id
    sender: Sender
    now_s: float
    tasks: Mapping[str, Any]  # those whose code is here, by name
    ignores_results: bool = False
    root_id: str | None = None
    parent_id: str | None = None


def compile_canvas(canvas: Canvas[Any], context: Context, options: Mapping[str, Any] = {}) -> Compiled:
    """Return the graph of a canvas that is sent with these options.

    Raises WorkflowError: an empty chain, a chord without a body; InvalidArguments, EncodeError: of one of its calls.
    """
    builder = _Builder(context)
    return builder.whole(canvas, options)


def needs_workflow(signature: Signature[Any], options: Mapping[str, Any]) -> bool:
    """Whether sending one call takes a workflow.

    It does where what is linked to it is more than a call, where an errback wants to know more than the message of the call
    can tell it, and where its failure is tolerated.
    """
    if signature.policy is not Policy.FAIL:
        return True
    both = (signature.options, options) if options else (signature.options,)
    linked = [(name, link) for given in both for name in _LINKS if name in given for link in links_in(given, name)]
    return not all(
        isinstance(link, Signature) and link.is_linkable and not (name == "link_error" and link.wants_failure)
        for name, link in linked
    )


def canvas_of(call: Call, dispatcher: Dispatcher) -> Signature[Any] | None:
    """Return a call as the signature that it takes a workflow to send; None: it takes none."""
    options = call.options
    if "link" not in options and "link_error" not in options:
        return None
    signature: Signature[Any] = Signature(call.task, call.args, call.kwargs, options, dispatcher=dispatcher)
    return signature if needs_workflow(signature, {}) else None


class _Builder:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._drafts: list[_Draft] = []
        self._aside = 0  # how deep in branches beside
        self._group = 0  # how deep in groups

    def whole(self, canvas: Canvas[Any], options: Mapping[str, Any]) -> Compiled:
        given = {**canvas.options, **options} if not isinstance(canvas, Signature) else dict(options)
        handed_down = _handed_down(given, self._context.now_s)
        beginning = {name: given[name] for name in ("countdown", "eta") if given.get(name) is not None}
        shape = self._add(canvas, _Entry(), {**handed_down, **beginning}, own_id=given.get("task_id"))
        if options.get("link") or options.get("link_error"):
            shape.out = self._gate(shape.out, Policy.FAIL, None, options)
        return Compiled(Graph(tuple([self._finish(draft) for draft in self._drafts]), shape.out), shape)

    # -- parts ---------------------------------------------------------------------------------------------

    def _add(self, canvas: Canvas[Any], entry: _Entry, down: Mapping[str, Any], own_id: str | None = None) -> Shape:
        match canvas:
            case Signature():
                return self._add_task(canvas, entry, down, own_id)
            case Group():
                return self._add_group(canvas, entry, self._merged(canvas, down), own_id)
            case Chain():
                shape = self._add_steps(canvas.tasks, entry, self._merged(canvas, down), own_id, canvas)
            case Chord():
                if canvas.body is None:
                    raise WorkflowError("", f"the chord {canvas!r} has no body; give it one: chord(header)(body)")
                both = (canvas.header, canvas.body)
                shape = self._add_steps(both, entry, self._merged(canvas, down), own_id, canvas)
            case _:
                raise WorkflowError("", f"{canvas!r} cannot be sent")
        if canvas.policy is not Policy.FAIL or canvas.options.get("link") or canvas.options.get("link_error"):
            shape.out = self._gate(shape.out, Policy.FAIL, entry.source, canvas.options)
            shape.out = self._tolerated(shape.out, canvas.policy, entry)
        return shape

    def _add_steps(
        self, steps: Iterable[Canvas[Any]], entry: _Entry, down: Mapping[str, Any], own_id: str | None, whole: Canvas[Any]
    ) -> Shape:
        steps, shapes = tuple(steps), list[Shape]()
        for index, step in enumerate(steps):
            shape = self._add(step, entry, down, own_id if index == len(steps) - 1 else None)
            shapes.append(shape)
            entry = _Entry(shape.out, Takes.VALUE)
            if index == 0:
                down = {name: value for name, value in down.items() if name not in ("countdown", "eta")}
        if not shapes:
            raise WorkflowError("", f"a chain needs at least one step: {whole!r}")
        last = shapes.pop()
        last.before = [*shapes, *last.before]
        return last

    def _add_group(self, group: Group, entry: _Entry, down: Mapping[str, Any], own_id: str | None) -> Shape:
        self._group += 1
        members = [self._add(member, entry, down) for member in group.tasks]
        self._group -= 1
        apart = links_in(group.options, "link")  # they come after a success, whatever is made of a failure
        join = self._draft(own_id, "group", Policy.FAIL if apart else group.policy)
        join.is_join = True
        join.fallback = entry.source
        if members:
            join.takes = Takes.LIST
            self._need(join, tuple([member.out for member in members]))
        else:
            self._enter(join, entry)
            join.takes = Takes.NOTHING  # an empty list, whatever came before
        self._link(join, group.options)
        out = self._tolerated(join.number, group.policy, entry) if apart else join.number
        return Shape(join.number, join.id, "group", False, members, (), out)

    def _add_task(self, signature: Signature[Any], entry: _Entry, down: Mapping[str, Any], own_id: str | None) -> Shape:
        context, options = self._context, cast("dict[str, Any]", {**down, **signature.options})
        task = context.tasks.get(signature.task)
        if task is not None and task._defaults:
            options = {**task._defaults, **options}
        refuse_unique(signature.task, task, options)
        apart = links_in(signature.options, "link")
        policy = Policy.FAIL if apart else signature.policy
        draft = self._draft(own_id or options.get("task_id"), signature.task, policy)
        begins_later = entry.source is not None or entry.is_hook
        if begins_later:
            draft.timing = _timing(options)
        if draft.timing is not None:  # an expiry at a moment stays one
            counted = ("countdown",) if draft.timing.expires_s is None else ("countdown", "expires")
            options = {name: value for name, value in options.items() if name not in counted}
        plain: Any = {name: value for name, value in options.items() if name not in ("link", "link_error", "task_id")}
        self._enter(draft, entry)
        if signature.immutable:
            draft.takes = Takes.NOTHING
        if entry.is_hook:
            check_errback(signature, context.tasks)
        elif task is not None and task.typing and draft.takes is Takes.NOTHING:
            task.arguments.check(signature.args, signature.kwargs)
        call = Call(signature.task, signature.args, signature.kwargs, plain)
        made = build_message(call, context.sender, now_s=context.now_s, new_id=draft.id, parent=None)
        flow = context.sender.flow
        if flow is not None and draft.takes is not Takes.NOTHING and flow.is_keyed(made.task):
            made = replace(made, lane=None)  # its arguments are complete only in the worker, which says where it waits
        draft.message = made
        self._link(draft, signature.options)
        out = self._tolerated(draft.number, signature.policy, entry) if apart else draft.number
        return Shape(draft.number, draft.id, signature.task, self._ignored(task, draft.message), None, (), out)

    def _tolerated(self, source: int, policy: Policy, entry: _Entry) -> int:
        """Return what comes after a node whose failure is borne: a gate, if there is a policy."""
        return source if policy is Policy.FAIL else self._gate(source, policy, entry.source, {})

    def _gate(self, source: int, policy: Policy, fallback: int | None, options: Mapping[str, Any]) -> int:
        gate = self._draft("", "", policy)
        gate.takes, gate.fallback = Takes.VALUE, fallback
        self._need(gate, (source,))
        self._link(gate, options)
        return gate.number

    def _link(self, draft: _Draft, options: Mapping[str, Any]) -> None:
        """Add the branches beside: what comes after this node, and what comes of its failure."""
        callbacks, errbacks = links_in(options, "link"), links_in(options, "link_error")
        if not callbacks and not errbacks:
            return
        group, self._group = self._group, 0
        self._aside += 1
        for callback in callbacks:
            self._add(callback, _Entry(draft.number, Takes.VALUE), {})
        for errback in errbacks:
            self._add(errback, _Entry(None, Takes.FAILED, self._guarded(draft)), {})
        self._aside -= 1
        self._group = group

    def _guarded(self, draft: _Draft) -> tuple[_Draft, ...]:
        """Return the nodes whose failure is one of `draft`: its own, and that of a group whose body it is, as in Celery."""
        header = self._drafts[draft.needs[0]] if draft.message is not None and draft.needs else None
        if header is not None and header.is_join and header.policy is Policy.FAIL:
            return draft, header
        return (draft,)

    # -- drafts --------------------------------------------------------------------------------------------

    def _draft(self, own_id: str | None, name: str, policy: Policy) -> _Draft:
        number = len(self._drafts)
        draft = _Draft(number, node_id(self._context.workflow, number) if own_id is None else own_id, name, policy)
        draft.aside, draft.is_grouped = self._aside, self._group > 0
        self._drafts.append(draft)
        return draft

    def _enter(self, draft: _Draft, entry: _Entry) -> None:
        draft.takes = entry.takes
        draft.fallback = entry.source
        if entry.guards:
            draft.is_hook = True
            for guarded in entry.guards:
                guarded.hooks.append(draft.number)
        elif entry.source is not None:
            self._need(draft, (entry.source,))

    def _need(self, draft: _Draft, needs: tuple[int, ...]) -> None:
        draft.needs = needs
        for need in needs:
            self._drafts[need].dependents.append(draft.number)

    def _finish(self, draft: _Draft) -> Node:
        context, message = self._context, draft.message
        dependents = tuple(sorted(draft.dependents, key=lambda number: self._drafts[number].aside))
        source = draft.fallback if message is None else None
        links = Links(dependents, tuple(draft.hooks), draft.policy, message is None, draft.is_join, draft.timing, source)
        if message is not None:
            before = self._drafts[draft.needs[0]].id if draft.needs else ""
            member = Member(context.workflow, draft.number, 0, bool(draft.dependents), draft.is_grouped)
            message = replace(
                message,
                id=draft.id,
                member=member,
                parent_id=before or context.parent_id,
                root_id=context.root_id or context.workflow,
            )
        return Node(
            draft.number, draft.id, draft.name, links, message, draft.needs, draft.takes, draft.fallback, draft.is_hook,
            draft.aside > 0,
        )  # fmt: skip

    def _depth_aside(self, number: int) -> int:
        return self._drafts[number].aside

    def _merged(self, canvas: Canvas[Any], down: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the steps of a part are handed down: what it says itself goes before what the whole says."""
        own = _handed_down(canvas.options, self._context.now_s)
        for name in ("countdown", "eta"):
            if (said := canvas.options.get(name)) is not None:
                own[name] = said
        return {**down, **own} if own else down

    def _ignored(self, task: Any, message: Message) -> bool:
        if message.ignore_result is not None:
            return message.ignore_result
        own = task.ignore_result if task is not None else None
        return self._context.ignores_results if own is None else bool(own)


def _handed_down(options: Mapping[str, Any], now_s: float) -> dict[str, Any]:
    """Return the options of a whole that hold for its steps; the time it has is counted from its sending."""
    handed_down = {name: value for name, value in options.items() if name not in _OF_ONE and value is not None}
    expires = handed_down.get("expires")
    if isinstance(expires, int | float | timedelta):
        handed_down["expires"] = datetime.fromtimestamp(now_s + (seconds(expires) or 0.0), UTC)
    return handed_down


def _timing(options: Mapping[str, Any]) -> Timing | None:
    """Return the durations that count from the moment when a later step becomes ready."""
    expires = options.get("expires")
    expires_s = None if expires is None or isinstance(expires, datetime) else seconds(expires)
    delay_s = seconds(options.get("countdown"))
    return Timing(delay_s, expires_s) if delay_s is not None or expires_s is not None else None
