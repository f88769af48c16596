"""How many processes a worker has, by the work that there is. Pure.

    late, or everybody busy and the rest would be late ──▶ grow: at most twice as many at a time
    nothing of that within the cool-down               ──▶ shrink: to what was needed at most within it

*Late* is a task that has waited for longer than the target age. At the pace of the last look, what stands last in the queue
will be late when `waiting / pace` is more than that. While processes are starting, nothing more is started: what they will
do is not known yet.
"""

from __future__ import annotations

import math

from msgspec import Struct

from faena.config.settings import MOST_PROCESSES
from faena.errors import ConfigurationError


class Bounds(Struct, frozen=True):
    """Between what the number of processes moves, and how."""

    most: int
    least: int = 1
    target_age_s: float = 1.0
    cool_down_s: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ConfigurationError(
                "a worker scales between a least and a most number of processes, "
                f"1 or more, not {self.least} and {self.most}"
            )
        refuse_too_many(self.most)


class Load(Struct, frozen=True):
    """What a look has found."""

    processes: int  # those that shall be there
    starting: int  # of them, those that cannot work yet
    busy: float  # how many processes are full of work; parts of one count as such
    waiting: int  # tasks that could run now, in the queues of this worker
    oldest_age_s: float  # of the first of them; 0: there is none
    done_per_s: float  # tasks finished since the last look


class Autoscale(Struct, frozen=True):
    """What is remembered from look to look: what was needed when."""

    needs: tuple[tuple[float, int], ...] = ()  # moments and numbers within the cool-down, each less than the one before
    since_s: float | None = None  # the first look


def refuse_too_many(processes: int) -> None:
    """Raise ConfigurationError where no machine should be asked to start so many: a slip of the hand fills it up."""
    if processes > MOST_PROCESSES:
        raise ConfigurationError(
            f"a worker has {MOST_PROCESSES} processes at most, not {processes}; for more, start workers on other machines"
        )


def bounds_from(text: str) -> tuple[int, int]:
    """Read `10,2` as most and least; the least is 1 where it is not said. Raises ValueError."""
    first, _, second = text.replace(" ", "").partition(",")
    try:
        most, least = int(first), int(second or 1)
    except ValueError:
        raise ValueError("MOST,LEAST, such as 10,2") from None
    if not 1 <= least <= most:
        raise ValueError("MOST,LEAST, such as 10,2: numbers from 1 on, the larger first")
    if most > MOST_PROCESSES:
        raise ValueError(f"MOST,LEAST, such as 10,2: {MOST_PROCESSES} at most")
    return most, least


def look(state: Autoscale, load: Load, bounds: Bounds, now_s: float) -> tuple[Autoscale, int]:
    """Return what to remember, and how many processes there shall be."""
    need = min(bounds.most, max(bounds.least, _need(load, bounds)))
    since_s = now_s if state.since_s is None else state.since_s
    recent = [(at_s, number) for at_s, number in state.needs if at_s > now_s - bounds.cool_down_s and number > need]
    needs = (*recent, (now_s, need))
    kept = min(bounds.most, max(bounds.least, load.processes))
    if need > kept:
        wanted = need
    elif now_s - since_s >= bounds.cool_down_s:
        wanted = min(kept, needs[0][1])  # the first is the largest within the cool-down
    else:
        wanted = kept
    return Autoscale(needs, since_s), wanted


def _need(load: Load, bounds: Bounds) -> int:
    """Return how many processes this much work asks for."""
    busy = math.ceil(load.busy)
    if not load.waiting:
        return busy
    if load.starting or not _is_late(load, bounds):
        return max(busy, min(load.processes, busy + load.waiting))
    return max(load.processes, min(2 * max(1, load.processes), busy + load.waiting))


def _is_late(load: Load, bounds: Bounds) -> bool:
    """Whether tasks wait longer than they should, or will."""
    if load.oldest_age_s > bounds.target_age_s:
        return True
    if load.busy < load.processes:
        return False
    return load.done_per_s > 0 and load.waiting / load.done_per_s > bounds.target_age_s
