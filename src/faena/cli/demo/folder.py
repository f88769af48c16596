"""Where a run lives on disk, and which files it is about.

    .faena-demo/
    ├── plan.json       what the run is: its id, its files; written before anything is sent
    ├── faena.db        the embedded broker and backend
    ├── executions.log  the ledger
    ├── worker.log
    ├── report.html
    ├── faena.toml      empty: the settings of the project around us end here
    └── lock            held by the demo and by its worker: a run is never resumed beside a worker of its own

The plan names the files once and for all: a resumed run is about the same ones, whatever was added meanwhile.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Self

import msgspec
from msgspec import Struct

from faena.errors import UsageError

NAME = ".faena-demo"
SKIPPED = frozenset({"site-packages", "dist-packages", "__pycache__", "node_modules"})


class Plan(Struct, frozen=True):
    """One run. `files` are paths below `root`, with forward slashes."""

    run_id: str
    root: str
    files: tuple[str, ...]
    began_at_s: float
    finished_at_s: float | None = None

    def task_id(self, file: str) -> str:
        """Return the id of the task for a file: the same whenever it is asked for, so that nothing is sent twice."""
        return hashlib.sha256(f"{self.run_id}/{file}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


class RunFolder:
    """The folder of a run. Use as a context manager: entered, it is ours alone."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.lock = -1

    def __enter__(self) -> Self:
        """Take the folder. Raises UsageError: it is in use, or cannot be written."""
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            self.lock = os.open(self._in("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._write(".gitignore", "*\n")
            self._write("faena.toml", "")
        except OSError as error:
            raise UsageError(f"cannot keep the demo in {self.path}: {error.strerror}; use another folder") from error
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._let_go()
            raise UsageError(
                f"a demo is at work in {self.path}, or its worker is still stopping; wait, or use another folder"
            ) from None
        return self

    def __exit__(self, *exc: object) -> None:
        self._let_go()

    @property
    def url(self) -> str:
        return "sqlite:///" + self._in("faena.db")

    @property
    def ledger(self) -> str:
        return self._in("executions.log")

    @property
    def log(self) -> str:
        return self._in("worker.log")

    @property
    def report(self) -> str:
        return self._in("report.html")

    def read_plan(self) -> Plan | None:
        """Return the plan that stands here. Raises UsageError where it cannot be read."""
        try:
            with open(self._in("plan.json"), "rb") as file:
                return msgspec.json.decode(file.read(), type=Plan)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(f"{self._in('plan.json')} is no plan: {error}; begin again with --fresh") from error

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan as a whole: an interruption leaves the old one or the new one."""
        new = self._in("plan.json.new")
        with open(new, "wb") as file:
            file.write(msgspec.json.encode(plan))
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._in("plan.json"))

    def clear(self, *, but: Sequence[str] = ()) -> None:
        """Remove what the run has left, but what marks the folder and the named files."""
        kept = {"lock", ".gitignore", "faena.toml", *(os.path.basename(each) for each in but)}
        for entry in os.scandir(self.path):
            if entry.name in kept:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    def remove(self) -> None:
        """Remove the folder itself."""
        shutil.rmtree(self.path)

    def _in(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _write(self, name: str, text: str) -> None:
        with open(self._in(name), "w", encoding="utf-8") as file:
            file.write(text)

    def _let_go(self) -> None:
        if self.lock >= 0:
            os.close(self.lock)  # frees the lock, unless the worker still holds its copy
            self.lock = -1


def find_modules(root: str) -> tuple[str, ...]:
    """Return every `.py` file below `root`, sorted, but for installed packages and hidden folders."""
    return tuple(sorted(_walk(root)))


def is_text(name: str) -> bool:
    """Whether a file's name can be written down: one of other bytes than UTF-8 reads as surrogates (PEP 383)."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def spread(files: Sequence[str], limit: int | None) -> tuple[str, ...]:
    """Return at most `limit` of the files, evenly spread over all of them."""
    if limit is None or limit >= len(files):
        return tuple(files)
    return tuple(files[at * len(files) // limit] for at in range(limit))


def _walk(root: str) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED and not name.startswith(".")]
        inside = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if inside == "." else inside + "/"
        yield from (prefix + name for name in files if name.endswith(".py") and not name.startswith("."))
