"""Counting executions."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faena.cli.demo.ledger import Attempt, Ledger, repeated


def test_no_file_means_that_nothing_has_run(tmp_path: Path) -> None:
    assert Ledger(str(tmp_path / "none")).read() == ()


def test_what_was_noted_is_read_exactly(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path / "executions.log"))
    ledger.note("a", 1795381522.6421359)
    ledger.note("b", 0.1)
    assert ledger.read() == (Attempt("a", 1795381522.6421359), Attempt("b", 0.1))
    assert os.stat(ledger.path).st_mode & 0o777 == 0o600


def test_an_attempt_after_the_one_whose_result_was_kept_is_a_repetition() -> None:
    assert repeated([Attempt("a", 1.0), Attempt("a", 3.0)], {"a": 2.0}) == 1


def test_a_retry_and_an_attempt_that_was_cut_off_are_no_repetition() -> None:
    attempts = [Attempt("a", 1.0), Attempt("a", 3.0), Attempt("b", 1.5)]
    assert repeated(attempts, {"a": 4.0}) == 0


def test_lines_of_many_writers_are_not_torn(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path / "executions.log"))
    ids = [f"{at:032x}" for at in range(400)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda task_id: ledger.note(task_id, 1.5), ids))
    assert sorted(attempt.task_id for attempt in ledger.read()) == ids
