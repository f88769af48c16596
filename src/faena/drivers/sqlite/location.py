"""Where the file is, and how it is to be used: from the URL and the options of an adapter."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from faena.errors import InvalidSetting

_SCHEME = "sqlite://"


class Location(Struct, frozen=True):
    """The file, as an absolute path without links, and what decides how a connection to it behaves."""

    path: str
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    busy_timeout_s: float = 5.0
    largest_message_bytes: int = 256 * 1024 * 1024
    max_pages: int | None = None  # a bound for the size of the file; None: the disk is the bound


def locate(url: str, options: Mapping[str, object]) -> Location:
    """Read `sqlite:///relative/path.db`, `sqlite:////absolute/path.db` or `sqlite://path.db`."""
    if not url.startswith(_SCHEME):
        raise InvalidSetting("url", url, f"it does not begin with {_SCHEME}")
    rest = url.removeprefix(_SCHEME)
    path = rest.removeprefix("/")
    if path in ("", ":memory:") or path.endswith("/") or "\0" in path:
        raise InvalidSetting("url", url, "it names no file; within one process, memory://name needs none")
    return _with_options(Location(os.path.realpath(os.path.expanduser(path))), options)


def _with_options(location: Location, options: Mapping[str, object]) -> Location:
    for name, value in options.items():
        match name, value:
            case "synchronous", "NORMAL" | "FULL":
                location = replace(location, synchronous=value)
            case "synchronous", _:
                raise InvalidSetting(name, value, "it is NORMAL or FULL")
            case "busy_timeout_s", int() | float() if value > 0:
                location = replace(location, busy_timeout_s=float(value))
            case "largest_message_bytes", int() if value > 0:
                location = replace(location, largest_message_bytes=value)
            case "max_pages", int() if value > 0:
                location = replace(location, max_pages=value)
            case (("busy_timeout_s" | "largest_message_bytes" | "max_pages"), _):
                raise InvalidSetting(name, value, "it is a number above zero")
            case _:
                raise InvalidSetting(name, value, "SQLite has no such option")
    return location
