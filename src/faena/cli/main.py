"""The command `faena`: read the line, find the command, turn what goes wrong into a message and an exit code.

Exit codes: 0 it was done; 1 it was tried and failed (also: the task that was waited for failed, a check of `doctor`
failed); 2 nothing was done, because the line or the configuration makes no sense; 130 interrupted; 141 the reader of
the output has gone.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

from faena._lib.arguments import (
    CommandGroup,
    CommandSpec,
    Option,
    Parameter,
    command_from,
    parse_group,
    render_command,
    render_group,
)
from faena.cli.catalog import group_for, with_default
from faena.cli.interrupts import INTERRUPTED, interruptible
from faena.errors import AppNotFound, ConfigurationError, FaenaError, InvalidArguments, NotRegistered, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FAILED, REFUSED, READER_GONE = 1, 2, 141


def options_of_every_command(
    app: Annotated[str, Option("-A", "--app", metavar="APP", help="The app: module, module:attribute or package.")] = "",
    broker: Annotated[str, Option("-b", "--broker", metavar="URL", help="Broker, instead of the app's.")] = "",
    result_backend: Annotated[str, Option("--result-backend", metavar="URL", help="Result backend, likewise.")] = "",
    workdir: Annotated[str, Option("--workdir", metavar="FOLDER", help="Change into this folder first.")] = "",
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print answers and errors only.")] = False,
    version: Annotated[bool, Option("-V", "--version", help="Print the version.")] = False,
) -> None:
    """Declare the options that may stand anywhere on the line; `cli.session.Options` is made of them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - started with it closed, as by `>&-`
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - likewise
    try:
        with interruptible():
            code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # the interpreter flushes standard output on its way out, and would complain (library reference: signal, SIGPIPE)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return INTERRUPTED
    return code


def _run(words: list[str]) -> int:
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    words = with_default(words)
    group, functions = group_for(words)
    outer = command_from(options_of_every_command)
    program = _program_of(group, words)
    try:
        parsed, reached = parse_group(group, words, outer=outer)
        program = " ".join(("faena", *parsed.path))
        if parsed.outer.get("version"):
            from faena import __version__

            sys.stdout.write(f"faena {__version__}\n")
            return 0
        if isinstance(reached, CommandGroup) or parsed.is_help_asked:
            return _help(reached, program, outer, is_asked=parsed.is_help_asked)
        return _call(functions[parsed.path], parsed.args, parsed.kwargs, parsed.outer)
    except UsageError as error:
        return _refuse(f"{error}\nHelp: {program} --help")
    except (ConfigurationError, NotRegistered, InvalidArguments) as error:
        if isinstance(error, AppNotFound) and error.__cause__ is not None:
            from traceback import print_exception

            print_exception(error.__cause__)
        return _refuse(str(error))
    except FaenaError as error:
        return _refuse(str(error), FAILED)


def _call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outer: dict[str, Any]) -> int:
    from faena.cli.session import Session

    session = Session(**{name: value for name, value in outer.items() if name != "version"})
    try:
        code = function(session, *args, **kwargs)
    finally:
        session.close()
    return code or 0


def _help(reached: CommandGroup | CommandSpec, program: str, outer: CommandSpec, *, is_asked: bool) -> int:
    width = _width()
    if isinstance(reached, CommandGroup):
        text = render_group(reached, program, width, outer=outer)
    else:
        text = render_command(reached, program, width, outer=_without_spellings_of(reached, outer))
    if is_asked or program == "faena":
        sys.stdout.write(text)
        return 0
    return _refuse(f"which of these?\n\n{text}")


def _program_of(group: CommandGroup, words: Sequence[str]) -> str:
    """Say which command a line is probably about, for a line that cannot be read."""
    path = ["faena"]
    here: CommandGroup | CommandSpec = group
    for word in words:
        if isinstance(here, CommandGroup) and word in here.commands:
            here = here.commands[word]
            path.append(word)
    return " ".join(path)


def _without_spellings_of(command: CommandSpec, outer: CommandSpec) -> CommandSpec:
    """Leave out what the command's own options are spelled: its own go first."""
    kept = []
    for each in outer.parameters:
        free = tuple(spelling for spelling in each.spellings if spelling not in command.by_spelling)
        if free:
            kept.append(
                Parameter(each.name, each.shape, spellings=free, metavar=each.metavar, help=each.help, default=each.default)
            )
    return CommandSpec(outer.name, kept)


def _width() -> int:
    try:
        return min(max(os.get_terminal_size(sys.stdout.fileno()).columns, 40), 120)
    except (OSError, ValueError, AttributeError):
        return 100


def _refuse(text: str, code: int = REFUSED) -> int:
    from faena.cli.output import Output

    Output().complain(text)
    return code
