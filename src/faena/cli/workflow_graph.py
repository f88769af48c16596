"""A workflow as a picture: Mermaid or DOT, with its states as colours. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from faena._lib.drawing import Edge, Vertex, dot, mermaid
from faena.cli.workflow_rows import Shown, counted
from faena.cli.workflow_tree import Beside, Branch, Fold, Item, Kind, Steps

STYLES: Mapping[str, str] = {
    Shown.WAITING: "#eeeeee",
    Shown.READY: "#ddeeff",
    Shown.SENT: "#cfe2ff",
    Shown.DELAYED: "#cfe2ff",
    Shown.HELD: "#fff3cd",
    Shown.RUNNING: "#ffe69c",
    Shown.RETRYING: "#ffc078",
    Shown.SUCCESS: "#b7e4c7",
    Shown.FAILURE: "#f5b5b5",
    Shown.REVOKED: "#f5b5b5",
    Shown.SKIPPED: "#e2d5f0",
    Shown.TOLERATED: "#e2d5f0",
    Shown.ABANDONED: "#f8d7da",
    Shown.REPLACED: "#eeeeee",
    Shown.UNUSED: "#ffffff",
}


def draw_graph(steps: Steps, states: Mapping[int, Shown], form: str) -> str:
    """Return the picture of the nodes that are shown; `form` is mermaid or dot."""
    picture = _Picture(states)
    picture.add(steps, (), "")
    if form == "mermaid":
        return mermaid(picture.vertices, picture.edges, STYLES)
    return dot("workflow", picture.vertices, picture.edges, STYLES)


class _Picture:
    def __init__(self, states: Mapping[int, Shown]) -> None:
        self._states = states
        self.vertices: list[Vertex] = []
        self.edges: list[Edge] = []
        self._folds = 0

    def add(self, steps: Steps, sources: tuple[str, ...], label: str) -> tuple[str, ...]:
        """Draw steps after `sources`; return what the step after them has to be joined to."""
        for each in steps:
            sources = self._add_fold(each, sources) if isinstance(each, Fold) else self._add_item(each, sources, label)
            label = ""
        return sources

    def _add_item(self, item: Item, sources: tuple[str, ...], label: str) -> tuple[str, ...]:
        node, key = item.node, f"n{item.node.number}"
        state = self._states[node.number]
        name = "" if item.kind is Kind.PART else f" {node.name}"
        self.vertices.append(Vertex(key, f"{node.number}{name}: {state}", state, is_rounded=node.links.is_virtual))
        ends = [end for member in item.members for end in self.add(member, sources, label)]
        if item.folded is not None:
            ends += self._add_fold(item.folded, sources)
        for end in ends or sources:
            self.edges.append(Edge(end, key, "" if ends else label))
        for branch in item.beside:
            self._add_branch(branch, key)
        return (key,)

    def _add_fold(self, fold: Fold, sources: tuple[str, ...]) -> tuple[str, ...]:
        key = f"more{self._folds}"
        self._folds += 1
        what = "members" if fold.is_of_group else "steps"
        self.vertices.append(Vertex(key, f"{fold.count:,} more {what}: {counted(fold.states)}", is_rounded=True))
        self.edges += [Edge(source, key) for source in sources]
        return (key,)

    def _add_branch(self, branch: Branch, key: str) -> None:
        if branch.role is Beside.REPLACEMENT:
            self.edges += [Edge(end, key, branch.role) for end in self.add(branch.steps, (), "")]
        else:
            self.add(branch.steps, (key,), branch.role)
