"""Counts executions outside the queue: a file to which every attempt adds a line when it begins and when it has ended.

The queue's own books say what finished; this file says what was really run, whoever ran it and however it ended, so that
the two can be held against each other. One `write` of a short line at the end of a file is not torn by another (POSIX,
`write`, O_APPEND), so processes need no lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from msgspec import Struct


class Mark(StrEnum):
    BEGAN = "began"
    ENDED = "ended"  # for good: with a result, or without one and no retry left


class Executions(Struct, frozen=True):
    """What a ledger says. `repeated` counts attempts of tasks that had ended before."""

    begun: int
    ended: int
    repeated: int


class Ledger:
    """The file of one run. Opened for each line: a task is not worth a descriptor that outlives it."""

    def __init__(self, path: str) -> None:
        self.path = path

    @contextmanager
    def attempt(self, task_id: str, *, ends_with: tuple[type[Exception], ...]) -> Iterator[None]:
        """Note that an attempt begins, and that its task has ended: when it returns, or raises one of `ends_with`."""
        self.note(Mark.BEGAN, task_id)
        try:
            yield
        except ends_with:
            self.note(Mark.ENDED, task_id)
            raise
        self.note(Mark.ENDED, task_id)

    def note(self, mark: Mark, task_id: str) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{mark} {task_id}\n".encode())
        finally:
            os.close(descriptor)

    def read(self) -> Executions:
        """Count what stands in the file; no file, no executions."""
        try:
            with open(self.path, encoding="utf-8") as lines:
                return count(lines)
        except FileNotFoundError:
            return Executions(0, 0, 0)


def count(lines: Iterable[str]) -> Executions:
    """Count the lines of a ledger."""
    begun = repeated = 0
    ended: set[str] = set()
    for line in lines:
        mark, _, task_id = line.rstrip("\n").partition(" ")
        if mark == Mark.BEGAN:
            begun += 1
            repeated += task_id in ended
        elif mark == Mark.ENDED:
            ended.add(task_id)
    return Executions(begun, len(ended), repeated)
