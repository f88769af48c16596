"""Scripts of a package.json, run by the package manager whose lock file lies beside it."""

from __future__ import annotations

import json
import os

from faena.errors import TaskFileError
from faena.runner.foreign.task import ForeignTask

_LOCKS = (
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("bun.lockb", "bun"),
    ("bun.lock", "bun"),
    ("package-lock.json", "npm"),
)


def manager_of(folder: str, package: dict[str, object]) -> str:
    """The package manager: what `packageManager` says, else whose lock file is there, else npm."""
    named = str(package.get("packageManager", "")).partition("@")[0]
    if named in ("npm", "pnpm", "yarn", "bun"):
        return named
    return next((manager for lock, manager in _LOCKS if os.path.exists(os.path.join(folder, lock))), "npm")


def read(folder: str) -> list[ForeignTask]:
    """The scripts of the folder's package.json.

    Raises TaskFileError: it is no JSON.
    """
    path = os.path.join(folder, "package.json")
    if not os.path.isfile(path):
        return []
    try:
        with open(path, encoding="utf-8") as file:
            package = json.load(file)
    except ValueError as error:
        raise TaskFileError(f"{path}: {error}") from None
    scripts = package.get("scripts") if isinstance(package, dict) else None
    if not isinstance(scripts, dict):
        return []
    manager = manager_of(folder, package)
    words = (manager, "run") if manager != "npm" else ("npm", "run", "--silent")
    # npm keeps words for itself unless two dashes stand before them; the others hand all of them on
    end = ("--",) if manager == "npm" else ()
    return [ForeignTask("npm", name, (*words, name, *end), folder, str(text)) for name, text in sorted(scripts.items())]
