"""Read the statements of a `.sql` file of this package: each stands under a line `-- name: <name>`."""

from __future__ import annotations

import os
from types import SimpleNamespace

_FOLDER = os.path.join(os.path.dirname(__file__), "sql")


def text_of(file: str) -> str:
    with open(os.path.join(_FOLDER, f"{file}.sql"), encoding="utf-8") as stream:
        return stream.read()


def statements_of(file: str) -> SimpleNamespace:
    """Return the statements of `<file>.sql` as attributes."""
    found: dict[str, str] = {}
    for part in text_of(file).split("-- name: ")[1:]:
        name, _, statement = part.partition("\n")
        found[name.strip()] = statement.strip()
    return SimpleNamespace(**found)
