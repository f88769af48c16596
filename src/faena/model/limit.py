"""Limits of rate and concurrency: what they say, what they are called, how a rate is kept.

A message under limits waits in a *lane*: with all messages of its queue that have the same limits and the same key of fair
share. Which of them may be handed out is the law of `faena.model.lanes`.

A rate is a generic cell rate algorithm: one number for each limit, the moment until which what was taken is paid for.
Permits are ids of messages, never a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType

BURST_S = 0.25
"""What was not used of a rate can be made up for this long, so that 100 a second may come as 25 at once."""
LEAST_PAUSE_S = 0.02
"""A lane that waits for a token is looked at again no earlier: at high rates several tokens come together."""
ROUNDING_S = 1e-6  # moments that are nearer are the same
MOST_TRIES = 200
"""Lanes that one fetch looks at in vain."""

KEY, PART = "\x1f", "\x1e"
_LONGEST_KEY = 64

Lane: TypeAlias = str
"""The key of fair share, then the names of the limits, with PART between them. A name is that of a family of limits, and
the key that was taken from the arguments, after a KEY: `task:mail.send`, `task:mail.send\\x1f7`."""


class Terms(Struct, frozen=True, gc=False):
    """What a family of limits allows; each key of it by itself."""

    rate_per_s: float | None = None
    concurrency: int | None = None
    is_paused: bool = False

    @property
    def interval_s(self) -> float:
        """Return the time between two tokens."""
        return 1.0 / self.rate_per_s if self.rate_per_s else 0.0

    @property
    def tolerance_s(self) -> float:
        """Return how long before its time a token may be taken."""
        return (self.burst - 1) * self.interval_s

    @property
    def burst(self) -> int:
        return max(1, int((self.rate_per_s or 0.0) * BURST_S))


class Change(Struct, frozen=True, gc=False):
    """What was set at run time in the place of what is declared; UNSET: as declared."""

    rate_per_s: float | UnsetType | None = UNSET
    concurrency: int | UnsetType | None = UNSET
    is_paused: bool | UnsetType = UNSET

    def after(self, earlier: Change | None) -> Change:
        """Return both as one."""
        if earlier is None:
            return self
        return Change(
            earlier.rate_per_s if self.rate_per_s is UNSET else self.rate_per_s,
            earlier.concurrency if self.concurrency is UNSET else self.concurrency,
            earlier.is_paused if self.is_paused is UNSET else self.is_paused,
        )

    def applied_to(self, declared: Terms | None) -> Terms:
        terms = declared or Terms()
        return Terms(
            terms.rate_per_s if self.rate_per_s is UNSET else self.rate_per_s,
            terms.concurrency if self.concurrency is UNSET else self.concurrency,
            terms.is_paused if self.is_paused is UNSET else self.is_paused,
        )


class Refusal(StrEnum):
    PAUSED = "paused"
    CONCURRENCY = "concurrency"
    RATE = "rate"


class Obstacle(Struct, frozen=True, gc=False):
    """Why a message is not handed out now."""

    limit: str  # as people write it: `task:mail.send/7`
    reason: Refusal
    until_s: float | None = None  # of a rate: when its next token is due, unix seconds
    in_use: int = 0  # of a concurrency: how many run


class LimitStatus(Struct, frozen=True):
    """One family of limits, and how it stands."""

    name: str
    terms: Terms  # in force
    declared: Terms | None
    change: Change | None
    running: int = 0  # permits that are held, of all keys
    waiting: int = 0  # lanes that are parked, of all keys


class Declared:
    """What is declared of limits, and what was changed at run time. Plain data, as a store may keep it."""

    def __init__(self, declared: Mapping[str, Terms] = {}, changes: Mapping[str, Change] = {}) -> None:
        self.declared, self.changes = dict(declared), dict(changes)

    def declare(self, terms: Mapping[str, Terms | None]) -> None:
        for family, each in terms.items():
            if each is None:
                self.declared.pop(family, None)
            else:
                self.declared[family] = each

    def change(self, family: str, change: Change | None) -> None:
        if change is None:
            self.changes.pop(family, None)
        else:
            self.changes[family] = change.after(self.changes.get(family))

    def families(self) -> list[str]:
        return sorted({*self.declared, *self.changes})

    def in_force(self) -> dict[str, Terms]:
        return {family: self.terms_of(family) for family in self.families()}

    def terms_of(self, family: str) -> Terms:
        change = self.changes.get(family)
        return self.declared.get(family) or Terms() if change is None else change.applied_to(self.declared.get(family))

    def statuses(self, running: Mapping[str, int], waiting: Mapping[str, int]) -> list[LimitStatus]:
        return [
            LimitStatus(
                family, self.terms_of(family), self.declared.get(family), self.changes.get(family),
                running.get(family, 0), waiting.get(family, 0),
            )
            for family in self.families()
        ]  # fmt: skip


# -- names ---------------------------------------------------------------------------------------------------


def limit_name(family: str, key: Any = None) -> str:
    return family if key is None else f"{family}{KEY}{key_text(key)}"


def key_text(key: Any) -> str:
    """Return a key as it stands in a name: short, and without what names are separated by."""
    text = key if isinstance(key, str) else str(key)
    if len(text) > _LONGEST_KEY or not text.isprintable():
        import hashlib  # 5 ms that only such keys pay

        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return text


def plain(name: str) -> str:
    """Return a name of a task or queue as it stands in that of a limit."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def lane_of(limits: Sequence[str], fair: str = "") -> Lane:
    return PART.join((fair, *limits))


def limits_of(lane: Lane) -> tuple[str, ...]:
    return tuple(lane.split(PART)[1:])


def fair_of(lane: Lane) -> str:
    return lane.partition(PART)[0]


def family_of(limit: str) -> str:
    return limit.partition(KEY)[0]


def shown(limit: str) -> str:
    """Return a limit as people write it."""
    return limit.replace(KEY, "/")


# -- rates ---------------------------------------------------------------------------------------------------

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_rate(rate: Any) -> float | None:
    """Return tasks per second of "10/s", "100/m", "1000/h" or a number (per second); None: no limit, and so is 0.

    Raises ValueError.
    """
    if rate is None:
        return None
    number, unit_s = rate, 1.0
    if isinstance(rate, str):
        number, slash, unit = rate.partition("/")
        if slash:
            unit_s = _UNITS_S.get(unit.strip().lower(), 0.0)
    try:
        value = float(number)
    except (TypeError, ValueError):
        value = -1.0
    if isinstance(rate, bool) or not unit_s or not 0 <= value < float("inf"):
        raise ValueError(
            f"a rate is a number of tasks per second, or a text such as '10/s', '100/m', '1000/h', not {rate!r}"
        )
    return value / unit_s or None


def rate_text(rate_per_s: float | None) -> str:
    """Return a rate as people write it."""
    if not rate_per_s:
        return "none"
    for unit, unit_s in _UNITS_S.items():
        number = rate_per_s * unit_s
        if number >= 1 and abs(number - round(number)) < 1e-6 * number:
            return f"{round(number)}/{unit}"
    return f"{rate_per_s:g}/s" if rate_per_s >= 1 else f"{rate_per_s * 86400:g}/d"


def next_token_s(terms: Terms, paid_until_s: float, now_s: float) -> float | None:
    """Return when the next token is due; None: now."""
    due_s = paid_until_s - terms.tolerance_s
    return due_s if terms.rate_per_s and due_s > now_s + ROUNDING_S else None


def paid_after(terms: Terms, paid_until_s: float, now_s: float) -> float:
    """Return until when is paid for after one more token was taken."""
    return max(now_s, paid_until_s) + terms.interval_s


def paid_under(terms: Terms, paid_until_s: float, now_s: float) -> float:
    """Return until when is paid for where other terms come into force: nobody waits longer than they say."""
    return min(paid_until_s, now_s + terms.tolerance_s + terms.interval_s)
