"""Counts executions outside the queue: a file to which every attempt adds a line when it begins.

The queue's own books say what finished; this file says what was begun, whoever began it and however it ended, so that the
two can be held against each other. One `write` of a short line at the end of a file is not torn by another (POSIX,
`write`, O_APPEND), so processes need no lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from msgspec import Struct


class Attempt(Struct, frozen=True):
    """One line: a task began at a moment, in unix seconds."""

    task_id: str
    began_at_s: float


class Ledger:
    """The file of one run. Opened for each line: a task is not worth a descriptor that outlives it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def note(self, task_id: str, now_s: float) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{now_s!r} {task_id}\n".encode())
        finally:
            os.close(descriptor)

    def read(self) -> tuple[Attempt, ...]:
        """Return every attempt; no file, no attempts."""
        try:
            with open(self.path, encoding="utf-8") as lines:
                return tuple(_attempt_of(line) for line in lines)
        except FileNotFoundError:
            return ()


def repeated(attempts: Iterable[Attempt], finished_at_s: Mapping[str, float]) -> int:
    """Count the attempts that began after the one whose result was kept had finished.

    An attempt whose process was killed before its result was kept counts for nothing: its task had to run again.
    """
    return sum(attempt.began_at_s > finished_at_s.get(attempt.task_id, attempt.began_at_s) for attempt in attempts)


def _attempt_of(line: str) -> Attempt:
    moment, _, task_id = line.rstrip("\n").partition(" ")
    return Attempt(task_id, float(moment))
