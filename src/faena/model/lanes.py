"""The law of limits: which of the messages that wait may be handed out now.

A message under limits waits in a *lane*: with all messages of its queue that have the same limits and the same key of fair
share. The head of a lane is admitted if all limits of the lane allow it. A lane that is refused is parked at the limit
that refused it, and nobody looks at it until that has changed:

    ring of the queue ──tried──▶ admitted ──▶ ring (or gone, if that was its last message)
          ▲                └───▶ refused by a limit ──▶ parked there
          └─ a permit came back · the next token is due · other terms · another was tried, and not refused there

The last of these passes it on: who finds room at a limit calls the next that is parked there. So where lanes are
parked at a limit, it is full, or paused, or the moment of its next token is noted, or one of its lanes is in the ring.
A fetch looks at a few lanes, however many wait.

Ring and parking go by priority, then by turn: the lane that was served longest ago comes first. That is fair share.

A rate is a generic cell rate algorithm: one number for each limit, the moment until which what was taken is paid for.
Permits are ids of messages, never a count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

from msgspec import Struct

from faena.model.limit import (
    LEAST_PAUSE_S,
    MOST_TRIES,
    ROUNDING_S,
    Lane,
    Obstacle,
    Refusal,
    Terms,
    family_of,
    limits_of,
    next_token_s,
    paid_after,
    paid_under,
    shown,
)

_SWEEP_AT = 10_000


class _Line:
    """One lane, with what waits in it."""

    __slots__ = ("heap", "limits", "mark", "name", "parked_at", "queue", "turn")

    def __init__(self, queue: str, name: Lane, turn: int) -> None:
        self.queue, self.name, self.turn = queue, name, turn
        self.limits = limits_of(name)
        self.heap: list[tuple[int, int, str, float | None]] = []  # rank, seq, id, when it expires
        self.parked_at: str | None = None  # a limit; None: in the ring
        self.mark = 0  # of its entry in the ring or a parking place: an entry with another mark is of earlier


_Entry: TypeAlias = tuple[int, int, int, _Line]
"""rank, turn, mark, lane"""


class Admitted(Struct, frozen=True, gc=False):
    """A message that is in hand."""

    id: str
    lane: Lane
    took: tuple[str, ...] = ()  # the limits of which it took a token, or holds a permit


class Lanes:
    """All lanes of one store. Plain data: the caller holds the lock and hands in the time."""

    def __init__(self) -> None:
        self.terms: dict[str, Terms] = {}  # by family
        self._lines: dict[tuple[str, Lane], _Line] = {}
        self._where: dict[str, tuple[_Line, int]] = {}  # id of what waits -> its lane, its seq
        self._rings: dict[str, list[_Entry]] = {}
        self._parked: dict[str, dict[str, list[_Entry]]] = {}  # limit -> queue -> lanes
        self._permits: dict[str, set[str]] = {}  # limit -> ids
        self._paid_until_s: dict[str, float] = {}
        self._due_s: dict[str, float] = {}  # limit -> when to look at it again
        self._admitted: dict[str, Admitted] = {}
        self._next_turn, self._next_mark = count(1).__next__, count(1).__next__
        self._touched: set[str] = set()  # queues whose ring has got something

    def __len__(self) -> int:
        return len(self._where)

    # -- what waits ----------------------------------------------------------------------------------------

    def line_up(self, queue: str, lane: Lane, rank: int, seq: int, task_id: str, expires_s: float | None = None) -> None:
        """Let a message wait in its lane."""
        line = self._lines.get((queue, lane))
        if line is None:
            line = self._lines[queue, lane] = _Line(queue, lane, self._next_turn())
        first = self._rank_of(line)
        heappush(line.heap, (rank, seq, task_id, expires_s))
        self._where[task_id] = line, seq
        if first is None or rank < first:
            self._enter(line, line.parked_at)

    def remove(self, task_id: str) -> bool:
        """Take out what waits."""
        found = self._where.pop(task_id, None)
        if found is None:
            return False
        line = found[0]
        if self._rank_of(line) is None:
            self._end(line)
        return True

    def waits(self, task_id: str) -> Lane | None:
        found = self._where.get(task_id)
        return None if found is None else found[0].name

    def waiting(self, queue: str) -> Iterator[tuple[int, int, str]]:
        """Give rank, seq and id of what waits in a queue."""
        for line in self._lines.values():
            if line.queue == queue:
                for rank, seq, task_id, _ in line.heap:
                    if self._where.get(task_id) == (line, seq):
                        yield rank, seq, task_id

    # -- handing out ---------------------------------------------------------------------------------------

    def take(self, queue: str, now_s: float, tries: int = MOST_TRIES) -> Admitted | None:
        """Hand out the next message of a queue that its limits allow now."""
        self._look_at_due(now_s)
        ring = self._rings.get(queue)
        while ring and tries > 0:
            _, _, mark, line = heappop(ring)
            if line.mark != mark or line.parked_at is not None:
                continue
            head = self._head_of(line)
            if head is None:
                self._end(line)
                continue
            tries -= 1
            is_over = head[3] is not None and head[3] <= now_s  # it ends at once, and costs nothing
            refused = None if is_over else self._refused(line, now_s)
            if refused is None:
                return self._admit(line, head, now_s, takes=not is_over)
            self._enter(line, refused)
            self._pass_on(line, refused)
        return None

    def has_more(self, queue: str) -> bool:
        """Whether lanes of a queue stand to be tried."""
        ring = self._rings.get(queue)
        return ring is not None and any(line.mark == mark and line.parked_at is None for _, _, mark, line in ring)

    def next_moment(self) -> float | None:
        """Return when the next token is due that anything waits for."""
        return min(self._due_s.values(), default=None)

    def give_back(self, task_id: str, *, refund: bool) -> bool:
        """Give back what a message in hand holds. `refund`: its tokens, too, since it has not begun."""
        admitted = self._admitted.pop(task_id, None)
        if admitted is None:
            return False
        for limit in admitted.took:
            permits = self._permits.get(limit)
            if permits is not None:
                permits.discard(task_id)
                if not permits:
                    del self._permits[limit]
            if refund and limit in self._paid_until_s:
                self._paid_until_s[limit] -= self._terms_of(limit).interval_s
            self._call_next(limit)
        return True

    def take_touched(self) -> set[str]:
        """Return the queues of which lanes have come to be tried since this was asked last."""
        touched, self._touched = self._touched, set()
        return touched

    # -- terms ---------------------------------------------------------------------------------------------

    def set_terms(self, family: str, terms: Terms | None, now_s: float) -> None:
        """Let other terms be in force; all that is parked there is tried anew."""
        for limit, paid_until_s in self._paid_until_s.items():
            if family_of(limit) == family:
                self._paid_until_s[limit] = paid_under(terms or _FREE, paid_until_s, now_s)
        if terms is None:
            self.terms.pop(family, None)
        else:
            self.terms[family] = terms
        for limit in [limit for limit in self._parked if family_of(limit) == family]:
            self._due_s.pop(limit, None)
            for queue in list(self._parked.get(limit, ())):
                while self._call_one(limit, queue):
                    pass

    def obstacles(self, lane: Lane, now_s: float) -> list[Obstacle]:
        """Return what is in the way of a lane now."""
        found = (self._obstacle(limit, now_s) for limit in limits_of(lane))
        return [each for each in found if each is not None]

    def running(self) -> Mapping[str, int]:
        """Return how many permits are held, by family."""
        return _summed((limit, len(ids)) for limit, ids in self._permits.items())

    def parked(self) -> Mapping[str, int]:
        """Return how many lanes are parked, by family."""
        return _summed((line.parked_at, 1) for line in self._lines.values() if line.parked_at is not None)

    # -- within --------------------------------------------------------------------------------------------

    def _terms_of(self, limit: str) -> Terms:
        return self.terms.get(family_of(limit)) or _FREE

    def _obstacle(self, limit: str, now_s: float) -> Obstacle | None:
        terms = self._terms_of(limit)
        if terms.is_paused:
            return Obstacle(shown(limit), Refusal.PAUSED)
        in_use = len(self._permits.get(limit, ()))
        if terms.concurrency is not None and in_use >= terms.concurrency:
            return Obstacle(shown(limit), Refusal.CONCURRENCY, None, in_use)
        due_s = next_token_s(terms, self._paid_until_s.get(limit, 0.0), now_s)
        return None if due_s is None else Obstacle(shown(limit), Refusal.RATE, due_s)

    def _refused(self, line: _Line, now_s: float) -> str | None:
        """Return the first limit that refuses; note when it will not any more."""
        for limit in line.limits:
            obstacle = self._obstacle(limit, now_s)
            if obstacle is not None:
                if obstacle.until_s is not None:
                    self._due_s[limit] = max(obstacle.until_s, now_s + LEAST_PAUSE_S)
                return limit
        return None

    def _admit(self, line: _Line, head: tuple[int, int, str, float | None], now_s: float, *, takes: bool) -> Admitted:
        task_id = head[2]
        heappop(line.heap)
        del self._where[task_id]
        for limit in line.limits if takes else ():
            terms = self._terms_of(limit)
            self._permits.setdefault(limit, set()).add(task_id)  # also where there is no bound: there may be one later
            if terms.rate_per_s:
                self._paid_until_s[limit] = paid_after(terms, self._paid_until_s.get(limit, 0.0), now_s)
        if len(self._paid_until_s) > _SWEEP_AT:
            self._paid_until_s = {limit: until_s for limit, until_s in self._paid_until_s.items() if until_s > now_s}
        admitted = self._admitted[task_id] = Admitted(task_id, line.name, line.limits if takes else ())
        line.turn = self._next_turn()
        if self._rank_of(line) is None:
            self._end(line)
        else:
            self._enter(line, None)
            self._pass_on(line, None)
        return admitted

    def _rank_of(self, line: _Line) -> int | None:
        head = self._head_of(line)
        return None if head is None else head[0]

    def _head_of(self, line: _Line) -> tuple[int, int, str, float | None] | None:
        heap = line.heap
        while heap:
            if self._where.get(heap[0][2]) == (line, heap[0][1]):
                return heap[0]
            heappop(heap)  # it was removed
        return None

    def _enter(self, line: _Line, limit: str | None) -> None:
        """Put a lane that holds something into the ring of its queue, or where a limit has refused it."""
        line.parked_at, line.mark = limit, self._next_mark()
        entry = (self._rank_of(line) or 0, line.turn, line.mark, line)
        if limit is None:
            heappush(self._rings.setdefault(line.queue, []), entry)
            self._touched.add(line.queue)
        else:
            heappush(self._parked.setdefault(limit, {}).setdefault(line.queue, []), entry)

    def _end(self, line: _Line) -> None:
        """Forget a lane in which nothing waits any more."""
        if self._lines.pop((line.queue, line.name), None) is None:
            return
        line.mark = 0
        if line.parked_at is None:
            self._pass_on(line, None)

    def _pass_on(self, line: _Line, refused: str | None) -> None:
        for limit in line.limits:
            if limit != refused:
                self._call_next(limit)

    def _call_next(self, limit: str) -> None:
        """Let the first lane of each queue that is parked at a limit be tried."""
        for queue in list(self._parked.get(limit, ())):
            self._call_one(limit, queue)

    def _call_one(self, limit: str, queue: str) -> bool:
        places = self._parked.get(limit, {})
        heap = places.get(queue, [])
        while heap:
            _, _, mark, line = heappop(heap)
            if line.mark == mark and line.parked_at == limit:
                self._enter(line, None)
                return True
        places.pop(queue, None)
        if not places:
            self._parked.pop(limit, None)
        return False

    def _look_at_due(self, now_s: float) -> None:
        if self._due_s:
            for limit in [limit for limit, due_s in self._due_s.items() if due_s <= now_s + ROUNDING_S]:
                del self._due_s[limit]
                self._call_next(limit)


_FREE = Terms()


def _summed(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for limit, number in counts:
        family = family_of(limit)
        found[family] = found.get(family, 0) + number
    return found
