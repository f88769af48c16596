"""Tasks of a Rakefile, as rake itself lists them (`rake -AT`, `rake -P`)."""

from __future__ import annotations

import os

from faena.errors import TaskFileError
from faena.runner.foreign.task import ForeignTask

FILES = ("Rakefile", "rakefile", "Rakefile.rb", "rakefile.rb")
_TIMEOUT_S = 60


def read(folder: str) -> list[ForeignTask]:
    """The tasks of the folder's Rakefile, those without a description too.

    Raises TaskFileError: rake is missing, or refuses the file.
    """
    name = next((each for each in FILES if os.path.isfile(os.path.join(folder, each))), None)
    if name is None:
        return []
    summaries = dict(summaries_of(_ask(folder, name, "-AT")))
    return [
        ForeignTask("rake", task, ("rake", "-f", name, task), folder, summaries.get(task, ""), needs)
        for task, needs in sorted(needs_of(_ask(folder, name, "-P")).items())
    ]


def _ask(folder: str, name: str, flag: str) -> str:
    import subprocess

    try:
        done = subprocess.run(
            ["rake", "-f", name, flag], cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise TaskFileError(f"{folder}/{name}: its tasks need rake, which is not on the PATH") from None
    except subprocess.TimeoutExpired:
        raise TaskFileError(f"{folder}/{name}: rake did not answer within {_TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise TaskFileError(f"{folder}/{name}: {done.stderr.strip()}")
    return done.stdout


def summaries_of(listing: str) -> list[tuple[str, str]]:
    """`rake build[target]  # Build it` as (build, Build it)."""
    found = []
    for line in listing.splitlines():
        head, _, words = line.partition("#")
        name = head.removeprefix("rake ").strip().partition("[")[0]
        if name:
            found.append((name, words.strip()))
    return found


def needs_of(listing: str) -> dict[str, list[str]]:
    """Tasks with their prerequisites, from lines `rake NAME` and indented ones below."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in listing.splitlines():
        if line.startswith("rake "):
            name = line.removeprefix("rake ").strip()
            found[name] = []
        elif line.strip() and name:
            found[name].append(line.strip())
    return found
