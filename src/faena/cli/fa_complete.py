"""Completion: what may stand in the place of the last word of a line.

A task file is run only when it is new or changed: what it declares is kept in the user's cache folder, with the state of
every file that it came from. So a second Tab costs little more than starting, and completing in a folder again runs
nothing of it. What was kept is thrown away after a day, as a task file may ask other things than files.
"""

from __future__ import annotations

import os
import sys
import time

from faena._lib.arguments.parse import parse
from faena._lib.arguments.spec import CommandSpec, Parameter
from faena.errors import FaenaError, UsageError
from faena.runner import state
from faena.runner.files import digest
from faena.runner.listing import is_private
from faena.runner.options import fa_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from faena.runner.collection import Collection
    from faena.runner.taskfile import TaskFile

    Stat = tuple[int, int, int] | tuple[str, ...] | None

_LONGEST_S = 86_400.0
_KEYS = frozenset(("at", "files", "names", "tasks"))


def candidates_for(words: list[str]) -> list[str]:
    """What may stand in the place of the last word; the shell filters. Nothing where the line or file is broken."""
    core = here = fa_options()
    last = words[-1] if words else ""
    known = _Known()
    try:
        first = parse(core, words[:-1], stop_at_word=True)
        known = known_tasks(first.values)
        index = first.index
        while index < len(words) - 1:
            found = known.command(words[index])
            if found is None:
                return []
            here = found
            index = parse(
                here, words[:-1], start=index + 1, outer=core, stop_at_word=True, check_missing=False,
                is_command=lambda word: known.full_name(word) is not None,
            ).index  # fmt: skip
    except UsageError:
        return _values_or_flags(here, words, last)
    except FaenaError:
        return flags_of(core, last) if last.startswith("-") else []
    if last.startswith("-"):
        return flags_of(here, last)
    values = _values_or_flags(here, words, last)
    return values or known.names


def _values_or_flags(here: CommandSpec, words: list[str], last: str) -> list[str]:
    """The choices of the option before the last word."""
    before = words[-2] if len(words) > 1 else ""
    found = here.by_spelling.get(before)
    if found is not None and found[0].choices and not last.startswith("-"):
        return list(found[0].choices)
    return flags_of(here, last) if last.startswith("-") else []


def flags_of(here: CommandSpec, last: str) -> list[str]:
    """The flags of a command: long ones for `--`, all for `-`; those that say no come last."""
    wanted = [each for parameter in here.parameters if not parameter.hidden for each in parameter.spellings]
    if last.startswith("--"):
        wanted = [each for each in wanted if each.startswith("--")]
    negations = [each for parameter in here.parameters if parameter.default is True for each in parameter.negations]
    return wanted + negations


# -- what is known of a task file --------------------------------------------------------------------------


class _Known:
    """The names that a user may type, and the parameters of each task, as plain values."""

    def __init__(self, names: list[str] | None = None, tasks: dict[str, Any] | None = None) -> None:
        self.names = names or []
        self._tasks = tasks or {}  # by name and alias: the full name, or the parameters

    def full_name(self, word: str) -> str | None:
        for name in (word, word.replace("_", "-")):
            found = self._tasks.get(name)
            if found is not None:
                return found if isinstance(found, str) else name
        return None

    def command(self, word: str) -> CommandSpec | None:
        """The task of a word as a command to read the line against; values stay texts."""
        name = self.full_name(word)
        if name is None:
            return None
        parameters = [
            Parameter(each[0], each[1], spellings=each[2], negations=each[3], is_positional=each[4], is_required=each[5],
                      default=each[6], choices=each[7], hidden=each[8])
            for each in self._tasks[name]
        ]  # fmt: skip
        return CommandSpec(name, parameters)


def known_tasks(options: dict[str, Any]) -> _Known:
    """What the task file that the options name declares: from the cache, else by loading it.

    Raises FaenaError: there is none, or it cannot be used.
    """
    from faena.cli.fa import locate

    name, found, folder = locate(dict(options))
    path = _cache_path(name, found, folder)
    kept = state.load(path)
    if kept.keys() == _KEYS and time.time() - kept["at"] < _LONGEST_S and _are_as_they_were(kept["files"]):
        return _Known(kept["names"], kept["tasks"])
    root = _load_quietly(options)
    names, tasks = _described(root)
    try:
        state.save(path, {"at": time.time(), "files": _files_of(root), "names": names, "tasks": tasks})
    except OSError:  # no home, or one that is not ours: it is loaded again next time
        pass
    return _Known(names, tasks)


def _cache_path(name: str, found: TaskFile | None, folder: str) -> str:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    place = found.path if found is not None else folder
    return os.path.join(home, "faena", "completion", digest(place.encode(), name.encode()).hex())


def _load_quietly(options: dict[str, Any]) -> Collection:
    """Load the task file and the files beside it; what they print is no candidate."""
    from faena.cli.fa import load
    from faena.runner.foreign.catalog import add_foreign

    real = sys.stdout
    sys.stdout = sys.stderr
    try:
        root = load(dict(options))
        add_foreign(root)
    finally:
        sys.stdout = real
    return root


def _described(root: Collection) -> tuple[list[str], dict[str, Any]]:
    names: list[str] = []
    tasks: dict[str, Any] = {}
    for name, aliases in root.task_names.items():
        task = root[name]
        if not is_private(name):
            names += [name, *aliases]
        tasks[name] = [_plain(each) for each in task.command(name, ignore_unknown_help=True).parameters]
        for alias in aliases:
            tasks.setdefault(alias, name)
    for alias, name in root.hidden_aliases.items():
        tasks.setdefault(alias, name)
    return names, tasks


def _plain(each: Parameter) -> tuple[Any, ...]:
    default = each.default if isinstance(each.default, bool) else None
    return (
        each.name, each.shape, each.spellings, each.negations, each.is_positional, each.is_required, default,
        tuple(map(str, each.choices)), each.hidden,
    )  # fmt: skip


def _files_of(root: Collection) -> list[tuple[str, Stat]]:
    """The files that decide what tasks there are, with their states; those that are not there count as well."""
    from faena.runner.foreign.catalog import FILES

    folder = root.loaded_from or os.getcwd()
    inside = folder + os.sep
    paths = {
        os.path.join(folder, name) for name in (*FILES, "pyproject.toml", "faena.toml", "tasks.py", "tasks/__init__.py")
    }
    paths.update(os.path.join(folder, f"invoke.{suffix}") for suffix in ("yaml", "yml", "toml", "json", "py"))
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and path.startswith(inside) and "site-packages" not in path:
            paths.add(path)
            if os.path.dirname(path) != folder:  # a module may be added to a package of tasks
                paths.add(os.path.dirname(path) + os.sep)
    return [(path, _stat_of(path)) for path in sorted(paths)]


def _are_as_they_were(files: Iterable[tuple[str, Stat]]) -> bool:
    return all(_stat_of(path) == known for path, known in files)


def _stat_of(path: str) -> Stat:
    """What a file is now; of a folder, which modules it has."""
    try:
        if path.endswith(os.sep):
            return tuple(sorted(name for name in os.listdir(path) if name.endswith(".py")))
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
