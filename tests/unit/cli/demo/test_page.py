"""The report as a page: well formed, complete, and safe to open."""

from __future__ import annotations

from html.parser import HTMLParser

from faena.cli.demo.analysis import analyse_source
from faena.cli.demo.page import proof, render_page
from faena.cli.demo.survey import Analysed, Failed, Survey, Timing, survey

VOID = {"meta", "line", "rect", "link", "br"}


class Balance(HTMLParser):
    """Collects text and attributes, and fails at a tag that is closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parse(page: str) -> Balance:
    found = Balance()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


def sample(*, failed: tuple[Failed, ...] = (), modules: int = 3, kept: int = 0, repeated: int = 0) -> Survey:
    facts = analyse_source(b"import os\n\ndef walk(x):\n    return [y for y in x if y]\n")
    analysed = [Analysed(f"p{n}/m.py", facts, 0, 0.01, 100.0 + n, n % 2) for n in range(modules)]
    timing = Timing(99.0, 3.0, 2, modules, kept, modules + 4, repeated)
    return survey("/usr/lib/python<3>", "3.11", analysed, failed, timing)


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere() -> None:
    page = parse(render_page(sample()))
    assert page.links == []
    assert "script" not in page.seen
    assert page.seen.count("svg") == 4


def test_the_page_shows_the_figures_and_the_functions() -> None:
    text = parse(render_page(sample())).text
    for part in ("3 Python modules, analysed by faena", "p0/m.py:3", "walk", "1 to 5", "Modules finished a second"):
        assert part in text


def test_what_a_file_or_an_error_is_called_cannot_become_markup() -> None:
    page = render_page(sample(failed=(Failed("<b>&.py", "line 1: <script>alert(1)</script>", 2, True),)))
    assert "<script>" not in page
    assert "<b>" not in page
    text = parse(page).text
    assert "<b>&.py" in text
    assert "/usr/lib/python<3>" in text


def test_a_dollar_in_a_name_is_no_placeholder() -> None:
    assert "$title and ${x}" in parse(render_page(sample(failed=(Failed("$title and ${x}", "no", 0, False),)))).text


def test_nothing_analysed_still_makes_a_page() -> None:
    page = parse(render_page(sample(modules=0)))
    assert "Nothing to show." in page.text
    assert "None." in page.text


def test_the_proof_says_what_was_counted() -> None:
    assert proof(sample()) == (
        "3 modules finished in 7 executions, with 0 retries and 4 attempts that an interruption cut off; "
        "none ran again once its result was kept."
    )
    assert proof(sample(kept=1, repeated=4)) == (
        "3 modules finished (1 of them before the interruption) in 7 executions, with 0 retries; "
        "4 ran again once its result was kept."
    )
