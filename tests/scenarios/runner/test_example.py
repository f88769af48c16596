"""The example project does what its README says."""

from __future__ import annotations

import shutil
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "runner"
FINE = ["about.txt: fine", "hello.txt: fine"]


def test_the_example_builds_publishes_and_repeats_only_what_changed(project):
    shutil.copytree(EXAMPLE, project.folder, dirs_exist_ok=True)
    assert project.fa("publish", "--yes").lines == [
        *FINE,
        "pages: made 2 of 2 targets",
        "2 pages",
        "published to public",
    ]
    assert project.fa("publish", "--yes").lines == [
        *FINE,
        "pages: 2 targets up to date",
        "index: up to date",
        "published to public",
    ]
    project.write("texts/hello.txt", "Hello.\nMore.\n")
    assert project.fa("publish", "--yes", "--why", "-j2").status == 0
    assert "More." in (project.folder / "public" / "hello.html").read_text()
    assert sorted(path.name for path in (project.folder / "public").iterdir()) == [
        "about.html",
        "hello.html",
        "index.html",
    ]
