"""How many messages a process holds: as many as it works off in a moment, never more.

Pure. A process starts with one, doubles while full fetches are worked off fast, and shrinks as soon as its tasks turn out
to be slow: a task of a second leaves the next one to other processes, a task of ten microseconds is fetched by the hundred.
"""

from __future__ import annotations

LARGEST = 512
TARGET_S = 0.02  # work held in advance, per slot
TOO_MUCH_S = 0.2  # of work held in advance: others may have time for it
_WEIGHT, _WEIGHT_OF_SLOWER = 0.2, 0.7  # of the newest measurement in the average; bad news are believed at once


class Window:
    """The number of messages to hold for plain functions. `fixed` per slot (worker_prefetch_multiplier) switches it off."""

    __slots__ = ("_cap", "_fixed", "_is_slowed", "_slots", "average_s")

    def __init__(self, slots: int, fixed: int | None = None) -> None:
        self._slots, self._fixed = slots, fixed
        self._cap = fixed or 1
        self._is_slowed = False  # until the next measurement
        self.average_s = 0.0

    @property
    def size(self) -> int:
        """Messages to hold at most, those that run included."""
        return self._cap * self._slots

    @property
    def refill_at(self) -> int:
        """Fetch again when no more than this many are held."""
        return self._cap * self._slots // 2

    def measured(self, tasks: int, busy_s: float) -> None:
        """Take in that `tasks` took `busy_s` seconds of the slots' time."""
        if tasks:
            self._is_slowed = False
            each_s = busy_s / tasks
            weight = _WEIGHT if each_s < self.average_s else _WEIGHT_OF_SLOWER
            self.average_s += (each_s - self.average_s) * (weight if self.average_s else 1.0)

    def fetched(self, asked: int, got: int) -> None:
        """Take in what a fetch brought, and change the size."""
        if self._fixed or self._is_slowed:  # what a look for coroutines brings says nothing of functions
            return
        if self.average_s * self._cap > TARGET_S:
            self._cap = max(1, int(TARGET_S / self.average_s))
        elif got == 0:
            self._cap = max(1, self._cap // 2)
        elif got >= asked and self.average_s * self._cap * 2 <= TARGET_S:
            self._cap = min(LARGEST, self._cap * 2)

    def surplus(self, waiting: int) -> int:
        """Return how many of the messages that wait here others should rather have."""
        if self.average_s * waiting / self._slots <= TOO_MUCH_S:
            return 0
        return max(0, waiting - int(TARGET_S / self.average_s * self._slots))

    def slowed(self) -> None:
        """A task runs longer than all before: hold nothing in advance until the next measurement."""
        if not self._fixed:
            self._cap, self._is_slowed = 1, True
