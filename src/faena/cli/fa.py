"""The command `fa`: run the tasks of a task file.

    fa [options] [task [its options] ...] [-- remainder]

This module is the edge of the process: it turns what was read into a run, and every error into a message and a
status. Whatever only some lines need is imported where they need it: starting is a feature.
"""

from __future__ import annotations

import gc
import os
import sys

from faena._lib.arguments.parse import parse, require_all
from faena.cli.fa_settings import task_settings
from faena.errors import CollectionNotFound, FaenaError, UnknownCommand, UsageError
from faena.runner.options import fa_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from faena._lib.arguments.spec import CommandSpec, Parsed
    from faena.runner.collection import Collection
    from faena.runner.task import Task
    from faena.runner.taskfile import TaskFile

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
AND_TASKS = "[TASK [its options]]... [-- REMAINDER]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `fa` with `argv` (else the process's own) and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    gc.disable()  # until tasks run: all that is made before them stays, and looking through it is a tenth of starting
    try:
        status = _main(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `fa -l | head`
        sys.stdout = None  # nothing is left to flush at exit
        return 141
    except FaenaError as error:
        if str(error):
            print(_shown(error), file=sys.stderr)
        return getattr(error, "code", 1)
    except Exception as error:  # noqa: BLE001  around the user's task file
        from faena.cli.fa_trace import show_traceback

        show_traceback(error, debug="-d" in words or "--debug" in words)
        return 1
    finally:
        gc.enable()
    return status


def _shown(error: FaenaError) -> str:
    """Keep what the line says from filling the screen; what commands say is their own."""
    if not isinstance(error, UsageError | CollectionNotFound):
        return str(error)
    from faena._lib.shorten import shortened

    return shortened(str(error))


class Line:
    """What the command line says: the options of `fa`, and the tasks with theirs."""

    __slots__ = ("is_help_asked", "options", "rest", "tasks")

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.tasks: list[tuple[str, str, Parsed]] = []  # word, full name, its own line
        self.rest: tuple[str, ...] = ()
        self.is_help_asked = False


def _main(words: list[str]) -> int:
    core = fa_options()
    first = parse(core, words, stop_at_word=True, is_command=lambda _: False)
    options = first.values
    special = _before_tasks(options, first, words, core)
    if special is not None:
        return special
    root = load(options)
    if first.index < len(words) and words[first.index] == "cache" and root.find("cache") is None:
        from faena.cli.fa_comfort import cache_command

        return cache_command(words[first.index + 1 :], root.loaded_from or os.getcwd())
    line = _read_tasks(words, first, core, root)
    if line.is_help_asked:
        return _show_help(line, core)
    from faena.cli.fa_run import run_line

    return run_line(line, root, words)


def _before_tasks(options: dict[str, Any], first: Parsed, words: list[str], core: CommandSpec) -> int | None:
    """Do what needs no task file, or has nothing to do with running one."""
    if options.get("version"):
        from faena import __version__

        print(f"fa {__version__}")
        return 0
    if first.is_help_asked and first.index >= len(words):
        from faena._lib.arguments.help import render_command

        print(render_command(core, "fa", _width(), then=AND_TASKS), end="")
        return 0
    for name in _COMFORTS:
        if options.get(name):
            from faena.cli.fa_comfort import do_comfort

            return do_comfort(name, options, first.rest or ())
    return None


_COMFORTS = ("complete", "print_completion_script", "init", "import_file")


def locate(options: dict[str, Any]) -> tuple[str, TaskFile | None, str]:
    """Where the tasks come from: the name looked for, the task file, else the folder with files of other tools.

    Raises CollectionNotFound.
    """
    from faena.runner.taskfile import find_task_file

    config = options.get("config")
    if config and config.endswith(".py") and _is_task_file(config):
        options["collection"] = config
        del options["config"]
    settings = task_settings(options, None)
    name: str = options.get("collection") or settings.collection_name
    start = options.get("search_root") or settings.search_root
    found = find_task_file(name, start)
    if found is not None:
        return name, found, found.folder
    from faena.runner.foreign.catalog import find_folder

    folder = find_folder(start) if name == "tasks" else None
    if folder is None:
        raise CollectionNotFound(name, os.path.abspath(start or os.getcwd()))
    return name, None, folder


def load(options: dict[str, Any]) -> Collection:
    """Find and load the task file that the options name; without one, the files of other tools."""
    _, found, folder = locate(options)
    if found is not None:
        from faena.runner.taskfile import collection_from, load_task_file

        settings = task_settings(options, folder)
        root = collection_from(found, load_task_file(found), auto_dash_names=settings.auto_dash_names)
        root.ignores_unknown_help = settings.ignore_unknown_help
        return root
    from faena.runner.collection import Collection
    from faena.runner.foreign.catalog import add_foreign

    root = Collection("tasks", loaded_from=folder)
    add_foreign(root)
    return root


def find_task(root: Collection, name: str) -> tuple[str, Task[..., Any]] | None:
    """A task by name: those of the task file first, and where it has none those of other tools' files."""
    found = root.find(name)
    if found is None and not root.has_foreign:
        from faena.runner.foreign.catalog import add_foreign

        add_foreign(root)
        found = root.find(name)
    return found


def unknown(word: str, root: Collection, where: str = "") -> UsageError:
    """The error for a word that is no task: the nearest one, or all that other tools' files have by that name."""
    several = [name for name in root.task_names if name.partition(":")[2] == word]
    if several:
        return UsageError(f"'{word}' stands in several files; say which: {', '.join(sorted(several))}")
    return UnknownCommand(word, root.task_names, where=where)


def _is_task_file(path: str) -> bool:
    """Whether a Python file given with `-f` declares tasks, and is no configuration."""
    try:
        with open(path, encoding="utf-8") as file:
            return "@task" in file.read()
    except OSError:
        return False


def _read_tasks(words: list[str], first: Parsed, core: CommandSpec, root: Collection) -> Line:
    line = Line()
    line.options = first.values
    line.is_help_asked = first.is_help_asked
    line.rest = first.rest or ()
    index = first.index
    while index < len(words):
        word = words[index]
        found = find_task(root, word)
        if found is None:
            raise unknown(word, root)
        name, task = found
        spec = task.command(name, ignore_unknown_help=root.ignores_unknown_help)
        parsed = parse(
            spec, words, start=index + 1, outer=core, stop_at_word=True, is_command=root.__contains__,
            check_missing=False,
        )  # fmt: skip
        line.options.update(parsed.outer)
        line.is_help_asked = line.is_help_asked or parsed.is_help_asked
        line.rest = parsed.rest or line.rest
        line.tasks.append((word, name, parsed))
        index = parsed.index
    if not line.is_help_asked:
        for _, _, parsed in line.tasks:
            require_all(parsed)
    return line


def _show_help(line: Line, core: CommandSpec, binary: str = "fa") -> int:
    from faena._lib.arguments.help import render_command

    for _, _, parsed in line.tasks:
        print(render_command(parsed.spec, f"{binary} [{binary} options] {parsed.spec.name}", _width()), end="")
    if not line.tasks:
        print(render_command(core, binary, _width(), then=AND_TASKS), end="")
    return 0


def _width() -> int:
    try:
        return int(os.environ.get("COLUMNS", "")) or 80
    except ValueError:
        pass
    try:
        return os.get_terminal_size().columns or 80
    except OSError:
        return 80


if __name__ == "__main__":
    sys.exit(main())
