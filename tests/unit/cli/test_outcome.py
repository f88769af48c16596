"""What is said of a task that was waited for."""

from __future__ import annotations

import pytest

from faena.cli.outcome import error_of, exit_code_of, iso, local, progress_text
from faena.model.result import Failure, ResultRecord, State


@pytest.mark.parametrize(
    ("meta", "text"),
    [
        ({"current": 3, "total": 10, "text": "files"}, "3/10 (30%) files"),
        ({"current": 3, "total": None, "text": ""}, "3"),
        ({"current": 0.5, "total": 1}, "0.5/1 (50%)"),
        ({"step": "copy"}, '{"step":"copy"}'),
        ("half way", "half way"),
        (None, ""),
        (ValueError("x"), ""),
    ],
)
def test_progress_is_a_line(meta, text):
    assert progress_text(meta) == text


@pytest.mark.parametrize(
    ("state", "code"),
    [(State.SUCCESS, 0), (State.PENDING, 0), ("MINE", 0), (State.FAILURE, 1), (State.REVOKED, 1), (State.UNKNOWN, 1)],
)
def test_only_an_end_without_success_is_a_failure(state, code):
    assert exit_code_of(state) == code


def test_the_error_of_a_record_is_a_line():
    failed = ResultRecord("1", "t", State.FAILURE, failure=Failure("builtins", "ValueError", "no"))
    silent = ResultRecord("1", "t", State.FAILURE, failure=Failure("builtins", "KeyError", ""))
    assert error_of(failed) == "ValueError: no"
    assert error_of(silent) == "KeyError"
    assert error_of(ResultRecord("1", "t", State.REVOKED)) == "revoked"
    assert error_of(ResultRecord("1", "t", State.SUCCESS)) == ""


def test_moments_are_shown_also_where_no_calendar_has_them():
    assert iso(0.0) == "1970-01-01T00:00:00.000+00:00"
    assert iso(None) is None
    assert [iso(moment_s)[:4] for moment_s in (-1e19, 1e12, 1e19)] == ["0005", "9999", "9999"]
    assert local(1e19).startswith("9999-12-")
    assert local(-1e19)
