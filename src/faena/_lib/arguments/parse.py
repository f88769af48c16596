"""Read a command line against a command.

    waiting ──option──▶ takes its value from `=`, from the joined letters, or from the next word
       │
       ├──word──▶ the next positional that has none; else the reader stops (a further command) or refuses it
       └── `--` ─▶ everything after it is the rest, or fills the positionals of a lone command

An option nobody here declares is looked up in the `outer` command (the tool's own options), so that those may stand
anywhere. `-h` and `--help` belong to every command that has no option of that name, and are never a value.
"""

from __future__ import annotations

from faena._lib.arguments.convert import to_bool
from faena._lib.arguments.spec import CommandGroup, CommandSpec, Parameter, Parsed
from faena.errors import (
    AmbiguousValue,
    InvalidValue,
    MissingArguments,
    MissingValue,
    UnexpectedArgument,
    UnknownCommand,
    UnknownOption,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_HELP = ("-h", "--help")
_MANY = ("many", "rest", "pairs")


def parse(
    spec: CommandSpec,
    argv: Sequence[str],
    *,
    start: int = 0,
    outer: CommandSpec | None = None,
    stop_at_word: bool = False,
    is_command: Callable[[str], bool] | None = None,
    check_missing: bool = True,
) -> Parsed:
    """Read `argv` from `start` on.

    `stop_at_word`: a word that no positional wants ends the reading (`Parsed.index` says where), for tools that take
    several commands on a line; else it is an error. `is_command` says which words are names of commands: a value
    that may be left out is refused before one. `check_missing=False` leaves a lack of arguments to the caller.

    Raises UsageError.
    """
    reader = _Reader(spec, argv, start, outer, stop_at_word, is_command)
    parsed = reader.read()
    if check_missing and not parsed.is_help_asked:
        require_all(parsed)
    return parsed


def parse_group(
    group: CommandGroup, argv: Sequence[str], *, outer: CommandSpec | None = None
) -> tuple[Parsed, CommandGroup | CommandSpec]:
    """Read a line such as `dead requeue ID`: options of `outer` may stand anywhere in it.

    Returns what was read and the group or command that was reached: a group when no command was named, or help of
    the group was asked for.
    """
    before = CommandSpec(group.name, ())
    here: CommandGroup | CommandSpec = group
    path: list[str] = []
    index = 0
    outer_values: dict[str, Any] = {}
    is_help_asked = False
    parsed = Parsed(before, 0)
    while isinstance(here, CommandGroup):
        parsed = parse(before, argv, start=index, outer=outer, stop_at_word=True)
        outer_values.update(parsed.outer)
        is_help_asked = is_help_asked or parsed.is_help_asked
        index = parsed.index
        if index >= len(argv) or parsed.rest is not None:
            break
        word = argv[index]
        found = here.commands.get(word)
        if found is None:
            raise UnknownCommand(word, here.commands, where=" ".join(path))
        here, index = found, index + 1
        path.append(word)
    if isinstance(here, CommandSpec):
        parsed = parse(here, argv, start=index, outer=outer, check_missing=False)
        is_help_asked = is_help_asked or parsed.is_help_asked
        if not is_help_asked:
            require_all(parsed)
    parsed.outer = {**outer_values, **parsed.outer}
    parsed.is_help_asked = is_help_asked
    parsed.path = tuple(path)
    return parsed, here


def require_all(parsed: Parsed) -> None:
    """Raise MissingArguments when a value that has to be given was not."""
    missing = [each for each in parsed.spec.parameters if each.is_required and each.name not in parsed.values]
    if missing:
        raise MissingArguments(
            parsed.spec.name, [each.name if each.is_positional else each.spellings[0] for each in missing]
        )


def value_of(parameter: Parameter, text: str, command: str, spelling: str = "") -> Any:
    """Turn the text of one value into the value; `spelling` is how the line names the option.

    Raises InvalidValue: the text does not say one.
    """
    shown = spelling or _shown(parameter)
    if parameter.choices and parameter.convert is None and text not in parameter.choices:
        raise InvalidValue(command, shown, text, "", choices=parameter.choices)
    if parameter.convert is None:
        return text
    try:
        return parameter.convert(text)
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise InvalidValue(command, shown, text, _reason(parameter, error), choices=parameter.choices)


def _reason(parameter: Parameter, error: Exception) -> str:
    known = {"INT": "a whole number", "NUMBER": "a number", "yes|no": "yes or no"}
    by_kind = {int: "a whole number", float: "a number"}
    kind = by_kind.get(parameter.convert) if isinstance(parameter.convert, type) else None
    return known.get(parameter.metavar) or kind or str(error) or parameter.metavar


def _shown(parameter: Parameter) -> str:
    return parameter.spellings[0] if parameter.spellings else parameter.name


class _Reader:
    """One reading of one line."""

    def __init__(
        self,
        spec: CommandSpec,
        argv: Sequence[str],
        start: int,
        outer: CommandSpec | None,
        stop_at_word: bool,
        is_command: Callable[[str], bool] | None,
    ) -> None:
        self._spec = spec
        self._argv = argv
        self._outer = outer
        self._stop_at_word = stop_at_word
        self._is_command = is_command
        self._parsed = Parsed(spec, start)
        self._words: list[str] = []
        self._texts: dict[str, list[Any]] = {}

    def read(self) -> Parsed:
        argv, parsed = self._argv, self._parsed
        while parsed.index < len(argv):
            word = argv[parsed.index]
            if word == "--":
                self._take_rest(argv[parsed.index + 1 :])
                parsed.index = len(argv)
            elif self._is_option(word):
                parsed.index += 1
                self._take_option(word)
            elif not self._take_word(word):
                break
        self._distribute()
        self._collect()
        return parsed

    # -- words -----------------------------------------------------------------------------------------

    def _is_option(self, word: str) -> bool:
        if len(word) < 2 or word[0] != "-":
            return False
        return not (_is_number(word) and word[:2] not in self._spec.by_spelling)

    def _take_word(self, word: str) -> bool:
        """Keep a bare word for a positional; say whether one is left to want it.

        Which one gets it is settled at the end: in `t 2 -a 1` the option takes the place of the first positional.
        """
        wanting = self._open_positionals(len(self._words))
        if not wanting:
            if self._stop_at_word:
                return False
            raise UnexpectedArgument(self._spec.name, word)
        # a further command goes before a value that may be left out, and after one that may not
        may_be_left_out = not any(each.is_required or each.shape in _MANY for each in wanting)
        if self._stop_at_word and may_be_left_out and self._is_command is not None and self._is_command(word):
            return False
        self._words.append(word)
        self._parsed.index += 1
        return True

    def _open_positionals(self, filled: int) -> list[Parameter]:
        """The positionals that would still take a word after `filled` words."""
        found = [each for each in self._spec.positionals if each.shape in _MANY or each.name not in self._parsed.values]
        while found and filled and found[0].shape not in _MANY:
            found.pop(0)
            filled -= 1
        return found

    def _take_rest(self, words: Sequence[str]) -> None:
        self._parsed.rest = tuple(words)
        if self._stop_at_word:
            return
        for word in words:
            self._take_word(word)

    def _distribute(self) -> None:
        wanting = self._open_positionals(0)
        words = self._words
        while words:
            if not wanting:
                raise UnexpectedArgument(self._spec.name, words[0])
            parameter = wanting.pop(0)
            if parameter.shape in _MANY:
                kept = sum(1 for each in wanting if each.is_required)
                taken = words[: max(len(words) - kept, 1)]
                for word in taken:
                    self._add(parameter, word)
                words = words[len(taken) :]
            else:
                self._parsed.values[parameter.name] = value_of(parameter, words[0], self._spec.name)
                words = words[1:]

    # -- options ---------------------------------------------------------------------------------------

    def _take_option(self, word: str) -> None:
        spelling, equals, text = word.partition("=")
        if word.startswith("--"):
            self._take_named(spelling, text if equals else None)
            return
        if word[:2] not in self._spec.by_spelling and spelling in self._spec.by_spelling:
            self._take_named(spelling, text if equals else None)  # `-name`, declared with one dash
            return
        self._take_letters(word)

    def _take_letters(self, word: str) -> None:
        """Read `-fn foo`, `-nfoo`, `-n=foo`, `-vv`."""
        index = 1
        while index < len(word):
            spelling = "-" + word[index]
            tail = word[index + 1 :]
            target, _, _ = self._find(spelling, word)
            if target is None:
                self._ask_help()
                index += 1
                continue
            if target.shape in ("flag", "count") and not tail.startswith("="):
                self._take_named(spelling, None)
                index += 1
                continue
            text = tail.removeprefix("=") if tail else None
            self._take_named(spelling, text)
            return

    def _find(self, spelling: str, word: str) -> tuple[Parameter | None, bool, bool]:
        """The parameter of a spelling, whether it is the `--no-` form, and whether the outer command has it.

        None stands for a wish for help.
        """
        for candidate in (spelling, _dashed_option(spelling)):
            found = self._spec.by_spelling.get(candidate)
            if found is not None:
                return found[0], found[1], False
        if self._outer is not None:
            for candidate in (spelling, _dashed_option(spelling)):
                found = self._outer.by_spelling.get(candidate)
                if found is not None:
                    return found[0], found[1], True
        if spelling in _HELP:
            return None, False, False
        raise UnknownOption(self._spec.name, word.partition("=")[0], self._known())

    def _known(self) -> list[str]:
        known = list(self._spec.by_spelling)
        if self._outer is not None:
            known.extend(self._outer.by_spelling)
        return [*known, *_HELP]

    def _ask_help(self) -> None:
        self._parsed.is_help_asked = True

    def _take_named(self, spelling: str, text: str | None) -> None:
        if self._spec.takes_unknown and spelling.startswith("--") and spelling not in _HELP:
            try:
                parameter, is_negated, is_outer = self._find(spelling, spelling)
            except UnknownOption:
                self._take_unknown(spelling, text)
                return
        else:
            parameter, is_negated, is_outer = self._find(spelling, spelling)
        if parameter is None:
            self._ask_help()
            return
        values = self._parsed.outer if is_outer else self._parsed.values
        self._store(parameter, spelling, is_negated, text, values)

    def _take_unknown(self, spelling: str, text: str | None) -> None:
        parameter = next(each for each in self._spec.parameters if each.shape == "unknown")
        found = self._parsed.values.setdefault(parameter.name, {})
        key = spelling[2:].replace("-", "_")
        found[key] = True if text is None else value_of(parameter, text, self._spec.name)

    def _store(
        self, parameter: Parameter, spelling: str, is_negated: bool, text: str | None, values: dict[str, Any]
    ) -> None:
        match parameter.shape:
            case "flag":
                values[parameter.name] = is_negated ^ (True if text is None else self._flag(spelling, text))
            case "count":
                if text is None:
                    values[parameter.name] = values.get(parameter.name, parameter.default or 0) + 1
                else:
                    values[parameter.name] = _count(self._spec.name, spelling, text)
            case "maybe":
                values[parameter.name] = self._maybe(parameter, spelling, text)
            case "many" | "pairs" | "rest":
                value = self._value_text(parameter, spelling, text)
                if values is self._parsed.values:
                    self._add(parameter, value, spelling)
                else:
                    many = values.setdefault(parameter.name, [])
                    many.append(value_of(parameter, value, self._spec.name, spelling))
            case _:
                value = self._value_text(parameter, spelling, text)
                values[parameter.name] = value_of(parameter, value, self._spec.name, spelling)

    def _flag(self, spelling: str, text: str) -> bool:
        try:
            return to_bool(text)
        except ValueError:
            raise InvalidValue(self._spec.name, spelling, text, "yes or no") from None

    def _maybe(self, parameter: Parameter, spelling: str, text: str | None) -> Any:
        if text is not None:
            return value_of(parameter, text, self._spec.name, spelling)
        index = self._parsed.index
        if index >= len(self._argv) or self._is_option(self._argv[index]) or self._argv[index] == "--":
            return True
        word = self._argv[index]
        is_command = self._is_command is not None and self._is_command(word)
        if is_command or any(each.is_required for each in self._open_positionals(len(self._words))):
            raise AmbiguousValue(self._spec.name, word, spelling)
        self._parsed.index += 1
        return value_of(parameter, word, self._spec.name, spelling)

    def _value_text(self, parameter: Parameter, spelling: str, text: str | None) -> str:
        if text is not None:
            return text
        index = self._parsed.index
        if index >= len(self._argv):
            raise MissingValue(self._spec.name, spelling, parameter.metavar)
        word = self._argv[index]
        if word == "--" or (self._is_option(word) and self._is_known(word)):
            raise MissingValue(self._spec.name, spelling, parameter.metavar, before=word)
        self._parsed.index += 1
        return word

    def _is_known(self, word: str) -> bool:
        spelling = word.partition("=")[0]
        if spelling in self._spec.by_spelling or spelling in _HELP:
            return True
        return self._outer is not None and spelling in self._outer.by_spelling

    # -- values of several words -----------------------------------------------------------------------

    def _add(self, parameter: Parameter, text: str, spelling: str = "") -> None:
        found = self._texts.setdefault(parameter.name, [])
        self._parsed.values[parameter.name] = found
        if parameter.shape == "pairs":
            key, equals, value = text.partition("=")
            if not equals:
                raise InvalidValue(self._spec.name, spelling or _shown(parameter), text, "KEY=VALUE")
            found.append((key, value_of(parameter, value, self._spec.name, spelling)))
            return
        for part in text.split(",") if parameter.comma else (text,):
            if part or not parameter.comma:
                part = part.strip() if parameter.comma else part
                found.append(value_of(parameter, part, self._spec.name, spelling))

    def _collect(self) -> None:
        for parameter in self._spec.parameters:
            found = self._texts.get(parameter.name)
            if found is None:
                continue
            collect: Callable[[list[Any]], Any] = parameter.collect or list
            if parameter.shape == "pairs":
                collect = dict
            elif parameter.shape == "rest":
                collect = tuple
            self._parsed.values[parameter.name] = collect(found)


def _count(command: str, spelling: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidValue(command, spelling, text, "a whole number") from None


def _dashed_option(spelling: str) -> str:
    return "--" + spelling[2:].replace("_", "-") if spelling.startswith("--") else spelling


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
