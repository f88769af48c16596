"""Invoke's `Program`: a collection as a command of its own."""

from __future__ import annotations

import os
import sys

from faena._lib.arguments.help import render_command, table
from faena._lib.arguments.parse import parse
from faena._lib.arguments.spec import CommandSpec
from faena.cli.fa import AND_TASKS, _read_tasks, _show_help, _width
from faena.cli.fa_run import run_line, show_error
from faena.errors import Exit, FaenaError, Failure
from faena.runner.collection import Collection
from faena.runner.config import Config
from faena.runner.listing import render_list
from faena.runner.loader import FilesystemLoader
from faena.runner.options import fa_options
from faena.runner.parser import Argument, ParserContext, argument_of, parameter_of, write_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from faena.runner.executor import Executor
    from faena.runner.loader import Loader


class Program:
    """`Program(namespace=collection, version="1.0").run()`, as the entry point of a package.

    A subclass may add options of its own in `core_args`; what the line says of them is in `args` then, and
    `config_class` and `executor_class` may read them.
    """

    def __init__(
        self,
        version: str | None = None,
        namespace: Collection | None = None,
        name: str | None = None,
        binary: str | None = None,
        loader_class: type[Loader] | None = None,
        executor_class: type[Executor] | None = None,
        config_class: type[Config] | None = None,
        binary_names: list[str] | None = None,
    ) -> None:
        self.version = version or "unknown"
        self.namespace = namespace
        self._name = name
        self._binary = binary
        self.binary_names = binary_names
        self.loader_class = loader_class or FilesystemLoader
        self.executor_class = executor_class
        self.config_class = config_class or Config
        self.core = ParserContext()
        self.collection: Collection | None = namespace

    @property
    def called_as(self) -> str:
        return os.path.basename(sys.argv[0])

    @property
    def binary(self) -> str:
        return self._binary or self.called_as

    @property
    def name(self) -> str:
        return self._name or self.binary.capitalize()

    @property
    def args(self) -> dict[str, Argument]:
        """The program's own options by name, with the values of the line."""
        return self.core.args

    def core_args(self) -> list[Argument]:
        """The options that stand before any task; a subclass adds its own."""
        return [argument_of(each) for each in fa_options().parameters]

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
        except Failure as error:
            status = show_error(self.name, error)
        except FaenaError as error:
            print(error, file=sys.stderr)
            status = 1
        if exit:
            sys.exit(status)

    def _core_spec(self) -> CommandSpec:
        """The options of `fa`, and those that a subclass added."""
        own = {each.name: each for each in fa_options().parameters}
        arguments = _without_clashes(self.core_args())
        added = [parameter_of(each) for each in arguments if each.name not in own]
        taken = {spelling for each in added for spelling in each.spellings}
        for parameter in own.values():
            parameter.spellings = tuple(each for each in parameter.spellings if each not in taken)
        return CommandSpec(self.binary, (*own.values(), *added))

    def _load(self) -> Collection:
        if self.namespace is not None:
            return self.namespace
        module, folder = self.loader_class(config=self.config_class(lazy=True)).load()
        return Collection.from_module(module, loaded_from=folder)

    def _run(self, words: list[str]) -> int:
        core = self._core_spec()
        first = parse(core, words, stop_at_word=True)
        if first.values.get("version"):
            print(f"{self.name} {self.version}")
            return 0
        root = self.collection = self._load()
        line = _read_tasks(words, first, core, root)
        self.core = ParserContext(args=_without_clashes(self.core_args()))
        write_back(self.core, line.options)
        if line.is_help_asked and not line.tasks:
            print(render_command(core, self.binary, _width(), then=AND_TASKS), end="")
            print(f"\nSubcommands:\n{table([(name, task.__doc__ or '') for name, task in root.walk()], _width())}")
            return 0
        if line.is_help_asked:
            return _show_help(line, core, self.binary)
        if "list" in line.options or (not line.tasks and root.default is None):
            print(render_list(root, width=_width()).replace("Available tasks:", "Subcommands:"), end="")
            return 0
        if self.executor_class is not None:
            from faena.cli.fa_executor import execute_line

            execute_line(self.executor_class, line, root, core=self.core, config=self.config_class())
            return 0
        return run_line(line, root, words, self.config_class)


def _without_clashes(arguments: list[Argument]) -> list[Argument]:
    """Let a name go to the last argument that claims it: an option that a subclass adds may take one of ours."""
    taken: set[str] = set()
    found = []
    for argument in reversed(arguments):
        free = tuple(name for name in argument.names if name not in taken)
        if free:
            argument.attr_name = argument.name
            argument.names = free
            taken.update(free)
            found.append(argument)
    return found[::-1]
