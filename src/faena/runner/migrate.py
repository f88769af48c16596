"""Write a task file from a Makefile, package.json or Rakefile: a start for moving, to be read before it is used.

The commands of make targets are taken from make's own database, so that variables and includes are those of make.
"""

from __future__ import annotations

import json
import os

from faena.errors import TaskFileError

_HEAD = '"""Tasks, taken over from {name}. Read them before you rely on them."""\n\nfrom faena import task\n'


def task_file_from(path: str) -> str:
    """The text of a task file with the tasks of another tool's file.

    Raises TaskFileError: it is no file of a tool that is known.
    """
    name = os.path.basename(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isfile(path):
        raise TaskFileError(f"{path}: no such file")
    if name == "package.json":
        tasks = _from_npm(path)
    elif name.lower().endswith("makefile"):
        tasks = _from_make(folder, name)
    elif name.lower().startswith("rakefile"):
        tasks = _from_rake(folder)
    else:
        raise TaskFileError(f"{path}: no Makefile, package.json or Rakefile")
    return _HEAD.format(name=name) + "".join(tasks)


def _task(name: str, commands: list[str], needs: list[str], summary: str) -> str:
    own = "".join(letter if letter.isalnum() else "_" for letter in name)
    own = f"_{own}" if own[:1].isdigit() else own
    options = []
    if own.replace("_", "-") != name and own != name:
        options.append(f"name={name!r}")
    if needs:
        options.append(f"pre={needs!r}")
    lines = ["", "", f"@task({', '.join(options)})" if options else "@task", f"def {own}(c):"]
    if summary:
        lines.append(f"    {json.dumps(summary, ensure_ascii=False)}")
    lines += [f"    c.run({command!r})" for command in commands] or ([] if summary else ["    pass"])
    return "\n".join(lines) + "\n"


def _from_npm(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        package = json.load(file)
    scripts = package.get("scripts") or {}
    found = []
    for name, text in scripts.items():
        needs = [f"pre{name}"] if f"pre{name}" in scripts else []
        found.append(_task(name, [str(text)], needs, ""))
    return found


def _from_make(folder: str, name: str) -> list[str]:
    from faena.runner.foreign.make import database_of, read, recipes_of

    recipes = recipes_of(database_of(folder, name))
    names = {task.name for task in read(folder)}
    return [
        _task(task.name, recipes.get(task.name, []), [each for each in task.needs_names if each in names], task.comment)
        for task in read(folder)
    ]


def _from_rake(folder: str) -> list[str]:
    from faena.runner.foreign.rake import read

    return [_task(task.name, [" ".join(task.argv)], [], task.comment) for task in read(folder)]
