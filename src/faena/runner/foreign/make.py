"""Targets of a Makefile, as make itself understands it: read from its database (`make -pRrq`).

The text of a Makefile tells little: variables, includes, conditions and pattern rules decide what targets there are.
Source: GNU make manual, "Options Summary", --print-data-base.
"""

from __future__ import annotations

import os

from faena.errors import TaskFileError
from faena.runner.foreign.task import ForeignTask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = ("GNUmakefile", "makefile", "Makefile")
_TIMEOUT_S = 30


def read(folder: str) -> list[ForeignTask]:
    """The targets of the folder's Makefile that a user may ask for.

    Raises TaskFileError: make is missing, or refuses the file.
    """
    name = next((each for each in FILES if os.path.isfile(os.path.join(folder, each))), None)
    if name is None:
        return []
    with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
        comments = dict(_comments(file.read()))
    found = [
        ForeignTask("make", target, ("make", "-f", name, target), folder, comments.get(target, ""), needs)
        for target, needs in targets_of(database_of(folder, name))
    ]
    return sorted(found, key=lambda each: each.name)


def database_of(folder: str, name: str) -> str:
    """All that make knows of a Makefile.

    Raises TaskFileError: make is missing, or refuses the file.
    """
    import subprocess

    # a goal that cannot exist: with none given, make would bring the Makefile's first target into play
    words = ["make", "-f", name, "-pRrq", "--no-print-directory", ":"]
    env = {**os.environ, "LC_ALL": "C", "MAKEFLAGS": ""}
    try:
        done = subprocess.run(
            words, cwd=folder, env=env, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise TaskFileError(f"{folder}/{name}: its targets need make, which is not on the PATH") from None
    except subprocess.TimeoutExpired:
        raise TaskFileError(f"{folder}/{name}: make did not answer within {_TIMEOUT_S} s") from None
    if "# Files" not in done.stdout:
        raise TaskFileError(f"{folder}/{name}: {done.stderr.strip() or 'make cannot read it'}")
    return done.stdout


def targets_of(database: str) -> Iterator[tuple[str, list[str]]]:
    """The targets in make's database with their prerequisites: no files that are only needed, no special ones."""
    section = database.partition("\n# Files\n")[2].partition("\n# files hash-table stats")[0]
    for block in section.split("\n\n"):
        lines = block.splitlines()
        if not lines or lines[0].startswith("# Not a target"):
            continue
        rule = next((line for line in lines if line and not line.startswith(("#", "\t"))), "")
        target, colon, rest = rule.partition(":")
        target = target.strip()
        if not colon or not target or target.startswith(".") or "%" in target or " " in target or target == ":":
            continue
        if "Makefile" in target or target in FILES:
            continue
        yield target, [each for each in rest.lstrip(":").replace("|", " ").split() if not each.startswith(".")]


def recipes_of(database: str) -> dict[str, list[str]]:
    """The commands of each target, with make's variables as make has them expanded where it shows them."""
    found: dict[str, list[str]] = {}
    for block in database.partition("\n# Files\n")[2].split("\n\n"):
        target = next((line for line in block.splitlines() if line and not line.startswith(("#", "\t"))), "")
        lines = [line[1:].lstrip("@") for line in block.splitlines() if line.startswith("\t")]
        found[target.partition(":")[0].strip()] = lines
    return found


def _comments(text: str) -> Iterator[tuple[str, str]]:
    """`target: needs ## words`, or a comment in the line above the target."""
    above = ""
    for line in text.splitlines():
        if line.startswith("#"):
            above = line.lstrip("# ").strip()
            continue
        head, colon, rest = line.partition(":")
        if colon and head and not line.startswith(("\t", " ", ".")) and not rest.startswith("="):
            words = rest.partition("##")[2].strip() or above
            for target in head.split():
                if words:
                    yield target, words
        above = ""
