"""Where values come from: the project's file, its `.env`, and the environment. The only place that reads `os.environ`.

The project is the nearest folder, upwards from the current one, with a `faena.toml` or with a `pyproject.toml` that has
a table `[tool.faena]`; without one, the nearest folder with any `pyproject.toml`; without one, the current folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from faena._lib.dotenv import read_dotenv
from faena.errors import ConfigurationError

PREFIX = "FAENA_"

# tables of the project file that belong to others, and are no settings
FOREIGN_TABLES = frozenset({"runner"})


class Entry(Struct, frozen=True):
    """A value as somebody wrote it. `where` names the place in the words of errors and of `explain`."""

    value: Any
    where: str
    is_text: bool = False  # from a file or the environment: texts are read by the setting's type


class Project(Struct, frozen=True):
    """The folder that the current one belongs to, and what its file says."""

    folder: str
    file: str | None = None  # the file with the settings, if there is one
    entries: dict[str, Entry] = {}


def read_environ() -> Mapping[str, str]:
    return os.environ


def find_project(cwd: str) -> Project:
    """Find the project of the folder `cwd` and read its file.

    Raises ConfigurationError: the file cannot be read, or there are two.
    """
    nearest_pyproject: str | None = None
    for folder in _upwards(cwd):
        own = os.path.join(folder, "faena.toml")
        shared = os.path.join(folder, "pyproject.toml")
        own_text, shared_text = _text_of(own), _text_of(shared)
        # reading TOML takes milliseconds, and most of these files do not speak of us
        table = _tool_table(shared, shared_text) if shared_text is not None and "faena" in shared_text else None
        if own_text is not None and table is not None and not FOREIGN_TABLES.issuperset(table):
            raise ConfigurationError(f"both {own} and [tool.faena] in {shared} hold settings; keep one of them")
        if own_text is not None:
            return Project(folder, own, _entries(_read_toml(own, own_text), own))
        if table is not None:
            return Project(folder, shared, _entries(table, f"{shared} [tool.faena]"))
        if shared_text is not None and nearest_pyproject is None:
            nearest_pyproject = folder
    return Project(nearest_pyproject or os.path.abspath(cwd))


def from_dotenv(folder: str) -> dict[str, Entry]:
    """Return the settings of the `.env` in `folder`, by their lower-case names."""
    path = os.path.join(folder, ".env")
    text = _text_of(path)
    if text is None or PREFIX not in text:
        return {}
    try:
        variables = read_dotenv(text)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return _from_variables(variables, f"{path}: ")


def from_environ(environ: Mapping[str, str]) -> dict[str, Entry]:
    """Return the settings among the environment's variables, by their lower-case names."""
    return _from_variables(environ, "environment ")


def _from_variables(variables: Mapping[str, str], where: str) -> dict[str, Entry]:
    return {
        name[len(PREFIX) :].lower(): Entry(value, where + name, is_text=True)
        for name, value in variables.items()
        if name.startswith(PREFIX)
    }


def _upwards(folder: str) -> Iterator[str]:
    folder = os.path.abspath(folder)
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def _text_of(path: str) -> str | None:
    """Return what the file holds, or None where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except PermissionError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error}") from None


def _tool_table(path: str, text: str) -> dict[str, Any] | None:
    tool = _read_toml(path, text).get("tool")
    table = tool.get("faena") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigurationError(f"{path}: tool.faena is no table; write [tool.faena] and the settings below it")
    return table


def _read_toml(path: str, text: str) -> dict[str, Any]:
    import tomllib  # some milliseconds, for those who have a file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None


def _entries(table: Mapping[str, Any], where: str) -> dict[str, Entry]:
    return {name: Entry(value, where, is_text=True) for name, value in table.items() if name not in FOREIGN_TABLES}
