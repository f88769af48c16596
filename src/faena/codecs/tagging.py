"""Values that JSON does not know, written so that they come back as what they were.

A value of such a type becomes `{"__type__": name, "__value__": text}`, the shape that kombu's JSON uses as well
(kombu/utils/json.py), so that a bridge need not translate it. What JSON knows is left alone: the walk is cheap for
flat arguments and touches a list of plain values once, in C.

Tuples become lists, as everywhere in JSON. Objects of dataclasses, msgspec Structs, attrs and pydantic become plain
dictionaries; a task that annotates its parameter gets the object back. A signature, or another canvas, becomes what its
`as_dict` gives, which `faena.signature` takes back.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from faena.tasks.canvas import Canvas

# what readers of tags raise on a forged one
MALFORMED = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)

TYPE, VALUE = "__type__", "__value__"

ATOMS = frozenset({int, str, bool, type(None)})
_STR_ONLY = frozenset({str})

_WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    datetime: ("datetime", datetime.isoformat),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    timedelta: ("timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    Decimal: ("decimal", str),
    UUID: ("uuid", lambda value: value.hex),
    bytes: ("bytes", lambda value: b64encode(value).decode("ascii")),
    bytearray: ("bytearray", lambda value: b64encode(value).decode("ascii")),
    complex: ("complex", lambda value: [tag(value.real), tag(value.imag)]),
}
_READERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda value: timedelta(*value),
    "decimal": Decimal,
    "uuid": lambda value: UUID(value["hex"] if isinstance(value, dict) else value),  # kombu writes a dict
    "bytes": b64decode,
    "bytearray": lambda value: bytearray(b64decode(value)),
    "complex": lambda value: complex(*value),
    "float": float,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
}


def tag(value: Any) -> Any:
    """Return `value` with every part that JSON does not know tagged; the same object where there is none."""
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is float:
        return value if isfinite(value) else {TYPE: "float", VALUE: repr(value)}
    if kind is list or kind is tuple:
        return value if ATOMS.issuperset(map(type, value)) else [tag(item) for item in value]
    if kind is dict:
        return _tag_dict(value) if value else value
    writer = _WRITERS.get(kind)
    if writer is not None:
        return {TYPE: writer[0], VALUE: writer[1](value)}
    if kind is set or kind is frozenset:
        return {TYPE: kind.__name__, VALUE: [tag(item) for item in value]}
    return _tag_unusual(value)


def untag(value: Any) -> Any:
    """Undo `tag`. An unknown tag is left as it is: it may be a user's own dictionary."""
    if isinstance(value, list):
        return [untag(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 2 and VALUE in value and isinstance(value.get(TYPE), str):
        reader = _READERS.get(value[TYPE])
        if reader is not None:
            return reader(untag(value[VALUE]))
    return {key: untag(item) for key, item in value.items()}


def _tag_dict(value: dict[Any, Any]) -> Any:
    if not _STR_ONLY.issuperset(map(type, value)) or TYPE in value:
        # JSON has string keys only; 1 and "1" must stay apart
        return {TYPE: "dict", VALUE: [[tag(key), tag(item)] for key, item in value.items()]}
    if ATOMS.issuperset(map(type, value.values())):
        return value
    return {key: tag(item) for key, item in value.items()}


def _tag_unusual(value: Any) -> Any:
    if isinstance(value, str):  # also StrEnum
        return str.__str__(value)
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float):
        return tag(float(value))
    if isinstance(value, dict):
        return _tag_dict(dict(value))
    if isinstance(value, tuple):  # a named tuple
        return [tag(item) for item in value]
    for known, (name, write) in _WRITERS.items():
        if isinstance(value, known):
            return {TYPE: name, VALUE: write(value)}
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return tag(value.item())
    if isinstance(value, Canvas):
        return tag(value.as_dict())
    return value  # the encoder knows dataclasses, Structs, enums; its hook knows the rest, or refuses


def tag_other(value: Any) -> Any:
    """Serve as msgspec's `enc_hook`: write what msgspec does not know, or raise TypeError."""
    dump = getattr(type(value), "model_dump", None)  # pydantic 2
    if dump is not None:
        return dump(value, mode="json")
    path = getattr(type(value), "__fspath__", None)
    if path is not None:
        return path(value)
    raise TypeError(f"a {type(value).__module__}.{type(value).__qualname__} cannot travel")
