"""The report as text."""

from __future__ import annotations

import io

from rich.console import Console

from faena.cli.demo.analysis import analyse_source
from faena.cli.demo.survey import Analysed, Failed, Survey, Timing, survey
from faena.cli.demo.table import print_survey


def printed(value: Survey, **options: object) -> str:
    stream = io.StringIO()
    print_survey(Console(file=stream, width=100, **options), value)  # type: ignore[arg-type]
    return stream.getvalue()


def sample(modules: int = 2) -> Survey:
    facts = analyse_source(b"def walk(x):\n    return [y for y in x if y]\n")
    analysed = [Analysed(f"p{n}/[m].py", facts, 0, 0.25, 100.0 + n, n) for n in range(modules)]
    failed = [Failed("bad.py", "line 1: [red]no", 2, False)]
    return survey("/lib", "3.11", analysed, failed, Timing(99.0, 3.0, 2, 3, 0, 5, 0))


def test_in_a_pipe_the_report_is_plain_text() -> None:
    text = printed(sample())
    assert "\x1b" not in text
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[:3] == [
        "3 modules of /lib (Python 3.11)",
        "4 lines, 2 functions, 0 classes; 0.5 s of work in 3.0 s on 2 processes",
        "3 modules finished in 5 executions, 2 retries among them; none was run again after finishing.",
    ]
    assert "walk" in text
    assert "p0/[m].py:1" in text  # square brackets are no markup
    assert "line 1: [red]no" in text


def test_on_a_terminal_the_report_is_coloured() -> None:
    assert "\x1b[1m" in printed(sample(), force_terminal=True, color_system="standard")


def test_nothing_analysed_leaves_the_failures() -> None:
    text = printed(sample(modules=0))
    assert "Most complex functions" not in text
    assert "Not analysed: 1" in text
