"""The survey on the terminal, or as plain columns in a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from faena.cli.demo.page import proof
from faena.cli.demo.survey import Ranked, Survey
from faena.cli.output import Output

_ROWS = 5
_BAR = 24


def print_survey(out: Output, survey: Survey) -> None:
    """Write the report."""
    timing = survey.timing
    out.line(out.styled("bold", f"{survey.files:,} modules of {survey.folder} (Python {survey.python})"))
    out.line(
        f"{survey.lines:,} lines, {survey.functions:,} functions, {survey.classes:,} classes; "
        f"{survey.work_s:.1f} s of work in {timing.wall_s:.1f} s on {timing.processes} processes"
    )
    out.line(proof(survey))
    if survey.analysed:
        _heading(out, "Functions by complexity")
        _bands(out, survey)
        _heading(out, "Most complex functions")
        _functions(out, survey.most_complex)
        _heading(out, "Longest functions")
        _functions(out, survey.longest)
    if survey.failed:
        _heading(out, "Not analysed")
        rows = [(each.file, each.error, each.retries) for each in survey.failed]
        out.table(("file", "why", "retries"), rows, right="retries")


def _heading(out: Output, text: str) -> None:
    out.line()
    out.line(out.styled("bold", text))


def _bands(out: Output, survey: Survey) -> None:
    most = max(share.count for share in survey.bands) or 1
    for share in survey.bands:
        bar = "█" * round(_BAR * share.count / most)
        out.line(f"{share.name:<12} {share.count:>8,}  {bar}".rstrip())


def _functions(out: Output, ranking: Sequence[Ranked]) -> None:
    rows = [
        (each.function.name, f"{each.file}:{each.function.line}", each.function.complexity, each.function.lines)
        for each in ranking[:_ROWS]
    ]
    out.table(("function", "where", "complexity", "lines"), rows, right="complexity lines")
