"""The queues of a memory broker. Plain data: the caller holds the lock and hands in the time.

A message keeps its `seq` for as long as it is here. What is under limits waits in `lanes`. Heaps hold (rank, seq) and
(due, seq) and are cleaned when they are looked at: an entry that no longer says so is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush, nsmallest
from itertools import count
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from faena.errors import LeaseLost
from faena.model.delivery import (
    BEGUN,
    Ack,
    Bury,
    DeadLetter,
    DeadReason,
    Delivery,
    Found,
    Malformed,
    Place,
    QueueStatus,
    Release,
    Settlement,
    Verdict,
    VerdictKind,
)
from faena.model.lanes import Lanes
from faena.model.limit import Lane
from faena.model.message import HIGHEST_PRIORITY, LOWEST_PRIORITY, Message
from faena.model.turns import aged

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode
_LEAST_SWEEP = 64
_AT_ONCE_S = 1e-9  # messages that rise so fast all count alike

Row: TypeAlias = tuple[str, str, int, float | None, bytes, Lane | None, float | None]
"""id, queue, rank, due, body, lane, when it expires"""


class _Entry:
    """A message and where it is: held if it has a `claim`, delayed if it has a `due_s`, waiting otherwise."""

    __slots__ = (
        "body",
        "claim",
        "crashes",
        "deliveries",
        "due_s",
        "expires_s",
        "id",
        "lane",
        "queue",
        "rank",
        "redelivered_at_s",
        "seq",
        "since_s",
        "verdict",
    )

    def __init__(
        self, seq: int, task_id: str, queue: str, rank: int, due_s: float | None, body: bytes, now_s: float
    ) -> None:
        self.seq, self.id, self.queue, self.rank, self.due_s, self.body = seq, task_id, queue, rank, due_s, body
        self.lane: Lane | None = None
        self.expires_s: float | None = None
        self.since_s = now_s if due_s is None else due_s  # from when on it waits
        self.claim: tuple[int, int] | None = None  # holder, number of the receive
        self.deliveries = self.crashes = 0
        self.redelivered_at_s: float | None = None
        self.verdict: Verdict | None = None


class Messages:
    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}  # by seq
        self._by_id: dict[str, _Entry] = {}
        self._ready: dict[str, list[tuple[int, int]]] = {}
        self._delayed: dict[str, list[tuple[float, int]]] = {}
        self._holders: dict[int, float] = {}  # when each lease ends
        self._held: dict[int, dict[int, _Entry]] = {}  # by holder, by seq
        self._paused: set[str] = set()
        self._declared: set[str] = set()
        self._dead: dict[int | str, DeadLetter] = {}
        self.lanes = Lanes()
        self._next_seq, self._next_key = count(1).__next__, count(1).__next__
        self._next_holder, self._next_receive = count(1).__next__, count(1).__next__

    # -- in and out ---------------------------------------------------------------------------------------

    def add(self, row: Row, now_s: float) -> bool:
        """Take a message; say whether it was not here yet."""
        task_id, queue, rank, due_s, body, lane, expires_s = row
        if task_id in self._by_id:
            return False
        due_s = None if due_s is None or due_s <= now_s else due_s
        entry = _Entry(self._next_seq(), task_id, queue, rank, due_s, body, now_s)
        entry.lane, entry.expires_s = lane, expires_s
        self._entries[entry.seq] = self._by_id[task_id] = entry
        self._line_up(entry)
        return True

    def offer(self, rows: Sequence[Row], bounds: Mapping[str, int], whole: bool, now_s: float) -> list[str]:
        """Take the messages for which there is room; return the ids of the others."""
        left: dict[str, int] = {}
        taken: list[Row] = []
        refused: list[str] = []
        for row in rows:
            task_id, queue, _, due_s, *_ = row
            if queue in bounds and (due_s is None or due_s <= now_s) and task_id not in self._by_id:
                if queue not in left:
                    left[queue] = bounds[queue] - self._count_waiting(queue, bounds[queue], now_s)
                if left[queue] <= 0:
                    refused.append(task_id)
                    continue
                left[queue] -= 1
            taken.append(row)
        if not (whole and refused):
            for row in taken:
                self.add(row, now_s)
        return refused

    def take_oldest(self, holder: int, queue: str, limit: int, now_s: float) -> list[Delivery | Malformed]:
        self.check_holder(holder)
        number = self._next_receive()
        self._ripen(queue, now_s)
        take = self._risen(queue, limit, _AT_ONCE_S, now_s)
        batch: list[Delivery | Malformed] = []
        while (entry := take(queue, now_s)) is not None:
            batch.append(self._hand_out(entry, holder, number))
        return batch

    def receive(
        self, holder: int, queues: Sequence[str], limit: int, now_s: float, ageing_s: Mapping[str, float] = {}
    ) -> list[Delivery | Malformed]:
        self.check_holder(holder)
        number = self._next_receive()
        batch: list[Delivery | Malformed] = []
        for queue in queues:
            if queue in self._paused:
                continue
            self._ripen(queue, now_s)
            ready = self._risen(queue, limit, ageing_s[queue], now_s) if queue in ageing_s else self._next_ready
            turns = (self._next_limited, ready) if number % 2 else (ready, self._next_limited)
            for take in turns:  # what is under limits and what is not take turns in being first
                while len(batch) < limit and (entry := take(queue, now_s)) is not None:
                    batch.append(self._hand_out(entry, holder, number))
        return batch

    def next_due(self, queues: Sequence[str]) -> float | None:
        """Return when the first delayed message of these queues is due, or a token that messages wait for; 0: now."""
        open_ones = [queue for queue in queues if queue not in self._paused]
        if any(self.lanes.has_more(queue) for queue in open_ones):
            return 0.0
        token_due_s = self.lanes.next_moment() if open_ones else None  # it is looked at for a queue that is open
        moments = [entry.due_s for queue in open_ones if (entry := self._first_delayed(queue)) is not None and entry.due_s]
        return min(moments if token_due_s is None else [*moments, token_due_s], default=None)

    def left_behind(self, queues: Iterable[str]) -> set[str]:
        """Return those of these queues that have more under limits to be tried now."""
        return {queue for queue in queues if queue not in self._paused and self.lanes.has_more(queue)}

    def take_touched(self) -> set[str]:
        """Return the queues in which a change of limits, or of what runs under them, has made room."""
        return self.lanes.take_touched()

    def settle(self, settlement: Settlement, now_s: float) -> tuple[bool, str | None]:
        """Carry it out if the delivery is still ours; return whether it was, and the queue that has something new."""
        seq, claim = settlement.delivery.grip
        entry = self._entries.get(seq)
        if entry is None or entry.claim != claim:
            return False, None
        del self._held[claim[0]][seq]
        entry.claim = None
        if entry.lane is not None:
            self.lanes.give_back(entry.id, refund=isinstance(settlement, Release) and settlement.message is None)
        match settlement:
            case Ack():
                self._remove(entry)
                return True, None
            case Release(message=None):
                self._line_up(entry)
                return True, entry.queue
            case Release(message=message) if message is not None:
                _, entry.queue, entry.rank, due_s, entry.body, entry.lane, entry.expires_s = row_of(message)
                entry.due_s = due_s if due_s is not None and due_s > now_s else None
                entry.since_s = now_s if entry.due_s is None else entry.due_s
                entry.verdict = entry.redelivered_at_s = None
                self._line_up(entry)
                return True, entry.queue
            case Bury(reason=reason, detail=detail, message=message):
                self._remove(entry)
                if message is not None:
                    entry.body = encode(message)
                self._bury(entry, reason, detail, now_s)
                return True, None
        raise AssertionError(f"no settlement: {settlement!r}")

    def begin(self, delivery: Delivery) -> bool:
        """Note that it has begun, if it is still ours; return whether it is."""
        seq, claim = delivery.grip
        entry = self._entries.get(seq)
        if entry is None or entry.claim != claim:
            return False
        entry.verdict = BEGUN
        return True

    def cancel(self, ids: Iterable[str]) -> list[Message]:
        found = []
        for task_id in ids:
            entry = self._by_id.get(task_id)
            if entry is not None and entry.claim is None:
                self._remove(entry)
                message = message_in(entry.body)
                if message is not None:
                    found.append(message)
        return found

    def inject(self, queue: str, task_id: str, raw: bytes) -> None:
        """Lay something into a queue that may be no message: what a defect elsewhere would have left there."""
        self.add((task_id, queue, HIGHEST_PRIORITY - LOWEST_PRIORITY, None, raw, None, None), 0.0)

    # -- holders ------------------------------------------------------------------------------------------

    def open_holder(self, until_s: float) -> int:
        holder = self._next_holder()
        self._holders[holder], self._held[holder] = until_s, {}
        return holder

    def renew(self, holder: int, until_s: float) -> bool:
        if holder not in self._holders:
            return False
        self._holders[holder] = until_s
        return True

    def expired_holders(self, now_s: float) -> list[int]:
        return [holder for holder, until_s in self._holders.items() if until_s <= now_s]

    def end_holder(self, holder: int, verdicts: Iterable[tuple[str, Verdict]], now_s: float) -> list[str]:
        """Return the queue of each message that went back."""
        self._holders.pop(holder, None)
        held = self._held.pop(holder, {})
        judged = dict(verdicts)
        for entry in held.values():
            if entry.lane is not None:
                self.lanes.give_back(entry.id, refund=False)
            verdict = judged.get(entry.id)
            if verdict is not None:
                entry.verdict = verdict
                entry.crashes += verdict.kind is VerdictKind.CRASHED
            entry.claim, entry.redelivered_at_s = None, now_s
            self._line_up(entry)
        return [entry.queue for entry in held.values()]

    def check_holder(self, holder: int) -> None:
        if holder not in self._holders:
            raise LeaseLost(holder)

    # -- looking ------------------------------------------------------------------------------------------

    def declare(self, queues: Iterable[str]) -> None:
        self._declared.update(queues)

    def pause(self, queue: str) -> None:
        self._paused.add(queue)
        self._declared.add(queue)

    def resume(self, queue: str) -> None:
        self._paused.discard(queue)

    def place(self, task_id: str, now_s: float) -> Place | None:
        entry = self._by_id.get(task_id)
        if entry is None:
            is_dead = any(letter.message is not None and letter.message.id == task_id for letter in self._dead.values())
            return Place.DEAD if is_dead else None
        if entry.claim is not None:
            return Place.HELD
        return _place_of(entry, now_s)

    def find(self, task_id: str, now_s: float) -> Found | None:
        """Return what is known of a message that is alive."""
        entry = self._by_id.get(task_id)
        place = self.place(task_id, now_s)
        if entry is None or place is None:
            return None
        ahead = None
        if place is Place.WAITING:
            others = [each for each in self._entries.values() if each.queue == entry.queue and each.claim is None]
            ahead = sum((each.rank, each.seq) < (entry.rank, entry.seq) for each in others
                        if self.place(each.id, now_s) is Place.WAITING)  # fmt: skip
        lease = None if entry.claim is None else self._holders.get(entry.claim[0])
        return Found(place, message_in(entry.body), entry.deliveries, entry.crashes, ahead, "", lease)

    def status(self, now_s: float) -> list[QueueStatus]:
        found: dict[str, dict[str, Any]] = {name: {} for name in (*self._declared, *self._paused)}
        for entry in self._entries.values():
            numbers = found.setdefault(entry.queue, {})
            place = "held" if entry.claim else _place_of(entry, now_s).value
            numbers[place] = numbers.get(place, 0) + 1
            if place == "waiting" and (message := message_in(entry.body)) is not None:
                since_s = max(message.sent_at_s, message.due_at_s or 0.0)
                numbers["oldest"] = min(since_s, numbers.get("oldest", since_s))
        for letter in self._dead.values():
            numbers = found.setdefault(letter.queue, {})
            numbers["dead"] = numbers.get("dead", 0) + 1
        return [
            QueueStatus(
                name=name,
                waiting=numbers.get("waiting", 0),
                delayed=numbers.get("delayed", 0),
                held=numbers.get("held", 0),
                dead=numbers.get("dead", 0),
                paused=name in self._paused,
                oldest_waiting_at_s=numbers.get("oldest"),
                limited=numbers.get("limited", 0),
            )
            for name, numbers in sorted(found.items())
        ]

    def browse(self, queue: str, limit: int, offset: int, now_s: float) -> list[tuple[Place, Message]]:
        here = [entry for entry in self._entries.values() if entry.queue == queue and entry.claim is None]
        lined_up = sorted(((_place_of(entry, now_s), entry) for entry in here), key=_turn_of)
        return [
            (place, message)
            for place, entry in lined_up[offset : offset + limit]
            if (message := message_in(entry.body)) is not None
        ]

    def purge(self, queue: str) -> int:
        gone = [entry for entry in self._entries.values() if entry.queue == queue and entry.claim is None]
        for entry in gone:
            self._remove(entry)
        return len(gone)

    # -- dead letters -------------------------------------------------------------------------------------

    def letters(
        self,
        queue: str | None = None,
        ids: Sequence[str] | None = None,
        reason: DeadReason | None = None,
        before_s: float | None = None,
    ) -> list[DeadLetter]:
        """Return those that fit, the first first."""
        wanted = None if ids is None else frozenset(ids)
        return [
            letter
            for letter in self._dead.values()
            if (queue is None or letter.queue == queue)
            and (wanted is None or (letter.message is not None and letter.message.id in wanted))
            and (reason is None or letter.reason == reason)
            and (before_s is None or letter.buried_at_s < before_s)
        ]

    def requeue(self, letters: Iterable[DeadLetter], now_s: float) -> list[str]:
        back = []
        for letter in letters:
            message = letter.message
            if message is None or letter.reason is DeadReason.MALFORMED:
                continue
            if self.add(row_of(replace(message, queue=letter.queue)), now_s):
                del self._dead[letter.key]
                back.append(letter.queue)
        return back

    def replace_letter(self, task_id: str, message: Message) -> bool:
        for key, letter in reversed(self._dead.items()):
            if letter.message is not None and letter.message.id == task_id:
                self._dead[key] = replace(letter, queue=message.queue, message=message)
                return True
        return False

    def remove_letters(self, letters: Iterable[DeadLetter]) -> int:
        return sum(self._dead.pop(letter.key, None) is not None for letter in letters)

    # -- within -------------------------------------------------------------------------------------------

    def _line_up(self, entry: _Entry) -> None:
        if entry.due_s is None and entry.lane is not None:
            self.lanes.line_up(entry.queue, entry.lane, entry.rank, entry.seq, entry.id, entry.expires_s)
        elif entry.due_s is None:
            heappush(self._ready.setdefault(entry.queue, []), (entry.rank, entry.seq))
        else:
            heappush(self._delayed.setdefault(entry.queue, []), (entry.due_s, entry.seq))

    def _remove(self, entry: _Entry) -> None:
        del self._entries[entry.seq], self._by_id[entry.id]
        if entry.lane is not None:
            self.lanes.remove(entry.id)
        ready, delayed = self._ready.get(entry.queue, []), self._delayed.get(entry.queue, [])
        if len(ready) + len(delayed) > _LEAST_SWEEP + 2 * len(self._entries):  # mostly entries to be passed over
            ready[:] = [item for item in ready if item[1] in self._entries]
            delayed[:] = [item for item in delayed if item[1] in self._entries]
            heapify(ready)
            heapify(delayed)

    def _hand_out(self, entry: _Entry, holder: int, receive: int) -> Delivery | Malformed:
        entry.claim = (holder, receive)
        entry.deliveries += 1
        self._held[holder][entry.seq] = entry
        return _delivery(entry)

    def _count_waiting(self, queue: str, bound: int, now_s: float) -> int:
        """Count what waits, exactly only where it might be as much as `bound`: a heap holds what is passed over, too."""
        self._ripen(queue, now_s)
        limited = sum(1 for _ in self.lanes.waiting(queue)) if len(self.lanes) else 0
        roughly = len(self._ready.get(queue, ())) + limited
        return roughly if roughly < bound else len(self._tidy(queue)) + limited

    def _tidy(self, queue: str) -> list[_Entry]:
        """Return what is ready; the heap holds nothing else after it."""
        ready = {
            seq: entry
            for rank, seq in self._ready.get(queue, ())
            if (entry := self._entries.get(seq)) is not None
            and entry.claim is None
            and entry.due_s is None
            and (entry.queue, entry.rank) == (queue, rank)
        }
        self._ready[queue] = [(entry.rank, seq) for seq, entry in ready.items()]
        heapify(self._ready[queue])
        return list(ready.values())

    def _next_ready(self, queue: str, now_s: float) -> _Entry | None:  # noqa: ARG002 - as `_next_limited`
        entry = self._first_ready(queue)
        if entry is not None:
            heappop(self._ready[queue])
        return entry

    def _next_limited(self, queue: str, now_s: float) -> _Entry | None:
        admitted = self.lanes.take(queue, now_s)
        return None if admitted is None else self._by_id[admitted.id]

    def _risen(self, queue: str, limit: int, ageing_s: float, now_s: float) -> Callable[[str, float], _Entry | None]:
        """Return what takes the first of a queue in which messages rise. It looks at all: a heap knows one order."""
        first = iter(
            nsmallest(  # those handed out stay in the heap, where they are passed over
                limit,
                self._tidy(queue),
                key=lambda each: (aged(each.rank, now_s - each.since_s, ageing_s), each.since_s, each.seq),
            )
        )
        return lambda _queue, _now_s: next(first, None)

    def _first_ready(self, queue: str) -> _Entry | None:
        heap = self._ready.get(queue)
        while heap:
            rank, seq = heap[0]
            entry = self._entries.get(seq)
            is_here = entry is not None and entry.claim is None and entry.due_s is None and entry.lane is None
            if entry is not None and is_here and (entry.queue, entry.rank) == (queue, rank):
                return entry
            heappop(heap)
        return None

    def _first_delayed(self, queue: str) -> _Entry | None:
        heap = self._delayed.get(queue)
        while heap:
            due_s, seq = heap[0]
            entry = self._entries.get(seq)
            if entry is not None and entry.claim is None and (entry.queue, entry.due_s) == (queue, due_s):
                return entry
            heappop(heap)
        return None

    def _ripen(self, queue: str, now_s: float) -> None:
        while (entry := self._first_delayed(queue)) is not None and entry.due_s is not None and entry.due_s <= now_s:
            heappop(self._delayed[queue])
            entry.due_s = None
            self._line_up(entry)

    def _bury(self, entry: _Entry, reason: DeadReason, detail: str, now_s: float) -> None:
        message = message_in(entry.body)
        key = self._next_key()
        self._dead[key] = DeadLetter(
            key,
            entry.queue,
            reason,
            detail,
            now_s,
            entry.deliveries,
            entry.crashes,
            message,
            b"" if message is not None else entry.body,
        )


def row_of(message: Message) -> Row:
    return (
        message.id,
        message.queue,
        rank_of(message),
        message.due_at_s,
        encode(message),
        message.lane,
        message.expires_at_s,
    )


def _place_of(entry: _Entry, now_s: float) -> Place:
    """Return where a message is that nobody holds."""
    if entry.due_s is not None and entry.due_s > now_s:
        return Place.DELAYED
    return Place.WAITING if entry.lane is None else Place.LIMITED


def _turn_of(placed: tuple[Place, _Entry]) -> tuple[Any, ...]:
    place, entry = placed
    if place is Place.DELAYED:
        return 2, entry.due_s, entry.seq
    return int(place is Place.LIMITED), entry.rank, entry.seq


def rank_of(message: Message) -> int:
    """Return the place of its priority; those out of range count as the nearest."""
    return HIGHEST_PRIORITY - max(LOWEST_PRIORITY, min(HIGHEST_PRIORITY, message.priority))


def message_in(body: bytes) -> Message | None:
    """Return the message; None: it is malformed."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _delivery(entry: _Entry) -> Delivery | Malformed:
    grip = (entry.seq, entry.claim)
    try:
        message = _decode(entry.body)
    except (msgspec.DecodeError, RecursionError) as error:
        return Malformed(grip, entry.queue, entry.body, str(error))
    return Delivery(message, grip, entry.deliveries, entry.crashes, entry.verdict, entry.redelivered_at_s)
