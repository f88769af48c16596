"""What a schedule keeps of a canvas: a blueprint, from which each tick begins a workflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from faena.errors import InvalidSchedule
from faena.model.blueprint import UNNAMED, Blueprint
from faena.model.message import Message
from faena.model.workflow import Graph, Node
from faena.tasks.canvas import Canvas, Chain, Chord, Group, links_in
from faena.tasks.compile import Context, compile_canvas
from faena.tasks.options import seconds
from faena.tasks.outline import outline
from faena.tasks.scheduling import ScheduleOptions, call_options

if TYPE_CHECKING:
    from faena.app.app import Faena

MOST_STEPS = 1000
"""A schedule is written anew at each tick, with all that it says."""

_LONGEST_NAME = 100


def name_of_app(app: Faena) -> str:
    return app.main or "faena"


def blueprint_of(app: Faena, name: str, canvas: Canvas[Any], given: ScheduleOptions) -> tuple[Message, Blueprint]:
    """Return what says for people what is run, and what is begun.

    Raises InvalidSchedule, WorkflowError, InvalidArguments.
    """
    if given.get("args") is not None or given.get("kwargs") is not None:
        raise InvalidSchedule(
            f"schedule '{name}': the arguments of a workflow stand in its signatures; give no args, kwargs"
        )
    for part in _parts(canvas):
        call_options(name, part.options)
    options = call_options(name, given.get("options") or {})
    for link in ("link", "link_error"):
        for branch in links_in(options, link):
            for part in _parts(branch):
                call_options(name, part.options)
    conf = app.conf
    compiled = compile_canvas(canvas, Context(UNNAMED, app.sender, 0.0, app.tasks, conf.task_ignore_result), options)
    if len(compiled.graph.nodes) > MOST_STEPS:
        raise InvalidSchedule(
            f"schedule '{name}': its workflow has {len(compiled.graph.nodes):,} steps; {MOST_STEPS:,} can be kept, and a "
            "larger one is begun by a task: self.replace(...)"
        )
    nodes = tuple([_unsigned(node, name_of_app(app)) for node in compiled.graph.nodes])
    first = next(node.message for node in nodes if node.message is not None)
    title = outline(canvas)[:_LONGEST_NAME]
    body = app.sender.encoder.encode("json", [(), {}])
    shown = Message("", title, first.queue, body, "json", first.priority, origin=name_of_app(app))
    return shown, Blueprint(title, Graph(nodes, compiled.graph.output), seconds(conf.result_expires) or None)


def _unsigned(node: Node, origin: str) -> Node:
    """Return a node that is the same wherever it was compiled."""
    return node if node.message is None else replace(node, message=replace(node.message, origin=origin))


def _parts(canvas: Canvas[Any]) -> Iterator[Canvas[Any]]:
    """Return a canvas, and all that it consists of."""
    yield canvas
    inner: list[Canvas[Any]] = []
    match canvas:
        case Chain() | Group():
            inner += canvas.tasks
        case Chord():
            inner += [canvas.header, *(() if canvas.body is None else (canvas.body,))]
        case _:
            pass
    for name in ("link", "link_error"):
        inner += links_in(canvas.options, name)
    for each in inner:
        yield from _parts(each)
