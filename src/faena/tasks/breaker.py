"""Circuit breakers, as tasks declare them: `@app.task(circuit_breaker=CircuitBreaker(error_rate=0.5, pause="30s"))`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

from msgspec import Struct

from faena._lib.arguments.convert import to_seconds
from faena.model.breaker import BreakerRule
from faena.tasks.options import seconds

Duration: TypeAlias = "str | float | timedelta"
"""Seconds, a timedelta, or a text such as "90s", "10m", "1h30m"."""


class CircuitBreaker(Struct, frozen=True):
    """Hold a task back while too much of it fails.

    It opens when of the attempts of one process `within` this time, `least` of them or more, this part has raised one of
    `errors`. What waits is held back for `pause`; then one is tried at a time. Each try that fails doubles the pause, up to
    `max_pause`; the first one that does not lets everything go on.
    """

    error_rate: float = 0.5
    least: int = 10
    within: Duration = "60s"
    pause: Duration = "30s"
    max_pause: Duration = "10m"
    errors: type[BaseException] | tuple[type[BaseException], ...] = (Exception,)


class Breaker(Struct, frozen=True):
    """What a task has declared, checked."""

    rule: BreakerRule
    errors: tuple[type[BaseException], ...]


def breaker_of(given: Any) -> Breaker | None:
    """Return what `circuit_breaker=` says. Raises TypeError, ValueError."""
    if given is None or given is False:
        return None
    declared = CircuitBreaker() if given is True else given
    if not isinstance(declared, CircuitBreaker):
        raise TypeError("True, or a CircuitBreaker(...)")
    rate: Any = declared.error_rate  # whatever stands there
    least: Any = declared.least
    errors: Any = declared.errors if isinstance(declared.errors, tuple) else (declared.errors,)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1:
        raise ValueError(f"error_rate is a part of the attempts, more than 0 and at most 1, not {rate!r}")
    if type(least) is not int or least < 1:
        raise ValueError(f"least is a number of attempts from 1, not {least!r}")
    if not errors or not all(isinstance(each, type) and issubclass(each, BaseException) for each in errors):
        raise TypeError(f"errors are classes of exceptions, not {declared.errors!r}")
    pause_s = duration_s("pause", declared.pause)
    max_pause_s = max(pause_s, duration_s("max_pause", declared.max_pause))
    return Breaker(BreakerRule(rate, least, duration_s("within", declared.within), pause_s, max_pause_s), errors)


def duration_s(name: str, value: Any) -> float:
    """Return a duration in seconds. Raises ValueError: it is none, or not more than 0."""
    found: Any = to_seconds(value) if isinstance(value, str) else seconds(value)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < float("inf"):
        raise ValueError(f"{name} is a time of more than 0, such as '30s', not {value!r}")
    return float(found)
