"""What each process is running, in memory that it shares with its supervisor.

When a process dies, the supervisor reads here what it was doing: a kill is reported exactly, without a message per task.
While it lives, the supervisor sees hard limits that have passed. One writer (the process), one reader.

    header   beat: f64 | done: u64 | failed: u64 | running: u32 | state: u32
    active   u8 for each slot, written last
    slot     started: f64 | deadline: f64 | length of the id: u8 | id: 255 bytes | batch: u8

Moments are CLOCK_MONOTONIC seconds, the same for all processes of a machine. A deadline of 0 is none. Who looks for what
is active touches no slot of which nothing was written: there are many more of them than a process needs, and what is
touched is memory.
"""

from __future__ import annotations

import mmap
import os
import time
from struct import Struct

from msgspec import Struct as Value

_HEADER = Struct("<dQQII")
_SLOT = Struct("<ddB255sB")
_HEADER_BYTES = 64
_SLOT_BYTES = 288


class Running(Value, frozen=True):
    """One task that a process runs."""

    task_id: str
    started_s: float
    deadline_s: float
    slot: int = 0
    is_batch: bool = False  # the id is that of the first of its calls


class Slots:
    """The shared memory of one process: a header and `count` slots."""

    def __init__(self, descriptor: int, count: int) -> None:
        self.descriptor, self.count = descriptor, count
        self._slots_at, size = _layout(count)
        self._memory = mmap.mmap(descriptor, size)

    @classmethod
    def create(cls, count: int) -> Slots:
        """Make new shared memory; its descriptor is handed to the process."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("faena-slots", os.MFD_CLOEXEC)
        else:
            import tempfile  # with all that this loads, which Linux has no use for

            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _layout(count)[1])
        return cls(descriptor, count)

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)

    # -- written by the process ----------------------------------------------------------------------------

    def begin(self, index: int, task_id: str, began_s: float, deadline_s: float, *, is_batch: bool = False) -> None:
        """Say that slot `index` runs a task, or a batch that begins with it, since `began_s`."""
        name, at = task_id.encode()[:255], self._slots_at + index * _SLOT_BYTES
        _SLOT.pack_into(self._memory, at, began_s, deadline_s, len(name), name, is_batch)
        self._memory[_HEADER_BYTES + index] = 1

    def clear(self, index: int) -> None:
        self._memory[_HEADER_BYTES + index] = 0

    def beat(self, running: int, done: int, failed: int) -> None:
        """Say that the process's loop turns."""
        _HEADER.pack_into(self._memory, 0, time.monotonic(), done, failed, running, 0)

    # -- read by the supervisor ----------------------------------------------------------------------------

    def running(self) -> list[Running]:
        """Return what runs now, or ran when the process died."""
        found = []
        is_active = self._memory[_HEADER_BYTES : _HEADER_BYTES + self.count]
        index = is_active.find(1)
        while index >= 0:
            at = self._slots_at + index * _SLOT_BYTES
            started_s, deadline_s, length, name, is_batch = _SLOT.unpack_from(self._memory, at)
            found.append(Running(name[:length].decode(errors="replace"), started_s, deadline_s, index, bool(is_batch)))
            index = is_active.find(1, index + 1)
        return found

    def header(self) -> tuple[float, int, int, int]:
        """Return the moment of the last beat (0: none yet), and the numbers done, failed and running."""
        beat_s, done, failed, running, _ = _HEADER.unpack_from(self._memory, 0)
        return beat_s, done, failed, running


def _layout(count: int) -> tuple[int, int]:
    """Return where the first of `count` slots begins, and how much memory all of it takes, in bytes."""
    slots_at = (_HEADER_BYTES + count + 63) // 64 * 64
    return slots_at, slots_at + count * _SLOT_BYTES
