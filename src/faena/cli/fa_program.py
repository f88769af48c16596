"""Invoke's `Program`: a collection as a command of its own."""

from __future__ import annotations

import sys

from faena._lib.arguments.help import render_command, table
from faena._lib.arguments.parse import parse
from faena.cli.fa import _read_tasks, _show_help, _width
from faena.cli.fa_run import run_line
from faena.errors import Exit, FaenaError
from faena.runner.listing import render_list
from faena.runner.options import fa_options
from faena.runner.taskfile import load_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from faena.runner.collection import Collection


class Program:
    """`Program(namespace=collection, version="1.0").run()`, as the entry point of a package."""

    def __init__(
        self,
        version: str | None = None,
        namespace: Collection | None = None,
        name: str | None = None,
        binary: str | None = None,
        **_: Any,
    ) -> None:
        self.version = version or "unknown"
        self.namespace = namespace
        self._name = name
        self.binary = binary

    @property
    def name(self) -> str:
        return self._name or (self.binary or sys.argv[0].rpartition("/")[2]).capitalize()

    def run(self, argv: str | Sequence[str] | None = None, exit: bool = True) -> None:  # noqa: A002  Invoke's word
        """Run the command line; with `exit=False` return after errors too, their text on standard error."""
        if isinstance(argv, str):
            argv = argv.split()
        words = list(sys.argv if argv is None else argv)[1:]
        try:
            status = self._run(words)
        except Exit as error:
            if error.message:
                print(error.message, file=sys.stderr)
            status = error.code
        except FaenaError as error:
            print(error, file=sys.stderr)
            status = 1
        if exit:
            sys.exit(status)

    def _run(self, words: list[str]) -> int:
        core = fa_options()
        first = parse(core, words, stop_at_word=True)
        if first.values.get("version"):
            print(f"{self.name} {self.version}")
            return 0
        root = self.namespace if self.namespace is not None else load_root()
        line = _read_tasks(words, first, core, root)
        if line.is_help_asked and not line.tasks:
            print(render_command(core, self.binary or self.name.lower(), _width()), end="")
            print(f"\nSubcommands:\n{table([(name, task.__doc__ or '') for name, task in root.walk()], _width())}")
            return 0
        if line.is_help_asked:
            return _show_help(line, core)
        if "list" in line.options or (not line.tasks and root.default is None):
            print(render_list(root, width=_width()).replace("Available tasks:", "Subcommands:"), end="")
            return 0
        return run_line(line, root, words)
