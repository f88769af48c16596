"""Read configuration files of task files: YAML, TOML, JSON and Python, and `.env`."""

from __future__ import annotations

import os
import sys

from faena.errors import ConfigurationError, UnknownFileType, UnpicklableConfigMember

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUFFIXES = ("yaml", "yml", "toml", "json", "py")
# files that others own, too; the queue's settings know that `runner` is ours
_TABLES = (
    ("faena.toml", ("runner",), b"runner"),
    ("pyproject.toml", ("tool", "faena", "runner"), b"faena"),
    ("pyproject.toml", ("tool", "invoke"), b"invoke"),
)


def read_first(prefix: str) -> tuple[str, dict[str, Any]]:
    """Read the first of `prefix.yaml`, `.yml`, `.toml`, `.json`, `.py` that exists."""
    for suffix in SUFFIXES:
        path = f"{prefix}.{suffix}"
        if os.path.isfile(path):
            return path, read_file(path)
    return "", {}


def read_project(folder: str, prefix: str = "invoke") -> tuple[str, dict[str, Any]]:
    """Read the project's file: `invoke.*`, else `[runner]` of faena.toml, else a table of pyproject.toml."""
    path, values = read_first(os.path.join(folder, prefix))
    if path or prefix != "invoke":  # a program of its own has no part of pyproject.toml
        return path, values
    for file, names, word in _TABLES:
        path = os.path.join(folder, file)
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as opened:
            content = opened.read()
        if word not in content:  # reading TOML takes milliseconds, and most files do not speak of us
            continue
        here: Any = _toml(path, content)
        for name in names:
            here = here.get(name) if isinstance(here, dict) else None
        if isinstance(here, dict):
            return f"{path} [{'.'.join(names)}]", here
    return "", {}


def read_file(path: str) -> dict[str, Any]:
    """Read one file.

    Raises ConfigurationError: it is missing or broken; UnknownFileType: its suffix says no known kind.
    """
    suffix = path.rpartition(".")[2].lower()
    if suffix not in SUFFIXES:
        raise UnknownFileType(f"{path}: a configuration file ends in one of {', '.join(SUFFIXES)}")
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    if suffix == "py":
        return _python(path, content)
    if suffix == "toml":
        return _toml(path, content)
    values = _json(path, content) if suffix == "json" else _yaml(path, content)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: holds no names with values, but a {type(values).__name__}")
    return values


def _json(path: str, content: bytes) -> Any:
    import json

    try:
        return json.loads(content)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _toml(path: str, content: bytes) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _yaml(path: str, content: bytes) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]  # stubs would be one more thing to install
    except ImportError:
        raise ConfigurationError(f"{path}: reading YAML needs PyYAML (pip install pyyaml), or write TOML") from None
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _python(path: str, content: bytes) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__file__": path, "__name__": "config"}
    exec(compile(content, path, "exec"), namespace)  # noqa: S102  a configuration file in Python is a program
    values = {key: value for key, value in namespace.items() if not key.startswith("__")}
    module_type = type(sys)
    for key, value in values.items():
        if isinstance(value, module_type):
            raise UnpicklableConfigMember(f"{path}: '{key}' is a module, which is no value for a configuration")
    return values


def read_dotenv(path: str) -> dict[str, str]:
    """The variables of a `.env` file.

    Raises ConfigurationError: a line is no assignment.
    """
    from faena._lib.dotenv import read_dotenv as read

    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        return read(text)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
