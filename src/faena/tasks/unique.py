"""Calls that are not to be sent twice: `unique=`, `debounce=`, `throttle=` of a task or of one call.

All three are one thing: a call claims a key, which is made of its task and its arguments, and what becomes of a call whose
key is taken is said beforehand (`Rule`).

    unique     a key until the task has ended, or has begun, or for a time; another call is none, replaces, or is an error
    debounce   a key until the task begins; another call replaces it and lets it wait anew
    throttle   a key for a time; another call is none
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias, cast

import msgspec
from msgspec import Struct

from faena._lib.arguments.convert import to_seconds
from faena.errors import CodecError, InvalidArguments, did_you_mean
from faena.model.claim import OnConflict, Rule, Until
from faena.tasks.arguments import ArgumentSpec
from faena.tasks.options import seconds

Duration: TypeAlias = "str | float | timedelta"
"""Seconds, a timedelta, or a text such as "90s", "10m", "1h30m"."""
Key: TypeAlias = "str | Iterable[str] | Callable[..., Any] | None"
"""Which arguments make calls the same: by name, several names (none: all calls are the same), or what a function of the
arguments returns; None: all of them."""

_MOST_IN_A_WINDOW = 20
"""A call that is one too many has looked for a place so many times."""
_PLAIN = msgspec.json.Encoder(order="sorted").encode
_UNORDERED = frozenset({"set", "frozenset", "dict"})


class Unique(Struct, frozen=True):
    """No two calls with the same key at a time. `until`: "end" of the task, its "start", or a time after the call."""

    until: Any = "end"
    key: Any = None
    on_conflict: str = "return"


class Debounce(Struct, frozen=True):
    """Run `wait` after the last of several calls, with its arguments; `max_wait` after the first in any case."""

    wait: Any
    key: Any = None
    max_wait: Any = None


class Throttle(Struct, frozen=True):
    """Run the first call within each `every`, and no other; of "5/m", the first five within any minute."""

    every: Any
    key: Any = None


def rule_of(task: str, options: Mapping[str, Any]) -> Rule | None:
    """Return the rule that these options are; None: they say nothing, or that there is none.

    Raises InvalidArguments.
    """
    given = [(name, options[name]) for name in ("unique", "debounce", "throttle") if options.get(name)]
    if not given:
        return None
    if len(given) > 1:
        names = " and ".join(f"{name}=" for name, _ in given)
        raise InvalidArguments(task, f"{names} exclude one another: give one of them")
    name, value = given[0]
    try:
        return _MAKERS[name](value)
    except (TypeError, ValueError) as error:
        raise InvalidArguments(task, f"{name}={value!r}: {error}") from None


def check_key(task: str, rule: Rule, spec: ArgumentSpec) -> None:
    """Raise InvalidArguments where a key is made of an argument that a function does not have."""
    known = spec.names()
    for name in rule.key if known is not None and isinstance(rule.key, tuple) else ():
        _argument(task, name, dict.fromkeys(known or ()))


def key_of(
    task: str, rule: Rule, spec: ArgumentSpec | None, args: Any, kwargs: Mapping[str, Any], encode: Callable[[Any], bytes]
) -> str:
    """Return the key that a call claims. `spec`: what the function takes; None: its code is not here.

    With it, f(1), f(x=1) and what the defaults give are the same. Raises InvalidArguments.
    """
    try:
        named: Any = spec.bound(args, kwargs) if spec is not None else {"*": list(args), **kwargs}
        if rule.key is None:
            chosen = named
        elif callable(rule.key):
            chosen = rule.key(*args, **kwargs)
        elif spec is None:
            raise InvalidArguments(
                task, "what its function takes is not known here: make the key by a function, not a name"
            )
        else:
            chosen = [_argument(task, name, named) for name in rule.key]
        plain = canonical(encode(chosen))
    except CodecError as error:
        raise InvalidArguments(task, f"its arguments make no key, {error}; say what does, with key=") from None
    return hashlib.blake2b(task.encode() + b"\0" + plain, digest_size=16).hexdigest()


def canonical(encoded: bytes) -> bytes:
    """Return JSON text in the one order that equal values have, whatever order they were written in."""
    return _PLAIN(_ordered(msgspec.json.decode(encoded)))


# -- from what users write ---------------------------------------------------------------------------------


def _unique(value: Any) -> Rule:
    if value is True:
        value = Unique()
    elif isinstance(value, Mapping):  # written as data, see `Canvas.as_dict`
        value = Unique(**value)
    elif not isinstance(value, Unique):
        value = Unique(until=value)
    on_conflict = _choice(value.on_conflict, OnConflict)
    if value.until in (Until.START, Until.END):
        return Rule(Until(value.until), _key(value.key), on_conflict)
    if isinstance(value.until, str) and not value.until[:1].isdigit():
        hint = did_you_mean(value.until, ("start", "end"))
        raise ValueError(f'it lasts until "start", "end", or for a time such as "10m", not {value.until!r}{hint}')
    return Rule(Until.WINDOW, _key(value.key), on_conflict, window_s=_seconds(value.until))


def _debounce(value: Any) -> Rule:
    if not isinstance(value, Debounce):
        value = Debounce(**value) if isinstance(value, Mapping) else Debounce(value)
    wait_s = _seconds(value.wait)
    max_wait_s = None if value.max_wait is None else _seconds(value.max_wait)
    if max_wait_s is not None and max_wait_s < wait_s:
        raise ValueError(f"max_wait {max_wait_s:g} s is less than wait {wait_s:g} s")
    return Rule(Until.START, _key(value.key), OnConflict.REPLACE, wait_s=wait_s, max_wait_s=max_wait_s)


def _throttle(value: Any) -> Rule:
    if not isinstance(value, Throttle):
        value = Throttle(**value) if isinstance(value, Mapping) else Throttle(value)
    every, count = value.every, "1"
    if isinstance(every, str) and "/" in every:
        count, _, period = every.partition("/")
        every = f"1{period.strip()}" if period.strip().isalpha() else period
    if not count.strip().isdecimal() or not 1 <= int(count) <= _MOST_IN_A_WINDOW:
        raise ValueError(
            f"from 1 to {_MOST_IN_A_WINDOW} calls in each period run; for more of them, and for calls that wait, there is "
            "rate_limit="
        )
    return Rule(Until.WINDOW, _key(value.key), window_s=_seconds(every), count=int(count))


_MAKERS: dict[str, Callable[[Any], Rule]] = {"unique": _unique, "debounce": _debounce, "throttle": _throttle}


def _seconds(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError("a time is needed, such as 5, '90s' or '10m'")
    found = to_seconds(value.replace(" ", "")) if isinstance(value, str) else seconds(value)
    if not isinstance(found, int | float) or not found > 0:
        raise ValueError("a time is needed that is more than 0, such as 5, '90s' or '10m'")
    return float(found)


def _choice(value: Any, kind: type[OnConflict]) -> OnConflict:
    try:
        return kind(value)
    except ValueError:
        known = [each.value for each in kind]
        hint = did_you_mean(str(value), known)
        raise ValueError(f"on_conflict is one of {', '.join(known)}, not {value!r}{hint}") from None


def _key(key: Any) -> Any:
    if key is None or callable(key):
        return key
    names = (key,) if isinstance(key, str) else tuple(cast("Iterable[Any]", key))
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a key is made of arguments by name, or by a function, not of {name!r}")
    return names


def _argument(task: str, name: str, named: Mapping[str, Any]) -> Any:
    if name not in named:
        raise InvalidArguments(task, f"key={name!r} names no argument of it{did_you_mean(name, named)}")
    return named[name]


def _ordered(value: Any) -> Any:
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: _ordered(item) for name, item in value.items()}
    if found.get("__type__") in _UNORDERED and isinstance(found.get("__value__"), list):
        found["__value__"] = sorted(found["__value__"], key=_PLAIN)
    return found
