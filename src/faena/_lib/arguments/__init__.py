"""Arguments from signatures: one parser for `fa` and `faena`.

A function's signature, annotations and docstring say what a command takes:

    def start(
        *queues: str,
        concurrency: Annotated[int, Option("-c", "--concurrency", help="Tasks at a time.", metavar="N")] = 4,
        level: Annotated[Literal["debug", "info"], Option("-l", "--loglevel")] = "info",
        only: Annotated[list[str], Option("-Q", "--only", comma=True)] = (),
        json: bool = False,
    ) -> None:
        \"\"\"Start a worker.\"\"\"

    spec = command_from(start)
    parsed = parse(spec, ["-c8", "--no-json", "mail"])
    start(*parsed.args, **parsed.kwargs)

How a parameter reads:

- no default: a positional argument; keyword-only without default: a required option; `*args`: every further word;
  `**options`: options that nobody declared, `--key=value`
- default or annotation `bool`: a switch, `--x` and `--no-x`; `int`, `float`, `Path`, `Decimal`, `Enum`, `Literal`,
  `date`, `datetime`, `timedelta` (`90`, `1h30m`), `X | None`: converted; `list`, `set`, `tuple[T, ...]`: repeated;
  `tuple[A, B]`: `a,b`; `dict`: repeated `KEY=VALUE`; anything else callable is called with the text
- `Annotated[T, Option(...)]` and `Annotated[T, Argument(...)]` say spellings, help, metavar, comma, count, converter
- `converters={type: function}` of `command_from` reads a type of your own

Options may stand anywhere, `--name value` and `--name=value`, `-n value`, `-nvalue`, `-n=value`, letters joined;
underscores do for dashes. Everything wrong is a `UsageError` (see `faena.errors`) that names the nearest spelling.

Neither this package nor what it reads imports `inspect`, `typing`, `argparse`, `dataclasses`, `enum` or `asyncio`.
"""

from __future__ import annotations

from faena._lib.arguments.marks import Argument, Option
from faena._lib.arguments.parse import parse, parse_group, require_all
from faena._lib.arguments.signature import command_from, dashed
from faena._lib.arguments.spec import MISSING, CommandGroup, CommandSpec, Parameter, Parsed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from faena._lib.arguments.help import render_command, render_group

__all__ = [
    "MISSING",
    "Argument",
    "CommandGroup",
    "CommandSpec",
    "Option",
    "Parameter",
    "Parsed",
    "command_from",
    "dashed",
    "parse",
    "parse_group",
    "render_command",
    "render_group",
    "require_all",
]


def __getattr__(name: str) -> object:
    """Help is rendered in few runs: its module is loaded by those."""
    if name not in ("render_command", "render_group"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from faena._lib.arguments import help as module

    found: object = getattr(module, name)
    return found
