"""Running a workflow again from some of its nodes: which ones, and what they wait for then. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from faena.errors import WorkflowError
from faena.model.workflow import ACTIVE_STATES, DONE_STATES, NodeState, NodeView, Standing


def plan_rerun(workflow: str, nodes: Mapping[int, NodeView], begun_at: Iterable[int] | None) -> dict[int, Standing]:
    """Return the new standings of the nodes to run again: those of `begun_at` and all that comes after them.

    `begun_at` None: where it has failed or was revoked. What had succeeded elsewhere is kept.
    Raises WorkflowError: there is no such node, nothing has failed, one still runs, or one needs what has not succeeded.
    """
    starts = failed(nodes) if begun_at is None else list(begun_at)
    for number in starts:
        if number not in nodes:
            raise WorkflowError(workflow, f"it has no node {number}; see them with: faena workflow show {workflow}")
    if not starts:
        raise WorkflowError(workflow, "nothing in it has failed; name the node to run it from")
    again = _with_all_after(nodes, starts)
    for number in sorted(again):
        _check(workflow, nodes, number, again)
    return {number: _standing(nodes, number, again, number in starts) for number in sorted(again)}


def failed(nodes: Mapping[int, NodeView]) -> list[int]:
    """Return the nodes at which a workflow broke: those that failed or were revoked themselves."""
    return [
        number
        for number, node in nodes.items()
        if node.standing.state in (NodeState.FAILURE, NodeState.REVOKED) and node.standing.cause in (None, number)
    ]


def _with_all_after(nodes: Mapping[int, NodeView], starts: Iterable[int]) -> set[int]:
    again: set[int] = set()
    pending = list(starts)
    while pending:
        number = pending.pop()
        if number not in again and number in nodes:
            again.add(number)
            pending.extend(nodes[number].links.dependents)
            pending.extend(nodes[number].links.hooks)
    return again


def _check(workflow: str, nodes: Mapping[int, NodeView], number: int, again: set[int]) -> None:
    node = nodes[number]
    if node.standing.state in ACTIVE_STATES:
        raise WorkflowError(workflow, f"node {number} ({node.name}) waits or runs; cancel the workflow first, or wait")
    for need in node.needs:
        if need not in again and nodes[need].standing.state not in DONE_STATES:
            needed = nodes[need]
            raise WorkflowError(
                workflow,
                f"node {number} ({node.name}) needs node {need} ({needed.name}), which is {needed.standing.state}: "
                f"run it again from there",
            )


def _standing(nodes: Mapping[int, NodeView], number: int, again: set[int], is_start: bool) -> Standing:
    node = nodes[number]
    old = node.standing
    alias = old.alias if old.alias in again else None  # else its own task runs again, and may ask for another in its place
    if alias is not None:
        return Standing(NodeState.WAITING, 1, old.run, alias=alias)
    if node.is_hook:
        return Standing(NodeState.WAITING, 0 if is_start else 1, old.run + 1, cause=old.cause if is_start else None)
    waits = sum(need in again for need in node.needs)
    return Standing(NodeState.WAITING, waits, old.run + 1)
