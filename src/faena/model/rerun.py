"""Running a workflow again from some of its nodes: which ones, and what they wait for then. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from faena.errors import WorkflowError
from faena.model.workflow import ACTIVE_STATES, DONE_STATES, NodeState, NodeView, Standing

Guards: TypeAlias = Mapping[int, Sequence[int]]
"""By hook: the nodes whose failure it answers."""

_ANSWERED = frozenset({NodeState.FAILURE, NodeState.ABANDONED, NodeState.SKIPPED, NodeState.TOLERATED})


def plan_rerun(workflow: str, nodes: Mapping[int, NodeView], begun_at: Iterable[int] | None) -> dict[int, Standing]:
    """Return the new standings of the nodes to run again: those of `begun_at` and all that comes after them.

    `begun_at` None: where it has failed or was revoked. What had succeeded elsewhere is kept.
    Raises WorkflowError: there is no such node, nothing has failed, one still runs, or one needs what has not succeeded.
    """
    guards = _guards(nodes)
    starts = _failed(nodes, guards) if begun_at is None else list(begun_at)
    for number in starts:
        if number not in nodes:
            raise WorkflowError(workflow, f"it has no node {number}; see them with: faena workflow show {workflow}")
        if nodes[number].is_hook and _failure_of(nodes, guards, number) is None:
            raise WorkflowError(workflow, f"node {number} ({nodes[number].name}) answers a failure that has not happened")
    if not starts:
        raise WorkflowError(workflow, "nothing in it has failed; name the node to run it from")
    again = _with_all_after(nodes, starts)
    named = () if begun_at is None else starts
    renewed = [number for number in again if _runs_itself(nodes, guards, number, again, named)]
    instead = {number for renewal in renewed for number in _stand_ins(nodes, guards, renewal)}
    if not instead.isdisjoint(starts):  # what they stand in for runs again itself
        if begun_at is not None:
            number = min(instead.intersection(starts))
            raise WorkflowError(workflow, f"node {number} ({nodes[number].name}) stands in for one that runs again itself")
        starts = [number for number in starts if number not in instead]
        again = _with_all_after(nodes, starts)
    if begun_at is None:
        starts = [number for number in starts if again.isdisjoint(guards.get(number, ()))]
    needs: dict[int, frozenset[int]] = {}
    for number in sorted(again):
        _check(workflow, nodes, number, again, needs)
    begun = set(starts)
    return {number: _standing(nodes, guards, number, again, number in begun) for number in sorted(again)}


def failed(nodes: Mapping[int, NodeView]) -> list[int]:
    """Return the nodes at which a workflow broke: those that failed or were revoked themselves."""
    return _failed(nodes, _guards(nodes))


def _failed(nodes: Mapping[int, NodeView], guards: Guards) -> list[int]:
    """Return what has failed or was revoked of itself; of hooks, and of what comes after them, what had its turn."""
    failed: list[int] = []
    unasked: set[int] = set()  # hooks of what did not fail: a cancelled workflow has ended them, too
    for number, node in sorted(nodes.items()):
        standing = node.standing
        had_no_turn = node.is_hook and _failure_of(nodes, guards, number) is None
        if had_no_turn or not unasked.isdisjoint(node.needs):
            unasked.add(number)
        elif standing.state in (NodeState.FAILURE, NodeState.REVOKED) and standing.cause in (None, number):
            failed.append(number)
    return failed


def _guards(nodes: Mapping[int, NodeView]) -> Guards:
    found: dict[int, list[int]] = {}
    for number, node in nodes.items():
        for hook in node.links.hooks:
            found.setdefault(hook, []).append(number)
    return found


def _failure_of(nodes: Mapping[int, NodeView], guards: Guards, hook: int) -> int | None:
    """Return the node whose failure a hook answers; its own standing forgets it when it fails itself."""
    for number in guards.get(hook, ()):
        if nodes[number].standing.state in _ANSWERED:
            return nodes[number].standing.cause
    return None


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


def _runs_itself(
    nodes: Mapping[int, NodeView], guards: Guards, number: int, again: set[int], starts: Sequence[int]
) -> bool:
    """Whether a node that was replaced is to run its own task again, though what stood in for it is to run, too."""
    node = nodes[number]
    if node.standing.alias not in again:
        return False
    before = {*node.needs, *guards.get(number, ())} - {node.standing.alias}
    return number in starts or not again.isdisjoint(before)


def _stand_ins(nodes: Mapping[int, NodeView], guards: Guards, number: int) -> set[int]:
    """Return the nodes that ran in the place of one: all that lead to its alias."""
    found: set[int] = set()
    pending = [nodes[number].standing.alias]
    while pending:
        each = pending.pop()
        if each is None or each in found or each not in nodes:
            continue
        found.add(each)
        pending += [*nodes[each].needs, nodes[each].standing.alias, *guards.get(each, ())]
    return found


def _check(
    workflow: str, nodes: Mapping[int, NodeView], number: int, again: set[int], needs: dict[int, frozenset[int]]
) -> None:
    """`needs` of what comes after: looked at once for each, as a group has as many members as it likes."""
    node = nodes[number]
    alias = node.standing.alias
    goes_on_elsewhere = alias is not None and alias not in again and node.standing.state is NodeState.WAITING
    for dependent in node.links.dependents:
        after = nodes.get(dependent)
        if after is None:
            continue
        if dependent not in needs:
            needs[dependent] = frozenset(after.needs)
        if number not in needs[dependent] and after.standing.alias != number:
            raise WorkflowError(
                workflow,
                f"node {number} ({node.name}) stood in for node {dependent} ({after.name}) in an earlier run; "
                f"run that one again instead",
            )
    if node.standing.state in ACTIVE_STATES or goes_on_elsewhere:
        raise WorkflowError(workflow, f"node {number} ({node.name}) waits or runs; cancel the workflow first, or wait")
    for need in node.needs:
        needed = nodes[need]
        if need in again or needed.standing.state in DONE_STATES:
            continue
        if needed.standing.state in ACTIVE_STATES or needed.standing.state is NodeState.WAITING:
            raise WorkflowError(
                workflow,
                f"node {number} ({node.name}) needs node {need} ({needed.name}), which has not ended; cancel the workflow "
                "first, or wait",
            )
        raise WorkflowError(
            workflow,
            f"node {number} ({node.name}) needs node {need} ({needed.name}), which is {needed.standing.state}: "
            f"run it again from there",
        )


def _standing(nodes: Mapping[int, NodeView], guards: Guards, number: int, again: set[int], is_start: bool) -> Standing:
    node = nodes[number]
    old = node.standing
    alias = old.alias if old.alias in again else None  # else its own task runs again, and may ask for another in its place
    if alias is not None:
        return Standing(NodeState.WAITING, 1, old.run, alias=alias)
    if node.is_hook:
        cause = _failure_of(nodes, guards, number) if is_start else None
        return Standing(NodeState.WAITING, 0 if is_start else 1, old.run + 1, cause=cause)
    waits = sum(need in again for need in node.needs)
    return Standing(NodeState.WAITING, waits, old.run + 1)
