"""Find and load task files.

A `tasks.py`, a `tasks/` package, or the module named; looked for from a directory upwards. The working directory does
not change; the file's directory goes on `sys.path`, and the interpreter keeps its byte code.
"""

from __future__ import annotations

import os
import sys
from time import time

from faena.errors import CollectionNotFound, TaskFileError
from faena.runner.collection import Collection

YOUNG_S = 2.0

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


class TaskFile:
    """Where a task file is: its directory, its path, and the module name it is loaded under."""

    __slots__ = ("folder", "module", "path")

    def __init__(self, folder: str, path: str, module: str) -> None:
        self.folder = folder
        self.path = path
        self.module = module


def find_task_file(name: str = "tasks", start: str | None = None) -> TaskFile | None:
    """Walk up from `start` to the first directory that has `NAME.py` or `NAME/`.

    `name` may also be a path to a file.
    """
    start = start or os.getcwd()
    if name.endswith(".py") or os.sep in name:
        path = os.path.abspath(os.path.join(start, name))
        if os.path.isdir(path):
            return _in_folder(os.path.dirname(path), os.path.basename(path))
        if not os.path.isfile(path):
            raise TaskFileError(f"{path}: no such file")
        return TaskFile(os.path.dirname(path), path, os.path.basename(path).removesuffix(".py"))
    folder = os.path.abspath(start)
    while True:
        found = _in_folder(folder, name)
        if found is not None:
            return found
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _in_folder(folder: str, name: str) -> TaskFile | None:
    relative = name.replace(".", os.sep)
    path = os.path.join(folder, relative)
    if os.path.isfile(f"{path}.py"):
        return TaskFile(folder, f"{path}.py", name)
    for entry in ("__init__.py", "__init__.pyi"):
        if os.path.isfile(os.path.join(path, entry)):
            return TaskFile(folder, os.path.join(path, entry), name)
    if os.path.isdir(path) and any(each.endswith(".py") for each in os.listdir(path)):
        return TaskFile(folder, path, name)
    return None


def load_task_file(found: TaskFile) -> ModuleType:
    """Import a task file. What its code raises goes through."""
    if found.folder not in sys.path:
        sys.path.insert(0, found.folder)
    install_alias()
    module = sys.modules.get(found.module)
    if module is not None and _file_of(module) == found.path:
        return module
    if found.module.isidentifier() or "." in found.module:
        sys.modules.pop(found.module, None)
        _import(found)
        module = sys.modules[found.module]
        if os.path.isdir(found.path) or _file_of(module) == found.path:
            return module
    return _load_path(found)


def _import(found: TaskFile) -> None:
    """Import the module; one that was changed just now leaves no byte code.

    Python knows byte code to be stale by the source's size and its time in whole seconds (importlib,
    `_bootstrap_external`): a second change within the same second would go unseen.
    """
    keeps = sys.dont_write_bytecode
    try:
        if time() - os.stat(found.path).st_mtime < YOUNG_S:
            sys.dont_write_bytecode = True
        __import__(found.module)
    finally:
        sys.dont_write_bytecode = keeps


def _file_of(module: Any) -> str:
    return os.path.abspath(getattr(module, "__file__", None) or "/")


def _load_path(found: TaskFile) -> ModuleType:
    """Load a file whose name is no module's, or whose module name something else has."""
    from importlib.util import module_from_spec, spec_from_file_location

    name = "".join(letter if letter.isalnum() else "_" for letter in found.module)
    spec = spec_from_file_location(f"{name}_task_file", found.path)
    if spec is None or spec.loader is None:
        raise TaskFileError(f"{found.path}: no Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def collection_from(found: TaskFile, module: ModuleType, *, auto_dash_names: bool = True) -> Collection:
    """The tasks of a loaded task file; a folder without `__init__.py` is a namespace of its modules."""
    if not os.path.isdir(found.path):
        return Collection.from_module(module, loaded_from=found.folder, auto_dash_names=auto_dash_names)
    root = Collection(found.module, auto_dash_names=auto_dash_names, loaded_from=found.folder)
    for entry in sorted(os.listdir(found.path)):
        if entry.endswith(".py") and not entry.startswith("_"):
            name = f"{found.module}.{entry[:-3]}"
            __import__(name)
            sub = Collection.from_module(sys.modules[name], auto_dash_names=auto_dash_names)
            if sub.tasks or sub.collections:
                root.add_collection(sub)
    return root


def load_root(name: str = "tasks", start: str | None = None, *, auto_dash_names: bool = True) -> Collection:
    """Find and load the task file and return its collection.

    Raises CollectionNotFound.
    """
    found = find_task_file(name, start)
    if found is None:
        raise CollectionNotFound(name, os.path.abspath(start or os.getcwd()))
    return collection_from(found, load_task_file(found), auto_dash_names=auto_dash_names)


class InvokeFinder:
    """Answers `import invoke` with our own API, so that a task file written for Invoke runs as it is."""

    @staticmethod
    def find_spec(name: str, _path: Any = None, _target: Any = None) -> Any:
        if name != "invoke" and not name.startswith("invoke."):
            return None
        from faena.runner.invoke_alias import spec_of

        return spec_of(name)


def install_alias() -> None:
    """Put the alias of Invoke in place, once."""
    if InvokeFinder not in sys.meta_path:
        sys.meta_path.insert(0, InvokeFinder)
