"""`fa -w`: run again when a source changes.

Watched is everything below the task file's directory but for what starts with a dot and what tools leave behind: the
tasks' own fingerprints say what has to run. Changes while a run goes on start the next one when it has ended:
two never overlap. Each run is a process of its own, so that a changed task file counts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from faena.errors import Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from faena.runner.collection import Collection

_IGNORED = frozenset(("__pycache__", "node_modules", "dist", "build"))


def watch(words: list[str], root: Collection) -> int:
    """Run the line, and again after each change, until Ctrl-C."""
    try:
        from watchfiles import watch as changes
    except ImportError:
        raise Exit("fa: --watch needs watchfiles (pip install 'faena[watch]')") from None
    folder = root.loaded_from or os.getcwd()
    again = [sys.executable, "-m", "faena.cli.fa", *without_watch(words)]
    _run(again)
    print("fa: waiting for changes; Ctrl-C ends", file=sys.stderr, flush=True)
    for found in changes(folder, watch_filter=lambda _, path: is_watched(folder, path), raise_interrupt=False):
        names = sorted(os.path.relpath(path, folder) for _, path in found)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        print(f"fa: {names[0]}{more} changed", file=sys.stderr, flush=True)
        _run(again)
    return 130


def _run(words: list[str]) -> None:
    process = subprocess.Popen(words)
    try:
        process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def without_watch(words: Iterable[str]) -> list[str]:
    """The line without the wish to watch."""
    found = []
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    for index, word in enumerate(words):
        if index < end and word in ("-w", "--watch"):
            continue
        found.append(word)
    return found


def is_watched(folder: str, path: str) -> bool:
    """Whether a change of this file counts: nothing hidden, nothing that tools leave behind."""
    parts = os.path.relpath(path, folder).split(os.sep)
    return not any(part.startswith(".") or part in _IGNORED or part.endswith((".pyc", "~", ".tmp")) for part in parts)
