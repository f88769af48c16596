"""Directed graphs without I/O: order, cycles, and what becomes ready when.

A graph is a mapping from each node to the nodes it needs. Everything is iterative and visits each node and edge
once, so that a chain of 100,000 nodes or 2^60 paths cost no more than their nodes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from typing import Generic, TypeVar

    Node = TypeVar("Node", bound=Hashable)
else:

    class _Plain:
        __slots__ = ()

        def __class_getitem__(cls, _node):
            return cls

    Generic, Node = _Plain, None


def find_cycle(needs: Mapping[Node, Iterable[Node]]) -> list[Node] | None:
    """Return the first cycle found as a path that ends where it began, or None."""
    finished: set[Node] = set()
    for start in needs:
        if start in finished:
            continue
        path: list[Node] = [start]
        on_path = {start}
        pending = [iter(needs.get(start, ()))]
        while pending:
            for node in pending[-1]:
                if node in on_path:
                    return [*path[path.index(node) :], node]
                if node not in finished:
                    path.append(node)
                    on_path.add(node)
                    pending.append(iter(needs.get(node, ())))
                    break
            else:
                pending.pop()
                done = path.pop()
                on_path.discard(done)
                finished.add(done)
    return None


def order_of(needs: Mapping[Node, Iterable[Node]]) -> list[Node] | None:
    """Return all nodes, each after those it needs and else as they were given, or None if there is a cycle."""
    ready = Readiness(needs)
    order: list[Node] = []
    queue = list(ready.first())
    for node in queue:
        order.append(node)
        queue.extend(ready.done(node))
    return order if ready.is_finished else None


class Readiness(Generic[Node]):
    """Counts down: tells which nodes may start at first, and after each node that is done."""

    __slots__ = ("_dependents", "_missing", "_nodes", "_remaining")

    def __init__(self, needs: Mapping[Node, Iterable[Node]]) -> None:
        self._nodes = list(needs)
        self._missing: dict[Hashable, int] = {}
        self._dependents: dict[Hashable, list[Node]] = {}
        for node, wanted in needs.items():
            distinct = set(wanted)
            self._missing[node] = len(distinct)
            for each in distinct:
                self._dependents.setdefault(each, []).append(node)
        self._remaining = len(self._missing)

    @property
    def is_finished(self) -> bool:
        return self._remaining == 0

    def first(self) -> list[Node]:
        """The nodes that need nothing."""
        return [node for node in self._nodes if self._missing[node] == 0]

    def done(self, node: Node) -> list[Node]:
        """Record that `node` is done; return the nodes that became ready."""
        self._remaining -= 1
        ready: list[Node] = []
        for each in self._dependents.get(node, ()):
            self._missing[each] -= 1
            if self._missing[each] == 0:
                ready.append(each)
        return ready

    def abandon(self, node: Node) -> list[Node]:
        """Record that `node` failed; return everything that waits for it, directly or not, as lost too."""
        self._remaining -= 1
        lost: list[Node] = []
        seen: set[Hashable] = set()
        pending = list(self._dependents.get(node, ()))
        while pending:
            each = pending.pop()
            if each in seen or self._missing[each] < 0:
                continue
            seen.add(each)
            self._missing[each] = -1
            self._remaining -= 1
            lost.append(each)
            pending.extend(self._dependents.get(each, ()))
        return lost
