"""From a function to a command: read signature, annotations and docstring.

`inspect` and `typing` cost more start-up time than a whole run of `fa`, so the function's own attributes are read;
`inspect` is asked only about callables that are no functions.
"""

from __future__ import annotations

import sys

from faena._lib.arguments.convert import Reading, reading_of
from faena._lib.arguments.docstring import read_docstring
from faena._lib.arguments.marks import Argument, Option
from faena._lib.arguments.spec import MISSING, CommandSpec, Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    # name, kind (as `inspect` names them, shortened), default, annotation
    Raw = tuple[str, str, Any, Any]

_VARARGS, _VARKEYWORDS = 0x04, 0x08  # CO_VARARGS, CO_VARKEYWORDS of `inspect`


class Hints:
    """What the declaration says besides the signature; each name may be given with underscores or dashes."""

    __slots__ = (
        "auto_short",
        "converters",
        "counted",
        "help",
        "optional_values",
        "positional",
        "positional_by_flag",
        "repeated",
        "reserved",
    )

    def __init__(
        self,
        *,
        help: Mapping[str, str] | None = None,  # noqa: A002  the word of the interface
        positional: Collection[str] | None = None,
        optional_values: Collection[str] = (),
        repeated: Collection[str] = (),
        counted: Collection[str] = (),
        auto_short: bool = False,
        positional_by_flag: bool = False,
        reserved: Collection[str] = (),
        converters: Mapping[Any, Callable[[str], Any]] | None = None,
    ) -> None:
        self.help = {key.replace("-", "_").strip("_"): text for key, text in (help or {}).items()}
        self.positional = positional
        self.optional_values = optional_values
        self.repeated = repeated
        self.counted = counted
        self.auto_short = auto_short
        self.positional_by_flag = positional_by_flag
        self.reserved = reserved
        self.converters = converters


def command_from(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    skip_first: bool = False,
    summary: str = "",
    **hints: Any,
) -> CommandSpec:
    """Build the command that calls `function`.

    `skip_first` leaves the first parameter to the caller (the context of a task). `hints` are those of `Hints`:
    `help`, `positional`, `optional_values`, `repeated`, `counted`, `auto_short`, `positional_by_flag`, `reserved`,
    `converters`.

    Raises TypeError: two parameters claim one spelling, or an annotation cannot be read from text.
    """
    told = Hints(**hints)
    raw = raw_parameters(function)
    if skip_first and raw and raw[0][1] in ("positional only", "plain"):
        raw = raw[1:]
    command_name = dashed(function.__name__) if name is None else name
    found_summary, description, from_docstring = read_docstring(function.__doc__)
    spellings = _Spellings(raw, told)
    parameters = []
    for each in raw:
        text = told.help.get(each[0].strip("_"), "") or from_docstring.get(each[0], "")
        parameters.append(_parameter(each, function, told, spellings, text, command_name))
    _refuse_clashes(command_name, parameters)
    return CommandSpec(command_name, parameters, summary=summary or found_summary, description=description)


def dashed(name: str) -> str:
    """`long_name` as people type it: `long-name`; leading and trailing underscores stay."""
    core = name.strip("_")
    if not core or "_" not in core:
        return name
    start = name.index(core)
    return name[:start] + core.replace("_", "-") + name[start + len(core) :]


def raw_parameters(function: Callable[..., Any]) -> list[Raw]:
    """The parameters of a callable, decorators that keep `__wrapped__` looked through."""
    while hasattr(function, "__wrapped__"):
        function = getattr(function, "__wrapped__")  # noqa: B009  pyright knows no such attribute
    owner = getattr(function, "__self__", None)
    plain = getattr(function, "__func__", function)
    code = getattr(plain, "__code__", None)
    if code is None or not hasattr(plain, "__defaults__"):
        return _raw_by_inspect(function)
    names = code.co_varnames
    count, keyword_count = code.co_argcount, code.co_kwonlyargcount
    defaults = plain.__defaults__ or ()
    keyword_defaults = plain.__kwdefaults__ or {}
    annotations = plain.__annotations__
    first_default = count - len(defaults)
    found: list[Raw] = []
    for index in range(count):
        kind = "positional only" if index < code.co_posonlyargcount else "plain"
        default = defaults[index - first_default] if index >= first_default else MISSING
        found.append((names[index], kind, default, annotations.get(names[index], MISSING)))
    index = count + keyword_count
    if code.co_flags & _VARARGS:
        found.append((names[index], "rest", MISSING, annotations.get(names[index], MISSING)))
        index += 1
    found.extend(
        (name, "keyword", keyword_defaults.get(name, MISSING), annotations.get(name, MISSING))
        for name in names[count : count + keyword_count]
    )
    if code.co_flags & _VARKEYWORDS:
        found.append((names[index], "unknown", MISSING, annotations.get(names[index], MISSING)))
    return found[1:] if owner is not None and plain is not function else found


def _raw_by_inspect(function: Callable[..., Any]) -> list[Raw]:
    import inspect

    kinds = {
        inspect.Parameter.POSITIONAL_ONLY: "positional only",
        inspect.Parameter.POSITIONAL_OR_KEYWORD: "plain",
        inspect.Parameter.VAR_POSITIONAL: "rest",
        inspect.Parameter.KEYWORD_ONLY: "keyword",
        inspect.Parameter.VAR_KEYWORD: "unknown",
    }
    empty = inspect.Parameter.empty
    return [
        (
            each.name,
            kinds[each.kind],
            MISSING if each.default is empty else each.default,
            MISSING if each.annotation is empty else each.annotation,
        )
        for each in inspect.signature(function).parameters.values()
    ]


class _Spellings:
    """Hands out spellings: long ones from names, short ones to whoever comes first, as Invoke does."""

    def __init__(self, raw: list[Raw], told: Hints) -> None:
        self._told = told
        one_letter = {each[0].strip("_") for each in raw if len(each[0].strip("_")) == 1}
        self._taken_short = one_letter | {each[1:] for each in told.reserved if len(each) == 2}

    def of(self, name: str) -> tuple[str, ...]:
        core = name.strip("_").replace("_", "-")
        if len(core) == 1:
            return (f"-{core}", f"--{core}")
        if not self._told.auto_short:
            return (f"--{core}",)
        for letter in core:
            if letter.isalnum() and letter not in self._taken_short:
                self._taken_short.add(letter)
                return (f"--{core}", f"-{letter}")
        return (f"--{core}",)


def _resolve(annotation: Any, function: Any) -> Any:
    """The annotation itself; one that is text is evaluated where the function was written, if it can be."""
    if not isinstance(annotation, str):
        return annotation
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    namespace = getattr(function, "__globals__", None)
    if namespace is None:
        namespace = getattr(sys.modules.get(getattr(function, "__module__", "")), "__dict__", {})
    closure = getattr(function, "__closure__", None) or ()
    free = getattr(getattr(function, "__code__", None), "co_freevars", ())
    local: dict[str, object] = {name: cell.cell_contents for name, cell in zip(free, closure, strict=False)}
    try:
        return eval(annotation, namespace, local)  # noqa: S307  the user's own annotation, as `typing` does
    except (NameError, AttributeError, SyntaxError, TypeError):
        return MISSING  # a name for type checkers only: the default value says the type


def _marks_of(annotation: Any) -> tuple[Any, Option | Argument | None]:
    for mark in getattr(annotation, "__metadata__", ()):
        if isinstance(mark, Option | Argument):
            return annotation.__origin__, mark
    return annotation, None


def _reading_from_default(default: Any) -> Reading:
    if default is MISSING or default is None or isinstance(default, str):
        return Reading(None, "TEXT")
    kind = type(default)
    if kind in (list, tuple, set, frozenset):
        element = next(iter(default), None)
        inner = _reading_from_default(element)
        return Reading(inner.convert, inner.metavar, inner.choices, "many", kind)
    return reading_of(kind)


def _parameter(raw: Raw, function: Any, told: Hints, spellings: _Spellings, text: str, command: str) -> Parameter:
    name, kind, default, written = raw
    annotation, mark = _marks_of(_resolve(written, function))
    try:
        if annotation is not MISSING:
            reading = reading_of(annotation, told.converters)
        elif name in told.repeated or (name in told.optional_values and isinstance(default, bool)):
            reading = Reading(None, "TEXT")  # the declaration says what is taken: texts, whatever the default is
        else:
            reading = _reading_from_default(default)
    except TypeError as error:
        raise TypeError(f"{command}: parameter {name!r}: {error}") from None
    metavar = (mark.metavar if mark else "") or reading.metavar
    convert = (mark.convert if mark else None) or reading.convert
    choices = reading.choices or (mark.choices if isinstance(mark, Argument) else ())
    text = (mark.help if mark else "") or text
    if kind == "rest":
        return Parameter(name, "rest", is_positional=True, default=(), convert=convert, choices=choices,
                         metavar=metavar, help=text)  # fmt: skip
    if kind == "unknown":
        return Parameter(name, "unknown", default={}, convert=convert, metavar="KEY=VALUE", help=text)
    shape = _shape(name, reading, mark, told)
    is_positional = _is_positional(raw, mark, told, shape)
    own = mark.spellings if isinstance(mark, Option) else ()
    has_flag = own or not is_positional or told.positional_by_flag
    found = own or (spellings.of(name) if has_flag else ())
    own_default = default
    default, is_required = _default_of(default, shape, reading, is_positional, name in told.repeated, told, mark)
    return Parameter(
        name,
        shape,  # type: ignore[arg-type]
        spellings=tuple(found),
        negations=_negations(tuple(found)) if shape == "flag" else (),
        is_positional=is_positional,
        is_required=is_required,
        default=default,
        convert=convert,
        collect=reading.collect or (list if shape == "many" else None),
        comma=mark.comma if isinstance(mark, Option) else False,
        choices=choices,
        metavar="" if shape in ("flag", "count") and not is_positional else metavar,
        help=text,
        group=mark.group if isinstance(mark, Option) else "",
        hidden=mark.hidden if isinstance(mark, Option) else False,
        is_passed=not is_required and default is not own_default,
        is_positional_only=kind == "positional only",
    )


def _shape(name: str, reading: Reading, mark: Any, told: Hints) -> str:
    if name in told.counted or (isinstance(mark, Option) and mark.count):
        return "count"
    if name in told.repeated:
        return "many"
    if name in told.optional_values or (isinstance(mark, Option) and mark.optional_value):
        return "maybe"
    if reading.metavar == "yes|no" and reading.shape == "one":
        return "flag"
    if isinstance(mark, Option) and mark.comma:
        return "many"
    return reading.shape


def _is_positional(raw: Raw, mark: Any, told: Hints, shape: str) -> bool:
    name, kind, default, _ = raw
    if isinstance(mark, Argument):
        return True
    if isinstance(mark, Option):
        return False
    if told.positional is not None:
        return name in told.positional
    if kind == "positional only":  # with a default it may be left out
        return shape not in ("flag", "count")
    return kind != "keyword" and default is MISSING and name not in told.repeated and name not in told.counted


def _default_of(
    default: Any, shape: str, reading: Reading, is_positional: bool, is_repeated: bool, told: Hints, mark: Any
) -> tuple[Any, bool]:
    """The default, and whether a value has to be given."""
    if shape == "many" and is_repeated:
        return (reading.collect or list)([]), False
    if default is not MISSING:
        return default, is_positional and told.positional is not None and default is None
    if told.positional is not None and not is_positional:
        return ([] if shape == "many" else None), False
    if shape == "count":
        return 0, False
    if shape == "many" and not is_positional:
        return (reading.collect or list)([]), False
    if shape == "flag" and isinstance(mark, Option):
        return False, False
    return MISSING, True


def _negations(spellings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"--no-{each[2:]}" for each in spellings if each.startswith("--"))


def _refuse_clashes(command: str, parameters: list[Parameter]) -> None:
    taken: dict[str, str] = {}
    for parameter in parameters:
        for spelling in parameter.spellings:
            if spelling in taken:
                raise TypeError(
                    f"{command}: parameters {taken[spelling]!r} and {parameter.name!r} are both spelled {spelling}"
                )
            taken[spelling] = parameter.name
