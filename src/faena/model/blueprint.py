"""A workflow that is begun again and again: the graph of a canvas as it would be sent at moment 0, under no name. Pure.

Made where the canvas is declared, so that whoever begins it needs neither the code of its tasks nor their settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from faena.model.message import Message
from faena.model.workflow import Graph, Node, Workflow, node_id

UNNAMED = ""
"""The id of the workflow in a blueprint."""


class Blueprint(Struct, frozen=True):
    """`name` is for people; `keep_s` is how long a workflow is kept once it is at rest."""

    name: str
    graph: Graph
    keep_s: float | None = None

    @property
    def size(self) -> int:
        """How many tasks it consists of."""
        return sum(not node.links.is_virtual for node in self.graph.nodes)

    def built(
        self, workflow: str, *, begins_at_s: float, sent_at_s: float, headers: Mapping[str, Any]
    ) -> tuple[Workflow, Graph]:
        """Return what begins at a moment. All that reads it with the same id builds the same, so that it begins once.

        `headers` are added to those of every step. Delays and expiries of the first steps count from `begins_at_s`.
        """
        nodes = [_built(node, workflow, begins_at_s, sent_at_s, headers) for node in self.graph.nodes]
        return Workflow(workflow, self.name, self.graph.output, sent_at_s, self.keep_s), Graph(
            tuple(nodes), self.graph.output
        )


def _built(node: Node, workflow: str, begins_at_s: float, sent_at_s: float, headers: Mapping[str, Any]) -> Node:
    own_id = node_id(workflow, node.number) if node.id else ""
    message = node.message
    if message is None:
        return replace(node, id=own_id)
    begins_first = not node.needs and not node.is_hook
    return replace(node, id=own_id, message=_sent(message, own_id, workflow, begins_at_s, sent_at_s, headers, begins_first))


def _sent(
    message: Message,
    own_id: str,
    workflow: str,
    begins_at_s: float,
    sent_at_s: float,
    headers: Mapping[str, Any],
    begins_first: bool,
) -> Message:
    member, parent = message.member, message.parent_id
    assert member is not None
    due_at_s = message.due_at_s
    if begins_first and (due_at_s is not None or begins_at_s > sent_at_s):
        due_at_s = begins_at_s + (due_at_s or 0.0)
    return replace(
        message,
        id=own_id,
        member=replace(member, workflow=workflow),
        root_id=workflow,
        parent_id=None if parent is None else f"{workflow}{parent}",
        sent_at_s=sent_at_s,
        due_at_s=due_at_s,
        expires_at_s=None if message.expires_at_s is None else begins_at_s + message.expires_at_s,
        headers={**(message.headers or {}), **headers},
    )
