"""The survey on the terminal, or as plain text in a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from faena.cli.demo.page import proof
from faena.cli.demo.survey import Failed, Ranked, Share, Survey

_ROWS = 5
_BAR = 24


def print_survey(console: Console, survey: Survey) -> None:
    """Write the report, as wide as the console is."""
    timing = survey.timing
    console.print(
        Text(f"{survey.files:,} modules of {survey.folder} (Python {survey.python})", style="bold"), soft_wrap=True
    )
    console.print(
        f"{survey.lines:,} lines, {survey.functions:,} functions, {survey.classes:,} classes; "
        f"{survey.work_s:.1f} s of work in {timing.wall_s:.1f} s on {timing.processes} processes",
        highlight=False,
        soft_wrap=True,
    )
    console.print(proof(survey), highlight=False, markup=False, soft_wrap=True)
    for part in _parts(survey):
        console.print()
        console.print(part)


def _parts(survey: Survey) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if survey.analysed:
        parts.append(_shares("Functions by complexity", survey.bands))
        parts.append(_functions("Most complex functions", survey.most_complex))
        parts.append(_functions("Longest functions", survey.longest))
    if survey.failed:
        parts.append(_failures(survey.failed))
    return parts


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))


def _shares(title: str, shares: Sequence[Share]) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, style="blue")
    most = max((share.count for share in shares), default=0) or 1
    for share in shares:
        table.add_row(share.name, f"{share.count:,}", "█" * round(_BAR * share.count / most))
    return Group(Text(title, style="bold"), table)


def _functions(title: str, ranking: Sequence[Ranked]) -> Table:
    table = _table(title)
    table.add_column("Function", overflow="fold")
    table.add_column("Where", overflow="fold")
    table.add_column("Complexity", justify="right", no_wrap=True)
    table.add_column("Lines", justify="right", no_wrap=True)
    for each in ranking[:_ROWS]:
        function = each.function
        table.add_row(
            escape(function.name), escape(f"{each.file}:{function.line}"), f"{function.complexity:,}", f"{function.lines:,}"
        )
    return table


def _failures(failed: Sequence[Failed]) -> Table:
    table = _table(f"Not analysed: {len(failed)}")
    table.add_column("File", overflow="fold")
    table.add_column("Why", overflow="fold")
    table.add_column("Retries", justify="right", no_wrap=True)
    for each in failed:
        table.add_row(escape(each.file), Text(each.error, style="red" if each.unexpected else ""), str(each.retries))
    return table
