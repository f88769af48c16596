"""The schedules of a backend within one process."""

from __future__ import annotations

import time
from collections.abc import Sequence

from faena.backend import Vigil
from faena.drivers.memory.bell import Bell
from faena.drivers.memory.messages import row_of
from faena.drivers.memory.state import MemoryState
from faena.model.message import Message
from faena.model.schedule import Change, Manifest, Standing
from faena.types import Io

_KEYS = [("schedules",)]


class MemorySchedules:
    """See `faena.backend.Schedules`."""

    def __init__(self, state: MemoryState, io: Io) -> None:
        self._state = state
        self._io: Io = io

    async def get(self, names: Sequence[str]) -> Sequence[Standing | None]:
        with self._state.lock:
            return [self._state.timetable.standings.get(name) for name in names]

    async def every(self) -> Sequence[Standing]:
        with self._state.lock:
            return [standing for _, standing in sorted(self._state.timetable.standings.items())]

    async def due(self, now_s: float, limit: int) -> Sequence[Standing]:
        with self._state.lock:
            return self._state.timetable.due(now_s, limit)

    async def next_due_s(self) -> float | None:
        with self._state.lock:
            return min(self._state.timetable.wakes.values(), default=None)

    async def change(self, changes: Sequence[Change], broker: object, *, tells: bool = True) -> Sequence[bool]:
        state = self._state
        is_joint = getattr(broker, "state", None) is state
        lined_up = [[row_of(message) for message in change.publish] for change in changes]
        with state.lock:
            now_s = state.clock()
            made = [state.timetable.change(change) for change in changes]
            for change, rows, is_made in zip(changes, lined_up, made, strict=True):
                for message, row in zip(change.publish, rows, strict=True) if is_made else ():
                    if is_joint:
                        state.messages.add(row, now_s)
                        state.bells.ring([("queue", message.queue)])
                    else:
                        state.timetable.outbox[message.id] = (now_s, message)
            if tells and any(made):
                state.bells.ring(_KEYS)
        return made

    async def unpublished(self, before_s: float, limit: int) -> Sequence[Message]:
        with self._state.lock:
            return self._state.timetable.unpublished(before_s, limit)

    async def published(self, ids: Sequence[str]) -> None:
        with self._state.lock:
            for task_id in ids:
                self._state.timetable.outbox.pop(task_id, None)

    async def declare(self, manifest: Manifest, ttl_s: float) -> None:
        with self._state.lock:
            until_s = self._state.clock() + ttl_s
            self._state.timetable.manifests[(manifest.app, manifest.key)] = (until_s, manifest)

    async def manifests(self, app: str) -> Sequence[Manifest]:
        with self._state.lock:
            return self._state.timetable.manifests_of(app, self._state.clock())

    def vigil(self) -> Vigil:
        return _Vigil(self._state, self._io)


class _Vigil:
    """See `faena.backend.Vigil`."""

    def __init__(self, state: MemoryState, io: Io) -> None:
        self._state, self._bell = state, Bell(io)
        with state.lock:
            state.bells.hang(self._bell, _KEYS)

    async def wait(self, timeout_s: float) -> bool:
        began_s = time.monotonic()
        await self._bell.rest(timeout_s)
        return time.monotonic() - began_s < timeout_s

    async def close(self) -> None:
        with self._state.lock:
            self._state.bells.take_down(self._bell, _KEYS)
