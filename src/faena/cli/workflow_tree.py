"""The shape of a workflow, found again in its graph: steps one after the other, groups with members, branches beside. Pure.

    steps    end with a node; before each stands what it needs, back to where the steps begin
    group    a join: each of its needs is the end of a member, and all members begin after the same node, its `fallback`
    part     a gate: it stands for the steps before it, likewise
    beside   what is called back with the value of a node, or runs when it fails; and what stands in for it

Numbers are given depth first (see `faena.tasks.compile`): everything that belongs to a node, its callbacks included, has
lower numbers than the step after it. That tells the callbacks of a node from its next step.

Nodes are asked for one at a time, so that those of a large group that is folded need not be loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from faena.model.workflow import ACTIVE_STATES, BROKEN_STATES, NodeState, NodeView

FOLD_ABOVE = 25
"""Members of a group, or steps of a chain, that are all shown; of more, some are, and the rest is counted."""
_FAILED, _ACTIVE, _FIRST = 5, 5, 3  # how many are shown of those that are folded


class Kind(StrEnum):
    TASK = "task"
    GROUP = "group"
    PART = "part"  # several steps that have a policy, a callback or a hook of their own


class Beside(StrEnum):
    CALLBACK = "then"
    HOOK = "on failure"
    REPLACEMENT = "in its place"


@dataclass(frozen=True, slots=True)
class Fold:
    """Members of a group, or steps of a chain, that are counted instead of shown."""

    states: Mapping[NodeState, int]
    is_of_group: bool

    @property
    def count(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Branch:
    role: Beside
    steps: Steps


@dataclass(frozen=True, slots=True)
class Item:
    """A node, with what belongs to it. `members` of a group are steps each; a part has its steps as the only member."""

    node: NodeView
    kind: Kind
    members: tuple[Steps, ...] = ()
    folded: Fold | None = None  # members that are not among `members`
    beside: tuple[Branch, ...] = ()
    states: Mapping[NodeState, int] = field(default_factory=dict)  # how many members of a group are in which state


Steps: TypeAlias = "tuple[Item | Fold, ...]"


class Nodes(Protocol):
    """Nodes by number."""

    def __getitem__(self, number: int, /) -> NodeView: ...


def tree_of(nodes: Nodes, states: Sequence[NodeState], output: int, fold_above: int | None) -> Steps:
    """Return the steps that lead to the node `output`; `fold_above` None shows everything."""
    return _Reader(nodes, states, fold_above).steps(output, None, None)


def items_in(steps: Steps) -> Iterator[Item]:
    """Give every node that is shown."""
    for each in steps:
        if isinstance(each, Item):
            yield each
            for member in each.members:
                yield from items_in(member)
            for branch in each.beside:
                yield from items_in(branch.steps)


class _Reader:
    def __init__(self, nodes: Nodes, states: Sequence[NodeState], fold_above: int | None) -> None:
        self._nodes, self._states, self._fold_above = nodes, states, fold_above
        self._guarding: set[int] = set()  # hooks that stand somewhere: one hook may guard several nodes

    def steps(self, last: int, begin: int | None, consumer: int | None) -> Steps:
        """Return the steps after the node `begin`, up to `last`, whose value `consumer` takes."""
        path = self._path(last, begin)
        chosen = self._chosen(path)
        found: list[Item | Fold] = []
        hidden: Counter[NodeState] = Counter()
        for index, number in enumerate(path):
            if index not in chosen:
                hidden[self._state(number)] += 1
                continue
            if hidden:
                found.append(Fold(dict(hidden), is_of_group=False))
                hidden = Counter()
            after = path[index + 1] if index + 1 < len(path) else None
            found.append(self._item(number, after, consumer))
        return tuple(found)

    def _path(self, last: int, begin: int | None) -> list[int]:
        path: list[int] = []
        at: int | None = last
        while at is not None and at != begin:
            path.append(at)
            at = self._before(at)
        path.reverse()
        return path

    def _before(self, number: int) -> int | None:
        """Return what has to end before the first of the nodes that a step consists of begins."""
        node = self._nodes[number]
        if node.links.is_virtual:
            return node.fallback
        return node.needs[0] if node.needs else None

    def _item(self, number: int, after: int | None, consumer: int | None) -> Item:
        node = self._nodes[number]
        beside = self._beside(node, after, consumer)
        if node.links.is_join:
            needs = () if node.needs == (node.fallback,) else node.needs  # an empty group needs what comes before it
            chosen = self._chosen(needs)
            members = tuple([self.steps(needs[index], node.fallback, number) for index in sorted(chosen)])
            hidden = Counter(self._state(need) for index, need in enumerate(needs) if index not in chosen)
            fold = Fold(dict(hidden), is_of_group=True) if hidden else None
            return Item(node, Kind.GROUP, members, fold, beside, dict(Counter(self._state(need) for need in needs)))
        if node.links.is_virtual and node.needs:
            return Item(node, Kind.PART, (self.steps(node.needs[0], node.fallback, number),), None, beside)
        return Item(node, Kind.TASK, beside=beside)

    def _chosen(self, numbers: Sequence[int]) -> set[int]:
        """Return the places of those to show: all, or the first that failed, that run, and that come first and last."""
        if self._fold_above is None or len(numbers) <= self._fold_above:
            return set(range(len(numbers)))
        failed: list[int] = []
        active: list[int] = []
        for index, number in enumerate(numbers):
            state = self._state(number)
            if state in BROKEN_STATES and len(failed) < _FAILED and state is not NodeState.ABANDONED:
                failed.append(index)
            elif state in ACTIVE_STATES and len(active) < _ACTIVE:
                active.append(index)
        return {*failed, *active, *range(min(_FIRST, len(numbers))), len(numbers) - 1}

    def _state(self, number: int) -> NodeState:
        """Return the state of a node; one that was added since the states were read waits."""
        return self._states[number] if number < len(self._states) else NodeState.WAITING

    # -- beside --------------------------------------------------------------------------------------------

    def _beside(self, node: NodeView, after: int | None, consumer: int | None) -> tuple[Branch, ...]:
        dependents = node.links.dependents
        if after is None:
            callbacks = [each for each in dependents if each != consumer]
        else:
            next_step = self._first(after)
            callbacks = [each for each in dependents if each < next_step]
        found = [Branch(Beside.CALLBACK, steps) for steps in self._branches(callbacks, node.number)]
        hooks = [each for each in node.links.hooks if each not in self._guarding]
        self._guarding.update(hooks)
        found += [Branch(Beside.HOOK, steps) for steps in self._branches(hooks, None)]
        if node.standing.alias is not None:
            found.insert(0, Branch(Beside.REPLACEMENT, self.steps(node.standing.alias, None, node.number)))
        return tuple(found)

    def _branches(self, heads: Sequence[int], begin: int | None) -> Iterator[Steps]:
        """Give the steps that begin with these nodes; several begin one where its first step is a group."""
        end = -1
        for head in sorted(heads):
            if head > end:
                end = self._end(head)
                yield self.steps(end, begin, None)

    def _end(self, number: int) -> int:
        while (dependents := self._nodes[number].links.dependents) and (after := max(dependents)) > number:
            number = after
        return number

    def _first(self, number: int) -> int:
        """Return the lowest number of the nodes that a step consists of."""
        node = self._nodes[number]
        while node.links.is_virtual and node.needs and node.needs != (node.fallback,):
            node = self._nodes[self._path(node.needs[0], node.fallback)[0]]
        return node.number
