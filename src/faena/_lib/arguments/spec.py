"""What a command takes: the values that `signature` makes, `parse` reads and `help` prints.

Plain slotted classes, never changed once built: `dataclasses` costs more start-up time than all of `fa`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Final, Literal

    # one: a value · flag: a switch · count: a switch counted · many: repeated · pairs: repeated KEY=VALUE
    # maybe: a value that may be left out · rest: every remaining word · unknown: options nobody declared
    Shape = Literal["one", "flag", "count", "many", "pairs", "maybe", "rest", "unknown"]


class Missing:
    """The type of `MISSING`: a parameter without a default."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class Parameter:
    """One parameter of a command, and how the command line spells it."""

    __slots__ = (
        "choices",
        "collect",
        "comma",
        "convert",
        "default",
        "group",
        "help",
        "hidden",
        "is_passed",
        "is_positional",
        "is_positional_only",
        "is_required",
        "metavar",
        "name",
        "negations",
        "shape",
        "spellings",
    )

    def __init__(
        self,
        name: str,
        shape: Shape,
        *,
        spellings: tuple[str, ...] = (),
        negations: tuple[str, ...] = (),
        is_positional: bool = False,
        is_required: bool = False,
        default: Any = MISSING,
        convert: Callable[[str], Any] | None = None,
        collect: Callable[[list[Any]], Any] | None = None,
        comma: bool = False,
        choices: tuple[str, ...] = (),
        metavar: str = "",
        help: str = "",  # noqa: A002  the word of the interface
        group: str = "",
        hidden: bool = False,
        is_passed: bool = False,
        is_positional_only: bool = False,
    ) -> None:
        self.name = name
        self.shape: Shape = shape
        self.spellings = spellings
        self.negations = negations
        self.is_positional = is_positional
        self.is_required = is_required
        self.default = default
        self.convert = convert
        self.collect = collect
        self.comma = comma
        self.choices = choices
        self.metavar = metavar
        self.help = help
        self.group = group
        self.hidden = hidden
        self.is_positional_only = is_positional_only  # the function takes it by place, not by name
        self.is_passed = is_passed  # also when not given: the function has no default, or not this one

    def __repr__(self) -> str:
        return f"<Parameter {self.name} {self.shape} {' '.join(self.spellings)}>"


class CommandSpec:
    """A command: its name, its parameters in order, and its words of help."""

    __slots__ = ("by_spelling", "description", "name", "parameters", "summary", "takes_unknown")

    def __init__(self, name: str, parameters: Sequence[Parameter], *, summary: str = "", description: str = "") -> None:
        self.name = name
        self.parameters = tuple(parameters)
        self.summary = summary
        self.description = description
        self.takes_unknown = any(parameter.shape == "unknown" for parameter in parameters)
        # spelling -> (parameter, whether it is the `--no-` form)
        self.by_spelling: dict[str, tuple[Parameter, bool]] = {}
        for parameter in self.parameters:
            for spelling in parameter.negations:
                self.by_spelling.setdefault(spelling, (parameter, True))
        for parameter in self.parameters:  # a declared name wins over another's `--no-` form
            for spelling in parameter.spellings:
                self.by_spelling[spelling] = (parameter, False)

    def __repr__(self) -> str:
        return f"<CommandSpec {self.name}>"

    @property
    def positionals(self) -> tuple[Parameter, ...]:
        return tuple(each for each in self.parameters if each.is_positional)

    @property
    def options(self) -> tuple[Parameter, ...]:
        return tuple(each for each in self.parameters if each.spellings and not each.is_positional)


class CommandGroup:
    """Commands under one word: `faena dead requeue` is `requeue` in the group `dead`."""

    __slots__ = ("commands", "name", "summary")

    def __init__(self, name: str, commands: Mapping[str, CommandSpec | CommandGroup], *, summary: str = "") -> None:
        self.name = name
        self.commands = dict(commands)
        self.summary = summary

    def __repr__(self) -> str:
        return f"<CommandGroup {self.name}>"


class Parsed:
    """What a command line said: the values given, where reading stopped, and what stood after `--`.

    `values` holds the parameters given on the line only; `filled` adds the defaults, `args` and `kwargs`
    are ready for the function.
    """

    __slots__ = ("given", "index", "is_help_asked", "outer", "path", "rest", "spec", "values")

    def __init__(self, spec: CommandSpec, index: int) -> None:
        self.spec = spec
        self.index = index
        self.values: dict[str, Any] = {}
        self.given: frozenset[str] = frozenset()
        self.outer: dict[str, Any] = {}
        self.rest: tuple[str, ...] | None = None
        self.is_help_asked = False
        self.path: tuple[str, ...] = ()

    @property
    def filled(self) -> dict[str, Any]:
        """Every parameter with its value or default."""
        values = {each.name: each.default for each in self.spec.parameters if each.default is not MISSING}
        values.update(self.values)
        return values

    @property
    def args(self) -> tuple[Any, ...]:
        """The values that the function takes by place, for `function(*args, **kwargs)`.

        Those of `*args` with all before them, and those of parameters that have no name for a caller.
        """
        values = self.filled
        found: list[Any] = []
        for each in self.spec.parameters[: self._count_by_place()]:
            if each.shape == "rest":
                found.extend(values.get(each.name, ()))
            else:
                found.append(values[each.name])
        return tuple(found)

    def _count_by_place(self) -> int:
        count = 0
        for index, each in enumerate(self.spec.parameters, 1):
            if each.is_positional_only or (each.shape == "rest" and each.name in self.values):
                count = index
        return count

    @property
    def kwargs(self) -> dict[str, Any]:
        """The values given, by parameter name, but for those that `args` holds."""
        names_in_args = {each.name for each in self.spec.parameters[: self._count_by_place()]}
        unknown = next((each.name for each in self.spec.parameters if each.shape == "unknown"), None)
        values = {
            each.name: each.default for each in self.spec.parameters if each.is_passed and each.name not in names_in_args
        }
        values.update((name, value) for name, value in self.values.items() if name not in names_in_args)
        if unknown is not None and unknown in values:
            values.update(values.pop(unknown))
        return values
