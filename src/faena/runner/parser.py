"""Invoke's parser as objects: `Argument`, `ParserContext`, `Parser`, `ParseResult`.

For task files and programs that declare arguments of their own; `fa` itself reads the command line by
`_lib.arguments`, and so do these: a context is turned into a command, the line read, and what it said written back.
"""

from __future__ import annotations

from copy import copy

from faena._lib.arguments.parse import parse, require_all
from faena._lib.arguments.spec import CommandSpec, Parameter
from faena.errors import UnknownCommand, UnknownOption, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

_HELP = ("-h", "--help")


class Argument:
    """One argument of a command line: its names, its kind, its default, and the value it got."""

    def __init__(
        self,
        name: str | None = None,
        names: Iterable[str] = (),
        kind: Callable[[Any], Any] = str,
        default: Any = None,
        help: str | None = None,  # noqa: A002  Invoke's word
        positional: bool = False,
        optional: bool = False,
        incrementable: bool = False,
        attr_name: str | None = None,
    ) -> None:
        if name and names:
            raise TypeError("An Argument has either a name or names, not both.")
        self.names: tuple[str, ...] = tuple(names) if names else (name,) if name else ()
        if not self.names:
            raise TypeError("An Argument must have at least one name.")
        self.kind = kind
        self.default = default
        self.help = help
        self.positional = positional
        self.optional = optional
        self.incrementable = incrementable
        self.attr_name = attr_name
        self.raw_value: Any = None
        self._value: Any = [] if kind is list else default if incrementable else None

    def __repr__(self) -> str:
        nicknames = f" ({', '.join(self.nicknames)})" if self.nicknames else ""
        kind = f" [{getattr(self.kind, '__name__', self.kind)}]" if self.kind is not str else ""
        return f"<Argument: {self.name}{nicknames}{kind}{' *' if self.positional else ''}{' ?' if self.optional else ''}>"

    @property
    def name(self) -> str:
        """The name in Python."""
        return self.attr_name or self.names[0]

    @property
    def nicknames(self) -> tuple[str, ...]:
        return self.names[1:]

    @property
    def takes_value(self) -> bool:
        return self.kind is not bool and not self.incrementable

    @property
    def got_value(self) -> bool:
        return bool(self._value) if self.kind is list else self._value is not None

    @property
    def value(self) -> Any:
        return self._value if self._value is not None else self.default

    @value.setter
    def value(self, text: Any) -> None:
        self.set_value(text)

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take a value: converted by `kind`, added to a list, counted up. Raises ValueError."""
        self.raw_value = value
        if self.kind is list and cast:
            self._value = [*self._value, value]
        elif self.incrementable and cast:
            self._value = (self.value or 0) + 1
        else:
            self._value = self.kind(value) if cast else value


class ParserContext:
    """A command with its arguments; without a name, the tool's own."""

    def __init__(self, name: str | None = None, aliases: Iterable[str] = (), args: Iterable[Argument] = ()) -> None:
        self.name = name
        self.aliases = tuple(aliases)
        self.args: dict[str, Argument] = {}  # by the name in Python
        self.positional_args: list[Argument] = []
        self.flags: dict[str, Argument] = {}  # by spelling
        self.inverse_flags: dict[str, str] = {}
        for each in args:
            self.add_arg(each)

    def __repr__(self) -> str:
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        name = f" {self.name!r}{aliases}" if self.name else ""
        return f"<parser/Context{name}: {self.args!r}>"

    def add_arg(self, *args: Any, **kwargs: Any) -> None:
        """Add an `Argument`, or one made of what is given.

        Raises ValueError: one of its names is taken.
        """
        argument = args[0] if args and isinstance(args[0], Argument) else Argument(*args, **kwargs)
        for name in argument.names:
            if _spelled(name) in self.flags or name in self.args:
                raise ValueError(f"Tried to add an argument named {name!r} but one already exists!")
        self.args[argument.name] = argument
        if argument.positional:
            self.positional_args.append(argument)
        for name in argument.names:
            self.flags[_spelled(name)] = argument
        if argument.kind is bool and argument.default is True:
            main = _spelled(argument.names[0])
            self.inverse_flags[f"--no-{main.lstrip('-')}"] = main

    @property
    def missing_positional_args(self) -> list[Argument]:
        return [each for each in self.positional_args if each.value is None]

    @property
    def as_kwargs(self) -> dict[str, Any]:
        return {name: each.value for name, each in self.args.items()}

    def names_for(self, flag: str) -> list[str]:
        """All spellings of the argument that has this one."""
        return sorted((_spelled(name) for name in self.flags[flag].names), key=lambda each: (len(each) > 2, each))

    def help_for(self, flag: str) -> tuple[str, str]:
        """How the argument is shown in help, and its text. Raises ValueError: there is none of that spelling."""
        if flag not in self.flags:
            raise ValueError(f"{flag!r} is not a valid flag for this context! Valid flags are: {list(self.flags)!r}")
        argument = self.flags[flag]
        kind = {str: "STRING", int: "INT"}.get(argument.kind) if argument.takes_value else None  # type: ignore[call-overload]
        shown = []
        for name in self.names_for(flag):
            value = ""
            if kind:
                value = f"[={kind}]" if argument.optional and len(name) > 2 else f"={kind}" if len(name) > 2 else f" {kind}"
                value = f" [{kind}]" if argument.optional and len(name) == 2 else value
            is_inverted = len(name) > 2 and argument.kind is bool and argument.default is True
            shown.append(f"--[no-]{name[2:]}" if is_inverted else f"{name}{value}")
        return ", ".join(shown), argument.help or ""

    def help_tuples(self) -> list[tuple[str, str]]:
        """`help_for` every argument, in the order of their names."""
        order = sorted(self.args.values(), key=lambda each: (each.names[0].lower(), each.names[0]))
        return [self.help_for(_spelled(each.names[0])) for each in order]

    def flag_names(self) -> tuple[str, ...]:
        """Every spelling, those that say no at the end."""
        order = sorted(self.args.values(), key=lambda each: each.names[0])
        return (*(name for each in order for name in self.names_for(_spelled(each.names[0]))), *self.inverse_flags)

    def copy(self) -> ParserContext:
        """A context of its own, with arguments of its own."""
        return ParserContext(self.name, self.aliases, [copy(each) for each in self.args.values()])


class ParseResult(list[ParserContext]):
    """The contexts of a line in their order, the tool's own first; what stood after `--`, and what nobody knew."""

    def __init__(self, contexts: Iterable[ParserContext] = ()) -> None:
        super().__init__(contexts)
        self.remainder = ""
        self.unparsed: list[str] = []

    @property
    def args(self) -> dict[str, Argument]:
        """The tool's own options."""
        return self[0].args


class Parser:
    """Reads a line against contexts: `Parser([build, deploy], initial=core).parse_argv(["build", "--fast"])`."""

    def __init__(
        self,
        contexts: Iterable[ParserContext] = (),
        initial: ParserContext | None = None,
        ignore_unknown: bool = False,
    ) -> None:
        self.initial = initial
        self.ignore_unknown = ignore_unknown
        self.contexts: dict[str, ParserContext] = {}
        for each in contexts:
            if not each.name:
                raise ValueError("Non-initial contexts must have names.")
            for name in (each.name, *each.aliases):
                if name in self.contexts:
                    raise ValueError(f"A context named/aliased {name!r} is already in this parser!")
                self.contexts[name] = each

    def parse_argv(self, argv: Sequence[str]) -> ParseResult:
        """Read a line (without the program's name).

        Raises ParseError (`faena.errors.UsageError`), unless `ignore_unknown`: then the rest is `unparsed`.
        """
        words = list(argv)
        result = ParseResult()
        try:
            self._read(words, result)
        except UsageError as error:
            if not self.ignore_unknown or not isinstance(error, UnknownOption):
                error.context = result[-1] if result else None
                raise
            end = next(index for index, word in enumerate(words) if word.partition("=")[0] == error.option)
            result = ParseResult()
            self._read(words[:end], result)
            result.unparsed = words[end:]
        return result

    def _read(self, words: list[str], result: ParseResult) -> None:
        core = self.initial.copy() if self.initial is not None else ParserContext()
        outer = spec_of(core)
        if self.initial is not None:
            result.append(core)
        parsed = parse(outer, words, stop_at_word=True, is_command=self.contexts.__contains__)
        _refuse_help(parsed.is_help_asked, core)
        write_back(core, parsed.values)
        index, rest = parsed.index, parsed.rest
        while index < len(words):
            found = self.contexts.get(words[index])
            if found is None:
                if not self.ignore_unknown:
                    raise UnknownCommand(words[index], self.contexts)
                result.unparsed = words[index:]
                break
            context = found.copy()
            result.append(context)
            parsed = parse(
                spec_of(context), words, start=index + 1, outer=outer, stop_at_word=True,
                is_command=self.contexts.__contains__, check_missing=False,
            )  # fmt: skip
            _refuse_help(parsed.is_help_asked, context)
            require_all(parsed)
            write_back(context, parsed.values)
            write_back(core, parsed.outer)
            index, rest = parsed.index, parsed.rest or rest
        result.remainder = " ".join(rest or ())


def spec_of(context: ParserContext) -> CommandSpec:
    """The context as a command of our parser."""
    return CommandSpec(context.name or "", [parameter_of(each) for each in context.args.values()])


def parameter_of(argument: Argument) -> Parameter:
    """The argument as a parameter of our parser."""
    spellings = tuple(_spelled(name) for name in argument.names)
    more: dict[str, Any] = {"spellings": spellings, "help": argument.help or "", "default": argument.default}
    if argument.kind is bool and not argument.optional:
        no = tuple(f"--no-{each[2:]}" for each in spellings if each.startswith("--"))
        return Parameter(argument.name, "flag", negations=no, **more)
    if argument.incrementable:
        return Parameter(argument.name, "count", **more)
    metavar = {str: "STRING", int: "INT"}.get(argument.kind, "VALUE")  # type: ignore[call-overload]
    more |= {"metavar": metavar, "convert": None if argument.kind in (str, list, bool) else argument.kind}
    more["is_positional"] = argument.positional
    if argument.kind is list:
        return Parameter(argument.name, "many", **more)
    if argument.optional and not argument.positional:
        return Parameter(argument.name, "maybe", **more)
    return Parameter(argument.name, "one", is_required=argument.positional and argument.default is None, **more)


def argument_of(parameter: Parameter) -> Argument:
    """A parameter of our parser as an argument."""
    kinds: dict[str, Any] = {"flag": bool, "count": int, "many": list, "rest": list, "pairs": list}
    convert = parameter.convert if isinstance(parameter.convert, type) else str
    names = [each.lstrip("-") for each in parameter.spellings] or [parameter.name]
    return Argument(
        names=names, kind=kinds.get(parameter.shape, convert), help=parameter.help or None,
        default=None if parameter.is_required or parameter.shape in ("many", "rest", "pairs") else parameter.default,
        positional=parameter.is_positional, optional=parameter.shape == "maybe",
        incrementable=parameter.shape == "count", attr_name=parameter.name,
    )  # fmt: skip


def write_back(context: ParserContext, values: dict[str, Any]) -> None:
    """Give arguments the values that a line said."""
    for name, value in values.items():
        if name in context.args:
            context.args[name].set_value(value, cast=False)


def _refuse_help(is_asked: bool, context: ParserContext) -> None:
    """Only a program shows help; a parser whose contexts have no such flag knows none."""
    if is_asked and not any(spelling in context.flags for spelling in _HELP):
        raise UnknownOption(context.name or "", "--help", context.flags)


def _spelled(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
