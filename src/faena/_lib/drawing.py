"""Draw graphs and trees as text: what a plan of the runner and a workflow of the queue have in common. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FORMS = ("tree", "mermaid", "dot")


class Vertex:
    """A node to draw. `style` is one of those that the drawing is given; a `rounded` one stands for something virtual."""

    __slots__ = ("is_rounded", "key", "label", "style")

    def __init__(self, key: str, label: str, style: str = "", *, is_rounded: bool = False) -> None:
        self.key, self.label, self.style, self.is_rounded = key, label, style, is_rounded


class Edge:
    """An arrow; a labelled one is dashed."""

    __slots__ = ("begin", "end", "label")

    def __init__(self, begin: str, end: str, label: str = "") -> None:
        self.begin, self.end, self.label = begin, end, label


def mermaid(vertices: Iterable[Vertex], edges: Iterable[Edge], styles: Mapping[str, str] = {}) -> str:
    """Return a flowchart; `styles` gives each style its fill colour. Those that nothing has are left out."""
    lines = ["graph TD"]
    used: set[str] = set()
    for each in vertices:
        left, right = ("([", "])") if each.is_rounded else ("[", "]")
        style = f":::{each.style}" if each.style in styles else ""
        lines.append(f'    {each.key}{left}"{_escaped(each.label)}"{right}{style}')
        used.add(each.style)
    for edge in edges:
        arrow = f'-. "{_escaped(edge.label)}" .->' if edge.label else "-->"
        lines.append(f"    {edge.begin} {arrow} {edge.end}")
    lines += [f"    classDef {name} fill:{fill},color:#000" for name, fill in styles.items() if name in used]
    return "\n".join(lines) + "\n"


def dot(name: str, vertices: Iterable[Vertex], edges: Iterable[Edge], styles: Mapping[str, str] = {}) -> str:
    """Return a graph for Graphviz; `styles` as for Mermaid."""
    lines = [f"digraph {name} {{"]
    for each in vertices:
        more = ", shape=oval" if each.is_rounded else ", shape=box" if styles else ""
        if each.style in styles:
            more += f', style=filled, fillcolor="{styles[each.style]}"'
        lines.append(f'    {each.key} [label="{_escaped(each.label)}"{more}];')
    for edge in edges:
        more = f' [label="{_escaped(edge.label)}", style=dashed]' if edge.label else ""
        lines.append(f"    {edge.begin} -> {edge.end}{more};")
    return "\n".join([*lines, "}"]) + "\n"


def leads(lead: str, count: int) -> Sequence[tuple[str, str]]:
    """Return for each of `count` branches below a line what stands before it, and before what is below it."""
    inner = [(lead + "├── ", lead + "│   ")] * (count - 1)
    return [*inner, (lead + "└── ", lead + "    ")] if count else []


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'").replace("\n", " ")
