"""What a node is given of those before it: which other nodes tell, and what they say. Pure.

gathering = Gathering([5])
while missing := gathering.missing():
    gathering.add(<these nodes, read from wherever they are>)
gathering.input_of(5, run=0)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct

from faena.model.result import Failure
from faena.model.workflow import ACTIVE_STATES, DONE_STATES, NodeState, NodeView, Takes


class Encoded(Struct, frozen=True, gc=False):
    """What a task returned, as encoded by the codec `content`. None stands for itself."""

    value: bytes | None
    content: str


class Raised(Struct, frozen=True, gc=False):
    """What a task raised, and the workflow tolerates."""

    failure: Failure
    content: str


class Listed(Struct, frozen=True):
    """The values of a group."""

    items: tuple[Value, ...]


class Nothing(Struct, frozen=True, gc=False):
    """There is no value: what would have given one was skipped."""


class FailedId(Struct, frozen=True, gc=False):
    """The id of the task that failed: what a hook is given; and what it failed with, for one that wants to know."""

    task_id: str
    task: str = ""
    failure: Failure | None = None
    content: str = "json"


class Outdated(Struct, frozen=True, gc=False):
    """The node does not want this run (any more): it has ended, was begun anew, or its workflow is gone."""


Value: TypeAlias = Encoded | Raised | Listed | Nothing
Input: TypeAlias = Encoded | Raised | Listed | Nothing | FailedId | Outdated


class Gathering:
    """Collects the nodes that say what some nodes are given, or what value they have."""

    def __init__(self, inputs: Iterable[int] = (), values: Iterable[int] = ()) -> None:
        self._nodes: dict[int, NodeView] = {}
        self._returned: dict[int, Encoded] = {}  # by tasks that ran and succeeded themselves: nearly all there is
        self._absent: set[int] = set()
        self._inputs, self._values = list(inputs), list(values)
        self._asked = frozenset(self._inputs)
        self._missing = {*self._inputs, *self._values}

    def missing(self) -> list[int]:
        """Return the nodes to read next."""
        return list(self._missing)

    def is_asked(self, number: int) -> bool:
        """Whether the input of this node is asked for: then its value alone is not enough."""
        return number in self._asked

    def add_returned(self, returned: Iterable[tuple[int, Encoded]]) -> None:
        """Take in what tasks returned that ran and succeeded themselves; not of those asked for inputs."""
        self._returned.update(returned)

    def add(self, views: Iterable[NodeView]) -> None:
        """Take in what was read of those missing; what is not there does not exist."""
        asked, self._missing = self._missing, set()
        taken = list(views)
        self._nodes.update([(view.number, view) for view in taken])
        self._absent |= asked - self._nodes.keys() - self._returned.keys()
        starts = set(self._inputs)
        for view in taken:
            self._want(_told_by(view))
            if view.number in starts:
                self._want(view.needs if view.takes is Takes.VALUE else ())
                if view.takes is Takes.FAILED and view.standing.cause is not None:
                    self._want([view.standing.cause])

    def input_of(self, number: int, run: int) -> Input:
        """Return what a node is given before its own arguments in this run."""
        view = self._nodes.get(number)
        if view is None or view.standing.run != run or view.standing.state not in ACTIVE_STATES:
            return Outdated()
        match view.takes:
            case Takes.VALUE:
                return self.value_of(view.needs[0])
            case Takes.FAILED:
                cause = self._nodes.get(-1 if view.standing.cause is None else view.standing.cause)
                if cause is None:
                    return FailedId("")
                return FailedId(cause.id, cause.name, cause.failure, cause.content or "json")
        return Nothing()

    def value_of(self, number: int) -> Value:
        """Return the value of a node that is done."""
        while True:
            returned = self._returned.get(number)
            if returned is not None:
                return returned
            view = self._nodes.get(number)
            if view is None:
                return Nothing()
            following = _followed(view)
            if following is None:
                break
            number = following
        if view.standing.state not in (NodeState.SUCCESS, NodeState.SKIPPED):
            return self._raised(view)
        if view.standing.state is NodeState.SKIPPED:
            return Nothing()
        if view.links.is_virtual:
            needs = view.needs if view.takes is Takes.LIST else ()
            values = [self.value_of(need) for need in needs if not self._is_left_out(need, view.fallback)]
            return Listed(tuple([value for value in values if not isinstance(value, Nothing)]))
        return Encoded(view.value, view.content)

    def _is_left_out(self, number: int, before: int | None) -> bool:
        """Whether a member of a group was skipped whole: all that is left of it is what came `before` the group."""
        following: int | None = number
        while following is not None and following not in self._returned:
            number = following
            if number == before:
                return True
            view = self._nodes.get(number)
            following = None if view is None else _followed(view)
        return following is not None and following == before

    def _raised(self, view: NodeView) -> Value:
        cause = self._nodes.get(view.number if view.standing.cause is None else view.standing.cause)
        failed = cause if cause is not None and cause.failure is not None else view
        if failed.failure is None:
            return Nothing()
        return Raised(failed.failure, failed.content or "json")

    def _want(self, numbers: Iterable[int]) -> None:
        unread = set(numbers)
        unread -= self._nodes.keys()
        unread -= self._returned.keys()
        self._missing |= unread - self._absent


def _followed(view: NodeView) -> int | None:
    """Return the node that has the value in the place of this one; None: it is its own."""
    standing = view.standing
    if standing.state is NodeState.SUCCESS and standing.alias is not None:
        return standing.alias
    if standing.state is NodeState.SKIPPED:
        return view.fallback
    if standing.state is NodeState.SUCCESS and view.links.is_virtual and view.takes is Takes.VALUE:
        return view.needs[0]
    return None


def _told_by(view: NodeView) -> Iterable[int]:
    """Return the nodes that say what the value of this one is."""
    following = _followed(view)
    if following is not None:
        return [following]
    if view.standing.state is NodeState.SUCCESS and view.links.is_virtual:
        return view.needs if view.takes is Takes.LIST else ()
    if view.standing.state not in DONE_STATES or view.standing.state is NodeState.TOLERATED:
        return [] if view.standing.cause is None else [view.standing.cause]
    return []
