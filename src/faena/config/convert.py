"""Turn what a person wrote into a value of a setting's type, or say what was expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from faena._lib.arguments.convert import to_seconds

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_NOTHING = frozenset({"", "none", "null"})
_KIB = {"b": 1 / 1024, "k": 1, "kb": 1, "kib": 1, "m": 1024, "mb": 1024, "mib": 1024}
_KIB |= {"g": 1024**2, "gb": 1024**2, "gib": 1024**2}


class Kind:
    """How values of one type are read: made once for a setting, from its annotation."""

    __slots__ = ("choices", "is_optional", "members", "unit")

    def __init__(self, annotation: Any, unit: str) -> None:
        alternatives = get_args(annotation) if _is_union(annotation) else (annotation,)
        self.unit = unit
        self.is_optional = NoneType in alternatives
        self.choices = tuple(choice for each in alternatives if get_origin(each) is Literal for choice in get_args(each))
        # by what they accept: `Sequence[str]` reads as Sequence, with its element type beside it
        self.members = tuple(
            (get_origin(each) or each, get_args(each))
            for each in alternatives
            if each is not NoneType and get_origin(each) is not Literal
        )

    @property
    def words(self) -> str:
        """Say what is expected, for errors and documentation."""
        found = [_words_of(origin, arguments, self.unit) for origin, arguments in self.members]
        if self.choices:
            found.insert(0, "one of " + ", ".join(map(str, self.choices)))
        return " or ".join(dict.fromkeys(found)) + (", or none" if self.is_optional else "")

    def read(self, value: Any, *, is_text: bool, aliases: Mapping[str, str]) -> Any:
        """Return `value` as this kind has it.

        `is_text`: it comes from where there are only texts (environment) or where texts are common (files), so that a
        text is read as a number, a list, or whatever is declared.
        Raises ValueError, with what was expected.
        """
        if value is None or (is_text and self.is_optional and isinstance(value, str) and value.lower() in _NOTHING):
            if self.is_optional:
                return None
            raise ValueError(f"expected {self.words}")
        if isinstance(value, str) and self.choices:
            return self._choose(aliases.get(value.lower(), value))
        for origin, arguments in self.members:
            try:
                return _read(origin, arguments, value, self.unit, is_text)
            except (ValueError, OverflowError):
                continue
        raise ValueError(f"expected {self.words}")

    def _choose(self, text: str) -> Any:
        for choice in self.choices:
            if choice == text or str(choice).lower() == text.lower():
                return choice
        raise ValueError(f"expected {self.words}")


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _words_of(origin: Any, arguments: tuple[Any, ...], unit: str) -> str:
    if origin is float or origin is int:
        number = "a number" if origin is float else "a whole number"
        if unit == "s":
            return "a number of seconds or a text such as '30 s', '5m', '1h30m'"
        if unit == "KiB":
            return "a whole number of KiB or a text such as '300 MiB'"
        return number
    if origin is bool:
        return "true or false"
    if origin is str:
        return "a text"
    if origin is Sequence:
        return "a list of texts" if arguments == (str,) else "a list"
    if origin is Mapping:
        return "a mapping"
    if origin is Callable:
        return "a function"
    return str(getattr(origin, "__name__", origin))


def _read(origin: Any, arguments: tuple[Any, ...], value: Any, unit: str, is_text: bool) -> Any:
    if origin is bool:
        return _read_bool(value, is_text)
    if origin is int:
        return _read_int(value, unit, is_text)
    if origin is float:
        return _read_float(value, unit, is_text)
    if origin is str:
        if isinstance(value, str):
            return str(value)  # a subclass of str (an enumeration) as what it says
        raise ValueError
    if origin is Mapping:
        return _read_mapping(value, arguments, is_text)
    if origin is Sequence:
        return _read_sequence(value, arguments, is_text)
    if origin is Callable and callable(value):
        return value
    raise ValueError


def _read_bool(value: Any, is_text: bool) -> bool:
    if isinstance(value, bool):
        return value
    if is_text and isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
    raise ValueError


def _read_int(value: Any, unit: str, is_text: bool) -> int:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        if is_text and text.lstrip("+-").isdecimal():
            return int(text)
        if unit == "KiB":
            return _read_kib(text)
    raise ValueError


def _read_kib(text: str) -> int:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    factor = _KIB.get(text[len(number) :].lower())
    if factor is None:
        raise ValueError
    return int(float(number) * factor)


def _read_float(value: Any, unit: str, is_text: bool) -> float:
    if isinstance(value, timedelta) and unit == "s":
        return value.total_seconds()
    if isinstance(value, str):
        if unit == "s":
            return to_seconds(value.replace(" ", ""))
        if not is_text:
            raise ValueError
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _read_mapping(value: Any, arguments: tuple[Any, ...], is_text: bool) -> dict[Any, Any]:
    if is_text and isinstance(value, str):
        value = _read_json(value)
    if isinstance(value, Mapping) and (arguments[0] is Any or all(isinstance(key, str) for key in value)):
        return dict(value)
    raise ValueError


def _read_sequence(value: Any, arguments: tuple[Any, ...], is_text: bool) -> tuple[Any, ...]:
    if isinstance(value, str):
        if not is_text:
            raise ValueError
        text = value.strip()
        value = _read_json(text) if text.startswith("[") else [each.strip() for each in text.split(",") if each.strip()]
    if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError
    found = tuple(tuple(each) if isinstance(each, list) else each for each in value)
    if arguments == (str,) and not all(isinstance(each, str) for each in found):
        raise ValueError
    return found


def _read_json(text: str) -> Any:
    import json  # only who writes JSON into a text pays for it

    return json.loads(text)
