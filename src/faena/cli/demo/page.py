"""The survey as one HTML file that needs nothing else: no script, no network. Pure: a value in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from faena.cli.demo.survey import Failed, Ranked, Rate, Share, Survey

_WIDTH = 640  # of every drawing, in its own units; the page scales it
_ROW = 26
_LABEL = 150
_VALUE = 70


def render_page(survey: Survey) -> str:
    """Return the page as text."""
    template = Template(files("faena.cli.demo").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=f"{survey.files:,} Python modules, analysed by faena",
        subtitle=f"{escape(survey.folder)} &middot; Python {escape(survey.python)}",
        tiles="\n".join(_tiles(survey)),
        proof=escape(proof(survey)),
        rates=_rates(survey.rates),
        packages=_bars(survey.packages, "lines"),
        bands=_bars(survey.bands, "functions"),
        most_complex=_functions(survey.most_complex),
        longest=_functions(survey.longest),
        imported=_bars(survey.imported, "modules import it"),
        failed=_failed(survey.failed),
    )


def proof(survey: Survey) -> str:
    """Say in one sentence what the counts of executions show."""
    timing = survey.timing
    kept = f" ({timing.kept:,} of them before the interruption)" if timing.kept else ""
    cut_off = f" and {survey.cut_off:,} attempts that an interruption cut off" if survey.cut_off else ""
    repeated = "none" if not timing.repeated else f"{timing.repeated:,}"
    return (
        f"{survey.files:,} modules finished{kept} in {timing.executions:,} executions, with {survey.retries:,} retries"
        f"{cut_off}; {repeated} ran again once its result was kept."
    )


def _tiles(survey: Survey) -> Iterable[str]:
    timing = survey.timing
    rows = (
        ("modules", f"{survey.files:,}"),
        ("lines", f"{survey.lines:,}"),
        ("functions", f"{survey.functions:,}"),
        ("classes", f"{survey.classes:,}"),
        ("time", f"{timing.wall_s:.1f} s"),
        ("work done", f"{survey.work_s:.1f} s"),
        ("processes", f"{timing.processes:,}"),
        ("not analysed", f"{len(survey.failed):,}"),
    )
    return (f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)


def _bars(shares: Sequence[Share], unit: str) -> str:
    if not shares:
        return '<p class="dim">Nothing to show.</p>'
    most = max(share.count for share in shares) or 1
    room = _WIDTH - _LABEL - _VALUE
    rows = []
    for at, share in enumerate(shares):
        top = at * _ROW
        length = room * share.count / most
        rows.append(
            f'<text x="{_LABEL - 8}" y="{top + 17}" text-anchor="end">{escape(_short(share.name))}</text>'
            f'<rect class="bar" x="{_LABEL}" y="{top + 4}" width="{length:.1f}" height="{_ROW - 8}" rx="3">'
            f"<title>{escape(share.name)}: {share.count:,} {escape(unit)}</title></rect>"
            f'<text class="dim" x="{_LABEL + length + 6:.1f}" y="{top + 17}">{share.count:,}</text>'
        )
    return _drawing(len(shares) * _ROW, f"{unit}, by name", rows)


def _rates(rates: Sequence[Rate]) -> str:
    if not rates:
        return ""
    height = 120
    per_s = [rate.finished / (rate.to_s - rate.from_s) for rate in rates]
    most = max(per_s) or 1.0
    step = _WIDTH / len(rates)
    bars = [
        f'<rect class="bar" x="{at * step:.1f}" y="{20 + height - height * value / most:.1f}" '
        f'width="{max(step - 2, 1):.1f}" height="{height * value / most:.1f}">'
        f"<title>{rate.from_s:.1f} s to {rate.to_s:.1f} s: {value:,.0f} modules a second</title></rect>"
        for at, (rate, value) in enumerate(zip(rates, per_s, strict=True))
    ]
    axis = (
        f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{height + 20}" y2="{height + 20}"/>'
        f'<text class="dim" x="0" y="13">{most:,.0f} modules a second at most</text>'
        f'<text class="dim" x="0" y="{height + 37}">0 s</text>'
        f'<text class="dim" x="{_WIDTH}" y="{height + 37}" text-anchor="end">{rates[-1].to_s:.1f} s</text>'
    )
    drawing = _drawing(height + 44, "modules finished a second, over the time of the run", [*bars, axis])
    return f"<section>\n<h2>Modules finished a second</h2>\n{drawing}\n</section>"


def _drawing(height: int, description: str, parts: Iterable[str]) -> str:
    inside = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(description)}" '
        f'xmlns="http://www.w3.org/2000/svg">\n{inside}\n</svg>'
    )


def _functions(ranking: Sequence[Ranked]) -> str:
    rows = (
        f"<tr><td><code>{escape(each.function.name)}</code></td>"
        f"<td><code>{escape(each.file)}:{each.function.line}</code></td>"
        f'<td class="number">{each.function.complexity:,}</td><td class="number">{each.function.lines:,}</td></tr>'
        for each in ranking
    )
    head = '<tr><th>Function</th><th>Where</th><th class="number">Complexity</th><th class="number">Lines</th></tr>'
    return _table(head, rows)


def _failed(failed: Sequence[Failed]) -> str:
    if not failed:
        return '<p class="dim">None.</p>'
    rows = (
        f"<tr><td><code>{escape(each.file)}</code></td>"
        f"<td{' class=warn' if each.unexpected else ''}>{escape(each.error)}</td>"
        f'<td class="number">{each.retries:,}</td></tr>'
        for each in failed
    )
    return _table('<tr><th>File</th><th>Why</th><th class="number">Retries</th></tr>', rows)


def _table(head: str, rows: Iterable[str]) -> str:
    return f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n' + "\n".join(rows) + "\n</tbody>\n</table></div>"


def _short(name: str, limit: int = 20) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"
