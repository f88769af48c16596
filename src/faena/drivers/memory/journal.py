"""What tasks remember, events, and tasks that wait for them. Plain data: the caller holds the lock."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from faena.backend import JournalEnd
from faena.model.journal import TO_GO_ON_S, Entry, Parked
from faena.model.message import Message


class Journals:
    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Entry]] = {}
        self._expiry: dict[str, float] = {}
        self._events: dict[str, tuple[float, Entry]] = {}
        self._parked: dict[str, Parked] = {}
        self._woken: dict[str, tuple[float, Parked]] = {}  # handed out, to be published by somebody else

    def read(self, task_id: str) -> list[Entry]:
        return list(self._entries.get(task_id, {}).values())

    def write(self, task_id: str, entry: Entry, expires_at_s: float) -> Entry:
        self._expiry[task_id] = max(expires_at_s, self._expiry.get(task_id, 0.0))
        return self._entries.setdefault(task_id, {}).setdefault(entry.name, entry)

    def event(self, name: str, now_s: float) -> Entry | None:
        until_s, entry = self._events.get(name, (0.0, None))
        return entry if until_s > now_s else None

    def signal(self, event: Entry, expires_at_s: float, now_s: float) -> list[Parked]:
        """Return what waits for it."""
        if self.event(event.name, now_s) is None:
            self._events[event.name] = (expires_at_s, event)
        return [parked for parked in self._parked.values() if parked.event == event.name]

    def park(self, parked: Parked, now_s: float) -> bool:
        if self.event(parked.event, now_s) is not None:
            return False
        self._woken.pop(parked.message.id, None)
        self._parked[parked.message.id] = parked
        return True

    def published(self, ids: Iterable[str]) -> None:
        for task_id in ids:
            self._woken.pop(task_id, None)

    def is_parked(self, task_id: str) -> bool:
        """Whether a task waits here, or was handed out and is not with the broker yet."""
        return task_id in self._parked or task_id in self._woken

    def due(self, grace_s: float, limit: int, now_s: float) -> list[Parked]:
        late = [task_id for task_id, (at_s, _) in self._woken.items() if at_s <= now_s - grace_s]
        again = [self._woken.pop(task_id)[1] for task_id in late[:limit]]  # handed out twice is enough
        return again + [
            parked for parked in self._parked.values() if parked.due_at_s is not None and parked.due_at_s <= now_s
        ]

    def wake(self, parked: Iterable[Parked], *, publishes: bool, now_s: float) -> None:
        for each in parked:
            if each.message.id in self._expiry:
                self._expiry[each.message.id] = max(self._expiry[each.message.id], now_s + TO_GO_ON_S)
            if self._parked.pop(each.message.id, None) is not None and not publishes:
                self._woken[each.message.id] = (now_s, each)

    def unpark(self, ids: Iterable[str]) -> list[Message]:
        found = []
        for task_id in ids:
            self._woken.pop(task_id, None)
            parked = self._parked.pop(task_id, None)
            if parked is not None:
                found.append(parked.message)
        return found

    def postpone(self, ids: Iterable[str], due_at_s: float) -> None:
        for task_id in ids:
            if task_id in self._parked:
                self._parked[task_id] = replace(self._parked[task_id], due_at_s=due_at_s)

    def waiting(self, ids: Iterable[str] | None, limit: int) -> list[Parked]:
        found = self._parked.keys() if ids is None else [task_id for task_id in ids if task_id in self._parked]
        return [self._parked[task_id] for task_id in list(found)[:limit]]

    def end(self, task_id: str, end: JournalEnd) -> None:
        self.unpark([task_id])
        if end is JournalEnd.FORGOTTEN:
            self._forget(task_id)

    def expire(self, limit: int, now_s: float) -> int:
        waits = self._parked.keys()
        over = [task_id for task_id, until_s in self._expiry.items() if until_s <= now_s and task_id not in waits][:limit]
        for task_id in over:
            self._forget(task_id)
        past = [name for name, (until_s, _) in self._events.items() if until_s <= now_s][: limit - len(over)]
        for name in past:
            del self._events[name]
        return len(over) + len(past)

    def _forget(self, task_id: str) -> None:
        self._entries.pop(task_id, None)
        self._expiry.pop(task_id, None)
