"""What commands print, for people, pipes and programs."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest

from faena.cli.output import Output, ago, shown, size_of


@pytest.fixture
def out():
    return Output(stdout=io.StringIO(), stderr=io.StringIO())


def test_a_pipe_gets_columns_without_decoration(out):
    out.table(("queue", "waiting", "due in"), [("mail", 1234567, None), ("a b", 0, "3 s")], right="waiting")
    assert out.stdout.getvalue() == (
        "QUEUE    WAITING  DUE-IN\n"
        "mail   1,234,567  -\n"
        "a b            0  3 s\n"
    )  # fmt: skip


def test_a_cell_of_several_lines_stays_in_its_row(out):
    out.table(("a",), [("one\ntwo",)])
    assert out.stdout.getvalue() == "A\none two\n"


def test_an_empty_table_is_a_remark(out):
    out.table(("a",), [], empty="nothing")
    assert (out.stdout.getvalue(), out.stderr.getvalue()) == ("", "nothing\n")


def test_quiet_leaves_out_remarks_but_no_answers():
    out = Output(is_quiet=True, stdout=io.StringIO(), stderr=io.StringIO())
    out.remark("a remark")
    out.line("an answer")
    assert (out.stdout.getvalue(), out.stderr.getvalue()) == ("an answer\n", "")


def test_json_holds_what_json_has_no_word_for(out):
    out.json(
        {"at": datetime(2030, 1, 31, tzinfo=UTC), "path": PurePosixPath("/x"), "route": test_an_empty_table_is_a_remark}
    )
    assert json.loads(out.stdout.getvalue()) == {
        "at": "2030-01-31T00:00:00Z",
        "path": "/x",
        "route": f"{__name__}.test_an_empty_table_is_a_remark",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0, "0 s"), (0.25, "250 ms"), (1, "1 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_durations_are_said_as_people_do(seconds, text):
    assert ago(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "2 KiB"), (5 * 1024**3, "5 GiB"), (2 * 1024**4, "2.0 TiB")]
)
def test_sizes_are_said_as_people_do(size, text):
    assert size_of(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("x", "x"), (None, "none"), (True, "true"), ([1, "a"], '[1,"a"]'), ({"a": 1.5}, '{"a":1.5}'), (float("nan"), "null")],
)
def test_values_are_shown_as_json_but_for_texts(value, text):
    assert shown(value) == text


def test_what_would_move_the_cursor_is_spelled_out(out):
    out.complain("no task '\x1b[31mred\r\x9b' here\nhelp:\tyes")
    assert out.stderr.getvalue() == "faena: no task '\\x1b[31mred\\x0d\\x9b' here\nhelp:\tyes\n"
