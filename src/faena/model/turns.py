"""In which order a worker looks at its queues. Pure laws; the consumer of each broker asks them before a fetch.

    fair       each queue comes first in its turn
    strict     the order in which they were named, always: a queue is looked at when those before it are empty
    weighted   whoever is furthest behind its share comes first; shares are counted in messages, and hold among queues that
               have something

A fetch goes through the queues in that order until it has what it wanted, so no order leaves a worker idle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

Names: TypeAlias = tuple[str, ...]
QueueOrder: TypeAlias = Literal["fair", "strict", "weighted"]


class Taking(Struct, frozen=True):
    """How a consumer takes from its queues, where it differs from the usual."""

    order: QueueOrder = "fair"
    weights: Mapping[str, int] = {}  # of the order "weighted"; 1 where nothing is said
    ageing_s: Mapping[str, float] = {}  # queue -> after how long a message counts as one priority higher

    def among(self, queues: Sequence[str]) -> Taking:
        """Return what of it concerns these queues."""
        if not self.weights and not self.ageing_s:
            return self
        weights = {queue: self.weights[queue] for queue in queues if queue in self.weights}
        return Taking(self.order, weights, {queue: self.ageing_s[queue] for queue in queues if queue in self.ageing_s})


USUAL = Taking()


class Turns(Protocol):
    """The order of one consumer's queues."""

    def next(self) -> Names:
        """Return the queues in the order of the next fetch."""
        ...

    def took(self, counts: Mapping[str, int], limit: int) -> None:
        """Learn what the fetch in the last order gave of each queue, of `limit` that were wanted."""
        ...

    @property
    def counts(self) -> bool:
        """Whether `took` has to be told."""
        ...


def aged(rank: int, waited_s: float, ageing_s: float) -> int:
    """Return the rank (9 - priority) that a message counts as after it has waited for so long."""
    return max(0, rank - int(max(0.0, waited_s) / ageing_s))


def turns_of(queues: Sequence[str], taking: Taking) -> Turns:
    """Return the order that a consumer of these queues keeps."""
    names = tuple(dict.fromkeys(queues))
    if taking.order == "strict":
        return Strict(names)
    if taking.order == "weighted" and len(names) > 1:
        return Weighted(names, taking.weights)
    return Fair(names)


class Fair:
    """Each queue comes first in its turn."""

    __slots__ = ("_at", "_rotations")
    counts = False

    def __init__(self, queues: Names) -> None:
        self._rotations = [queues[at:] + queues[:at] for at in range(len(queues))] or [()]
        self._at = 0

    def next(self) -> Names:
        self._at = at = (self._at + 1) % len(self._rotations)
        return self._rotations[at]

    def took(self, counts: Mapping[str, int], limit: int) -> None:
        pass


class Strict:
    """The order never changes."""

    __slots__ = ("_queues",)
    counts = False

    def __init__(self, queues: Names) -> None:
        self._queues = queues

    def next(self) -> Names:
        return self._queues

    def took(self, counts: Mapping[str, int], limit: int) -> None:
        pass


class Weighted:
    """Shares by weight: start-time fair queueing, with messages for bytes.

    `_served` is how much of its share a queue has had. One that was found empty does not save up what it did not take: it
    goes on from where the least served of the others is.
    Source: P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queuing", SIGCOMM 1996.
    """

    __slots__ = ("_empty", "_order", "_places", "_served", "_weights")
    counts = True

    def __init__(self, queues: Names, weights: Mapping[str, int]) -> None:
        self._places = {queue: place for place, queue in enumerate(queues)}
        self._weights = {queue: max(1, weights.get(queue, 1)) for queue in queues}
        self._served = dict.fromkeys(queues, 0.0)
        self._empty: set[str] = set()  # as far as is known
        self._order: Names = queues

    def next(self) -> Names:
        served, places, empty = self._served, self._places, self._empty
        floor = min([served[queue] for queue in served if queue not in empty], default=None)
        if floor is not None:
            for queue in empty:
                served[queue] = max(served[queue], floor)
        # among equals one that was empty comes first: else it would be lifted with the others, and never be looked at
        self._order = tuple(sorted(served, key=lambda queue: (served[queue], queue not in empty, places[queue])))
        return self._order

    def took(self, counts: Mapping[str, int], limit: int) -> None:
        left = limit
        for queue in self._order:
            if left <= 0:
                break
            count = counts.get(queue, 0)
            self._served[queue] += count / self._weights[queue]
            if count < left:
                self._empty.add(queue)
            else:
                self._empty.discard(queue)
            left -= count
