"""The report as text."""

from __future__ import annotations

import io

from faena.cli.demo.analysis import analyse_source
from faena.cli.demo.survey import Analysed, Failed, Survey, Timing, survey
from faena.cli.demo.table import print_survey
from faena.cli.output import Output


def printed(value: Survey) -> str:
    stream = io.StringIO()
    print_survey(Output(stdout=stream), value)
    return stream.getvalue()


def sample(modules: int = 2) -> Survey:
    facts = analyse_source(b"def walk(x):\n    return [y for y in x if y]\n")
    analysed = [Analysed(f"p{n}/[m].py", facts, 0, 0.25, 100.0 + n, n) for n in range(modules)]
    failed = [Failed("bad.py", "line 1: [red]no", 2, False)]
    return survey("/lib", "3.11", analysed, failed, Timing(99.0, 3.0, 2, 3, 0, 5, 0))


def test_in_a_pipe_the_report_is_plain_text() -> None:
    assert printed(sample()) == (
        "3 modules of /lib (Python 3.11)\n"
        "4 lines, 2 functions, 0 classes; 0.5 s of work in 3.0 s on 2 processes\n"
        "3 modules finished in 5 executions, with 2 retries; none ran again once its result was kept.\n"
        "\n"
        "Functions by complexity\n"
        "1 to 5              2  ████████████████████████\n"
        "6 to 10             0\n"
        "11 to 20            0\n"
        "21 to 50            0\n"
        "51 and more         0\n"
        "\n"
        "Most complex functions\n"
        "FUNCTION  WHERE        COMPLEXITY  LINES\n"
        "walk      p0/[m].py:1           3      2\n"
        "walk      p1/[m].py:1           3      2\n"
        "\n"
        "Longest functions\n"
        "FUNCTION  WHERE        COMPLEXITY  LINES\n"
        "walk      p0/[m].py:1           3      2\n"
        "walk      p1/[m].py:1           3      2\n"
        "\n"
        "Not analysed\n"
        "FILE    WHY              RETRIES\n"
        "bad.py  line 1: [red]no        2\n"
    )


def test_nothing_analysed_leaves_the_failures() -> None:
    text = printed(sample(modules=0))
    assert "Most complex functions" not in text
    assert "bad.py" in text
