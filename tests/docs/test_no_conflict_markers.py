"""What a merge has left half done stands in no page: Markdown shows its markers as text, and nothing else would notice."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKER = re.compile(r"^(<{7} |>{7} |={7}$)", re.MULTILINE)


def test_no_page_holds_the_markers_of_a_merge():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]
    assert len(pages) > 20
    assert [str(page.relative_to(ROOT)) for page in pages if MARKER.search(page.read_text())] == []
