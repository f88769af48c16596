"""From an annotation to the function that turns a word of the command line into a value.

Nothing here imports `typing`, `enum`, `datetime` or `pathlib`: an annotation that needs one has loaded it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_TRUE = ("1", "true", "yes", "on", "y", "t")
_FALSE = ("0", "false", "no", "off", "n", "f", "")
_LONGEST_S = 1000 * 365.25 * 86400.0  # what is longer cannot be said as a moment
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Reading:
    """How the text of one value is read: the converter, its choices, and the word for it in help."""

    __slots__ = ("choices", "collect", "convert", "metavar", "shape")

    def __init__(
        self,
        convert: Callable[[str], Any] | None,
        metavar: str,
        choices: tuple[str, ...] = (),
        shape: str = "one",
        collect: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        self.convert = convert
        self.metavar = metavar
        self.choices = choices
        self.shape = shape
        self.collect = collect


def to_bool(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("yes or no")


def to_seconds(text: str) -> float:
    """Read `90`, `1.5h`, `1h30m` or `250ms` as seconds."""
    total_s = _seconds_in(text.strip().lower())
    if total_s is None:
        raise ValueError("a duration such as 90, 30s, 1h30m")
    if total_s > _LONGEST_S:
        raise ValueError("a duration of 1,000 years at most")
    return total_s


def _seconds_in(rest: str) -> float | None:
    """Return what the parts of a duration come to; None: it is none."""
    total_s = 0.0
    if not rest:
        return None
    while rest:
        end = 0
        while end < len(rest) and (rest[end].isdigit() or rest[end] == "."):
            end += 1
        unit_end = end
        while unit_end < len(rest) and rest[unit_end].isalpha():
            unit_end += 1
        unit = rest[end:unit_end] or "s"
        if end == 0 or unit not in _UNITS_S:
            return None
        try:
            total_s += float(rest[:end]) * _UNITS_S[unit]
        except ValueError:  # 1.2.3
            return None
        rest = rest[unit_end:]
    return total_s


def reading_of(annotation: Any, converters: Mapping[Any, Callable[[str], Any]] | None = None) -> Reading:
    """Find how a value of this annotation is read.

    Raises TypeError: the annotation is of a kind that no word can be turned into.
    """
    if converters:
        try:
            own = converters.get(annotation)
        except TypeError:  # an annotation that cannot be hashed
            own = None
        if own is not None:
            return Reading(own, getattr(annotation, "__name__", "VALUE").upper())
    simple = _SIMPLE.get(annotation) if isinstance(annotation, type) else None
    if simple is not None:
        return simple
    return _reading_of_form(annotation, converters)


def _reading_of_form(annotation: Any, converters: Mapping[Any, Callable[[str], Any]] | None) -> Reading:
    origin = getattr(annotation, "__origin__", None)
    typing = sys.modules.get("typing")
    if hasattr(annotation, "__supertype__"):  # NewType
        return reading_of(annotation.__supertype__, converters)
    if hasattr(annotation, "__value__"):  # `type X = ...`
        return reading_of(annotation.__value__, converters)
    if typing is not None:
        if annotation is typing.Any or isinstance(annotation, typing.TypeVar):
            return _TEXT
        if origin is typing.Literal:
            return _literal(annotation.__args__)
        if origin is typing.Union:
            return _union(annotation.__args__, converters)
    if type(annotation).__name__ == "UnionType":
        return _union(annotation.__args__, converters)
    if origin is not None and hasattr(annotation, "__metadata__"):  # Annotated
        return reading_of(origin, converters)
    container = origin if origin is not None else annotation
    if isinstance(container, type):
        return _reading_of_class(container, getattr(annotation, "__args__", ()), converters)
    raise TypeError(f"cannot read {annotation!r} from a command line")


def _reading_of_class(kind: type, args: tuple[Any, ...], converters: Mapping[Any, Callable[[str], Any]] | None) -> Reading:
    if kind is dict or kind.__name__ in ("Mapping", "MutableMapping"):
        value = reading_of(args[1], converters) if len(args) == 2 else _TEXT
        return Reading(value.convert, "KEY=VALUE", (), "pairs")
    if kind is tuple and args and args[-1] is not ...:
        return _fixed_tuple(args, converters)
    collect = _CONTAINERS.get(kind.__name__)
    if collect is not None and kind.__module__ in ("builtins", "collections.abc", "typing"):
        element = reading_of(args[0], converters) if args else _TEXT
        return Reading(element.convert, element.metavar, element.choices, "many", collect)
    enum = sys.modules.get("enum")
    if enum is not None and issubclass(kind, enum.Enum):
        return _enum(kind)
    if kind.__module__ == "datetime":
        return _moment(kind)
    if kind.__module__.startswith("pathlib"):
        return Reading(kind, "PATH")
    return Reading(kind, kind.__name__.upper())


def _literal(values: tuple[Any, ...]) -> Reading:
    by_text = {str(value): value for value in values}
    choices = tuple(by_text)
    return Reading(_chooser(by_text), "|".join(choices), choices)


def _enum(kind: Any) -> Reading:
    members = list(kind)
    by_text = {member.value if isinstance(member.value, str) else member.name: member for member in members}
    others = {member.name: member for member in members} | {str(member.value): member for member in members}
    choices = tuple(by_text)
    return Reading(_chooser(others | by_text), "|".join(choices), choices)


def _chooser(by_text: dict[str, Any]) -> Callable[[str], Any]:
    folded = {text.lower(): value for text, value in by_text.items()}

    def choose(text: str) -> Any:
        if text in by_text:
            return by_text[text]
        if text.lower() in folded:
            return folded[text.lower()]
        raise ValueError("one of its choices")

    return choose


def _union(args: tuple[Any, ...], converters: Mapping[Any, Callable[[str], Any]] | None) -> Reading:
    members = [reading_of(each, converters) for each in args if each is not type(None)]
    if not members:
        return _TEXT
    if len(members) == 1 or any(member.shape != "one" for member in members):
        return members[0]
    # a bool accepts few words and a str all of them: the narrow readings come first, as they are written
    tries = sorted(members, key=lambda each: each.convert is None)

    def convert(text: str) -> Any:
        for reading in tries:
            if reading.convert is None:
                return text
            try:
                return reading.convert(text)
            except (ValueError, TypeError, ArithmeticError):
                continue
        raise ValueError(" or ".join(each.metavar.lower() for each in tries))

    choices = tuple(choice for member in members for choice in member.choices)
    all_chosen = all(member.choices for member in members)
    return Reading(convert, "|".join(each.metavar for each in members), choices if all_chosen else ())


def _fixed_tuple(args: tuple[Any, ...], converters: Mapping[Any, Callable[[str], Any]] | None) -> Reading:
    members = [reading_of(each, converters) for each in args]

    def convert(text: str) -> Any:
        parts = text.split(",")
        if len(parts) != len(members):
            raise ValueError(f"{len(members)} values with commas between them")
        return tuple(
            part if reading.convert is None else reading.convert(part) for part, reading in zip(parts, members, strict=True)
        )

    return Reading(convert, ",".join(each.metavar for each in members))


def _moment(kind: Any) -> Reading:
    if kind.__name__ == "timedelta":
        return Reading(lambda text: kind(seconds=to_seconds(text)), "DURATION")
    form = {"date": "YYYY-MM-DD", "time": "HH:MM"}.get(kind.__name__, "YYYY-MM-DDTHH:MM")

    def convert(text: str) -> Any:
        try:
            return kind.fromisoformat(text)
        except ValueError:
            raise ValueError(f"a {kind.__name__} as {form}") from None

    return Reading(convert, form)


_TEXT = Reading(None, "TEXT")
_CONTAINERS: dict[str, Callable[[list[Any]], Any] | None] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "Sequence": list,
    "Iterable": list,
    "Collection": list,
    "Set": set,
    "AbstractSet": set,
}
_SIMPLE: dict[type, Reading] = {
    str: _TEXT,
    object: _TEXT,
    int: Reading(int, "INT"),
    float: Reading(float, "NUMBER"),
    bool: Reading(to_bool, "yes|no"),
    bytes: Reading(lambda text: text.encode("utf-8", "surrogateescape"), "TEXT"),
}
