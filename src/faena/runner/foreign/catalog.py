"""Bring the tasks of other tools' files into the collection of the task file.

A name that is free goes to the one tool that has it; where the task file or two tools have it, each goes by
`make:NAME`, `npm:NAME`, `rake:NAME`. The name with its prefix always works.

Our tasks need theirs by name (`needs=["make:test"]`), and theirs ours where ours say so (`needed_by=["make:deploy"]`).
"""

from __future__ import annotations

import os
import sys

from faena.errors import TaskFileError, did_you_mean
from faena.runner.collection import Collection
from faena.runner.foreign import make, npm, rake

FILES = (*make.FILES, "package.json", *rake.FILES)


def find_folder(start: str | None = None) -> str | None:
    """The first folder from `start` upwards that holds a file of another tool."""
    folder = os.path.abspath(start or os.getcwd())
    while not any(os.path.isfile(os.path.join(folder, name)) for name in FILES):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return folder


def add_foreign(root: Collection) -> None:
    """Add the tasks of the files beside the task file, once; a file that its tool cannot read is told about."""
    folder = root.loaded_from
    if folder is None or root.has_foreign:
        return
    root.has_foreign = True
    found = []
    for module in (make, npm, rake):
        try:
            found.extend(module.read(folder))
        except TaskFileError as error:
            print(f"fa: {error}", file=sys.stderr)
    counts: dict[str, int] = {}
    for task in found:
        counts[task.name] = counts.get(task.name, 0) + 1
    for task in found:
        prefixed = f"{task.tool}:{task.name}"
        is_free = counts[task.name] == 1 and root.find(task.name) is None
        own = task.name if is_free else prefixed
        root.tasks[own] = task
        if own != prefixed:
            root.hidden_aliases[prefixed] = own
    _add_needs(root)


def _add_needs(root: Collection) -> None:
    """Let tasks of other tools need ours: those that say `needed_by=["make:deploy"]`.

    Raises TaskFileError: there is no such task.
    """
    for name, task in list(root.walk()):
        extras = task.options.extras
        for wanted in extras.needed_by if extras is not None else ():
            found = root.find(wanted)
            if found is None:
                hint = did_you_mean(wanted, [*root.task_names, *root.hidden_aliases])
                raise TaskFileError(f"task '{name}': needed_by names '{wanted}', which is no task{hint}")
            found[1].needs.append(task)
