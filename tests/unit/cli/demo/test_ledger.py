"""Counting executions."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faena.cli.demo.ledger import Executions, Ledger, Mark, count


def test_no_file_means_that_nothing_has_run(tmp_path: Path) -> None:
    assert Ledger(str(tmp_path / "none")).read() == Executions(0, 0, 0)


def test_an_attempt_after_the_end_is_a_repetition() -> None:
    assert count(["began a\n", "ended a\n", "began a\n", "ended a\n"]) == Executions(begun=2, ended=1, repeated=1)


def test_a_retry_and_an_interrupted_attempt_are_no_repetition() -> None:
    assert count(["began a\n", "began a\n", "ended a\n", "began b\n"]) == Executions(begun=3, ended=1, repeated=0)


def test_an_attempt_ends_its_task_by_returning_or_by_an_error_that_is_final(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path / "executions.log"))
    with pytest.raises(OSError), ledger.attempt("a", ends_with=()):
        raise OSError
    assert ledger.read() == Executions(1, 0, 0)
    with pytest.raises(OSError), ledger.attempt("a", ends_with=(OSError,)):
        raise OSError
    with ledger.attempt("b", ends_with=()):
        pass
    assert ledger.read() == Executions(3, 2, 0)


def test_lines_of_many_writers_are_not_torn(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path / "executions.log"))
    ids = [f"{at:032x}" for at in range(400)]

    def work(task_id: str) -> None:
        ledger.note(Mark.BEGAN, task_id)
        ledger.note(Mark.ENDED, task_id)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, ids))
    assert ledger.read() == Executions(400, 400, 0)
    assert os.stat(ledger.path).st_mode & 0o777 == 0o600
