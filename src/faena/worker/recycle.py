"""When a process is replaced by a fresh one. Pure."""

from __future__ import annotations

from msgspec import Struct

_KILL_OVER = 1.25  # of the memory limit: a task that goes on growing endangers its neighbours on the machine
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _LONGEST_PAUSE_AFTER_KILL_S = 0.5, 30.0, 1.0
_LIVED_LONG_S = 10.0


class MemoryRule(Struct, frozen=True):
    """What `max_memory_per_child` means while a process runs."""

    limit_kib: int | None

    def replaces(self, rss_kib: int) -> bool:
        """Whether the process ends after the tasks that run now."""
        return self.limit_kib is not None and rss_kib > self.limit_kib

    def kills(self, rss_kib: int) -> bool:
        """Whether the process is killed now, with what runs in it."""
        return self.limit_kib is not None and rss_kib > self.limit_kib * _KILL_OVER


def pause_before_spawn_s(short_lives: int, *, was_killed: bool) -> float:
    """Return how long to wait before a process is replaced, after `short_lives` in a row that ended at once.

    The first is followed at once. What was killed from outside is kept waiting for a moment only; what ends by itself is
    likely to do so again.
    """
    if short_lives <= 1:
        return 0.0
    longest_s = _LONGEST_PAUSE_AFTER_KILL_S if was_killed else _LONGEST_PAUSE_S
    return min(longest_s, _FIRST_PAUSE_S * 2.0 ** min(short_lives - 2, 10))


def was_short(lived_s: float, tasks_done: int, tasks_running: int) -> bool:
    """Whether a process ended before it was of any use. One that a task has ended was; the task's crashes are counted."""
    return lived_s < _LIVED_LONG_S and tasks_done == 0 and tasks_running == 0
