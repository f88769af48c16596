"""The scripts: one for each verb, in `lua/*.lua`, sent by their hash.

The first line of a script may name the parts that it is built with (`--! moment wake`): `lua/part_*.lua`. They come first,
or where a line says `--! parts`: making their functions takes longer than the usual case, which may need none. Where that
line names some itself (`--! parts together`), these come there, and the others first.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache

_FOLDER = os.path.join(os.path.dirname(__file__), "lua")


class Script:
    """A script and its hash."""

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, source: bytes) -> None:
        self.name, self.source = name, source
        self.sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()


@cache
def script(name: str) -> Script:
    """Return the script, built of its parts."""
    text = _read(name)
    first = text.partition("\n")[0]
    parts = first.removeprefix("--!").split() if first.startswith("--!") else []
    early, _, late = text.rpartition("--! parts")
    named, _, late = late.partition("\n") if early else ("", "", late)
    head, there = (parts, named.split()) if named else ([], parts)
    whole = ["local P = KEYS[1]\n", *map(_part, head), early, *map(_part, there), late]
    return Script(name, "".join(whole).encode())


def _part(name: str) -> str:
    return _read(f"part_{name}")


def _read(name: str) -> str:
    with open(os.path.join(_FOLDER, f"{name}.lua"), encoding="utf-8") as file:
        return file.read()
