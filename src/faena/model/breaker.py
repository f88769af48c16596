"""The law of circuit breakers: when the work of a task is held back, and when it is let go.

    closed ──too many errors──▶ open ──its pause is over──▶ half-open ──the try succeeds──▶ closed
                                  ▲                             │
                                  └── for longer ── it fails ───┘

Open: nothing of the task is handed out. Half-open: one at a time. Closed is what nothing stands of. What a breaker allows
is a family of limits of its own, so that limits which people set stay as they are.

Pure: whoever asks hands in the time.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from msgspec import Struct

from faena.model.limit import Change, LimitStatus, plain

FAMILY = "breaker:"
GROWTH = 2.0  # of the pause, with each try that fails
_SLICES = 10  # of the time that is looked at
_LONGEST_ERROR = 200


class BreakerRule(Struct, frozen=True):
    """When a breaker opens, and for how long."""

    error_rate: float
    least: int  # attempts, before anything is said
    within_s: float
    pause_s: float
    max_pause_s: float

    def is_broken(self, attempts: int, errors: int) -> bool:
        return errors > 0 and attempts >= self.least and errors >= self.error_rate * attempts


class Phase(StrEnum):
    OPEN = "open"
    HALF_OPEN = "half-open"


class Standing(Struct, frozen=True):
    """A breaker that is not closed."""

    phase: Phase
    since_s: float  # of the phase, unix seconds
    opened_at_s: float  # when it came to be open at first
    pause_s: float
    attempts: int = 0  # that were looked at when it opened
    errors: int = 0  # of them
    error: str = ""  # the last one
    by_hand: bool = False

    @property
    def until_s(self) -> float:
        """Return when the next try is due."""
        return self.since_s + self.pause_s if self.phase is Phase.OPEN else self.since_s

    def half_opened(self, now_s: float) -> Standing:
        return Standing(
            Phase.HALF_OPEN, now_s, self.opened_at_s, self.pause_s, self.attempts, self.errors, self.error, self.by_hand
        )

    def after(self, rule: BreakerRule, began_s: float, now_s: float, error: str | None) -> Standing | None:
        """Return what stands after an attempt has ended: with this error, or with none. None: the breaker is closed.

        Only one that began when the breaker was half-open was a try; what ran before is no news.
        """
        if self.phase is Phase.OPEN or began_s < self.since_s:
            return self
        if error is None:
            return None
        pause_s = min(self.pause_s * GROWTH, max(rule.max_pause_s, self.pause_s))
        return Standing(
            Phase.OPEN, now_s, self.opened_at_s, pause_s, self.attempts, self.errors, _short(error), self.by_hand
        )

    def change(self) -> Change:
        """Return what it sets of the limits of its family."""
        if self.phase is Phase.OPEN:
            return Change(rate_per_s=None, concurrency=1, is_paused=True)
        return Change(rate_per_s=None, concurrency=1, is_paused=False)

    def text(self, now_s: float) -> str:
        """Say how it stands."""
        why = f"{self.errors} of {self.attempts} attempts failed, the last with {self.error}"
        why = "by hand" if self.by_hand else why
        if self.phase is Phase.HALF_OPEN:
            return f"half-open ({why}): one at a time, until one succeeds"
        left_s = max(0.0, self.until_s - now_s)
        return f"open ({why}): the next try is in {left_s:.0f} s"


def opened(
    pause_s: float, now_s: float, attempts: int = 0, errors: int = 0, error: str = "", *, by_hand: bool = False
) -> Standing:
    return Standing(Phase.OPEN, now_s, now_s, pause_s, attempts, errors, _short(error), by_hand)


def is_obeyed(standing: Standing | None, status: LimitStatus | None) -> bool:
    """Whether the limits of a family are as its breaker wants them."""
    found = None if status is None else status.change
    return found == (None if standing is None else standing.change())


def family_of_breaker(task: str) -> str:
    return f"{FAMILY}{plain(task)}"


class Tally:
    """Counts attempts and errors of the last `within_s`: all of nine tenths of it, and none that is older.

    It takes the same room, however many there are. Plain data: the caller holds the lock and hands in the time.
    """

    __slots__ = ("_slice_s", "_slices")

    def __init__(self, within_s: float) -> None:
        self._slice_s = within_s / _SLICES
        self._slices: deque[list[int]] = deque()  # number, attempts, errors

    def add(self, is_error: bool, now_s: float) -> tuple[int, int]:
        """Count an attempt; return how many there are, and how many of them are errors."""
        number = int(now_s / self._slice_s)
        slices = self._slices
        if not slices or number > slices[-1][0]:
            slices.append([number, 0, 0])
        while slices[0][0] <= slices[-1][0] - _SLICES:
            slices.popleft()
        slices[-1][1] += 1
        slices[-1][2] += is_error
        return sum(each[1] for each in slices), sum(each[2] for each in slices)

    def clear(self) -> None:
        self._slices.clear()


def _short(error: str) -> str:
    line = error.partition("\n")[0]
    return line if len(line) <= _LONGEST_ERROR else f"{line[: _LONGEST_ERROR - 3]}..."
