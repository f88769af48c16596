"""What the configuration says about task files themselves: `tasks.collection_name`, `search_root`, `auto_dash_names` ...

These are needed before there is a task file, and hardly ever set: unless some file or variable could set them, no
configuration is read.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SUFFIXES = ("yaml", "yml", "toml", "json", "py")  # those of `config_files`, which is loaded only where there is one
_NAMES = ("auto_dash_names", "collection_name", "dedupe", "executor_class", "ignore_unknown_help", "search_root")


class TaskSettings:
    """The values of `tasks.*` that decide how task files are found and read."""

    __slots__ = _NAMES

    def __init__(self, values: dict[str, Any]) -> None:
        self.auto_dash_names = bool(values.get("auto_dash_names", True))
        self.collection_name = str(values.get("collection_name") or "tasks")
        self.dedupe = bool(values.get("dedupe", True))
        self.executor_class: str | None = values.get("executor_class")
        self.ignore_unknown_help = bool(values.get("ignore_unknown_help", False))
        self.search_root: str | None = values.get("search_root")


def task_settings(options: dict[str, Any], folder: str | None) -> TaskSettings:
    """The settings as far as they can be known: those of the project's file only with its folder."""
    if not _may_be_set(options, folder):
        return TaskSettings({})
    from faena.cli.fa_run import base_config

    config = base_config(options, folder)
    config.load_shell_env()
    return TaskSettings(config._data.get("tasks", {}))


def _may_be_set(options: dict[str, Any], folder: str | None) -> bool:
    environ = os.environ
    if any(f"INVOKE_TASKS_{name.upper()}" in environ for name in _NAMES):
        return True
    if options.get("config") or "INVOKE_RUNTIME_CONFIG" in environ:
        return True
    prefixes = ["/etc/invoke.", os.path.expanduser("~/.invoke.")]
    if folder is not None:
        prefixes.append(os.path.join(folder, "invoke."))
        projects = [os.path.join(folder, name) for name in ("pyproject.toml", "faena.toml")]
        if any(os.path.isfile(each) and _speaks_of_tasks(each) for each in projects):
            return True
    return any(os.path.isfile(prefix + suffix) for prefix in prefixes for suffix in _SUFFIXES)


def _speaks_of_tasks(path: str) -> bool:
    """Whether a file may set what we ask for: reading TOML takes milliseconds."""
    with open(path, "rb") as file:
        content = file.read()
    return any(name.encode() in content for name in _NAMES)
