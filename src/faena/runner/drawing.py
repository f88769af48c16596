"""Draw a plan: as a tree, as Mermaid, as DOT; and tell what a run would do."""

from __future__ import annotations

from faena._lib import drawing
from faena.errors import Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from faena.runner.execute import Runner
    from faena.runner.plan import Step

FORMS = drawing.FORMS


def draw(steps: Sequence[Step], form: str) -> str:
    """The graph of a plan in one of `FORMS`."""
    if form == "tree":
        return _tree(steps)
    vertices = [drawing.Vertex(f"n{step.index}", step.title) for step in steps]
    edges = [drawing.Edge(f"n{each}", f"n{step.index}") for step in steps for each in step.waits_for]
    match form:
        case "mermaid":
            return drawing.mermaid(vertices, edges)
        case "dot":
            return drawing.dot("tasks", vertices, edges)
        case _:
            raise Exit(f"fa: no graph form '{form}': one of {', '.join(FORMS)}")


def _tree(steps: Sequence[Step]) -> str:
    """Every step that nothing waits for, with what it waits for below it; a step's second place shows no more."""
    waited = {each for step in steps for each in step.waits_for}
    lines: list[str] = []
    shown: set[int] = set()
    stack = [(step.index, "", "") for step in reversed(steps) if step.index not in waited]
    while stack:
        index, lead, below = stack.pop()
        step = steps[index]
        is_known = index in shown and bool(step.waits_for)
        lines.append(f"{lead}{step.title}{' ...' if is_known else ''}")
        if is_known:
            continue
        shown.add(index)
        places = drawing.leads(below, len(step.waits_for))
        stack += [(each, *place) for each, place in zip(reversed(step.waits_for), reversed(places), strict=True)]
    return "\n".join(lines) + "\n"


def show_plan(runner: Runner, steps: Sequence[Step]) -> None:
    """Print the steps in order, and of those with conditions or sources what would become of them."""
    foresight = None
    for step in steps:
        verdict = ""
        if step.task.options.extras is not None:
            if foresight is None:
                from faena.runner.foresight import Foresight

                foresight = Foresight(runner)
            verdict = foresight.verdict(step)
        print(f"{step.title}{f'  ({verdict})' if verdict else ''}")
