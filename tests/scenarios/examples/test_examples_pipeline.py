"""examples/pipeline, on texts made here and on those that come with Python."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    (folder / "deeper").mkdir(parents=True)
    (folder / "one.txt").write_text("Work, work and more work!")
    (folder / "deeper" / "two.txt").write_text("The work of others: ÜBER über.", encoding="utf-8")
    (folder / "latin.txt").write_bytes("über work".encode("latin-1"))
    (folder / "image.png").write_bytes(b"work")
    return folder


def test_the_texts_are_counted_and_one_that_cannot_be_read_is_left_out(project: Any, texts: Path, tmp_path: Path) -> None:
    project.start_worker("-A", "pipeline", "-c", "2")
    done = project.run("python", "pipeline.py", str(texts), str(tmp_path / "report.txt"))
    report = "8 words in 2 texts, 1 skipped\n\n       4  work\n       2  über\n       1  more\n       1  others\n"
    assert sorted(done.stdout.splitlines()[1:]) == sorted(report.splitlines())
    assert (tmp_path / "report.txt").read_text(encoding="utf-8") == done.stdout.partition("\n")[2]
    dead = project.run("faena", "-A", "pipeline", "dead", "list").stdout
    assert "pipeline.count" in dead
    assert "NoText" in dead


def test_a_folder_without_texts_fails_once_and_says_why(project: Any, tmp_path: Path) -> None:
    project.start_worker("-A", "pipeline", "-c", "1")
    (tmp_path / "empty").mkdir()
    done = project.run("python", "pipeline.py", str(tmp_path / "empty"), code=1)
    assert done.stderr == f"no report: no text file in {tmp_path / 'empty'}\n"
    project.stop_workers()
    assert project.logs().count("no report: pipeline.find_texts failed with FileNotFoundError") == 1


def test_the_texts_of_the_standard_library_are_counted(project: Any) -> None:
    project.start_worker("-A", "pipeline", "-c", "2")
    done = project.run("python", "pipeline.py", timeout_s=120)
    found = [path for path in Path(sysconfig.get_path("stdlib")).rglob("*.txt") if path.stat().st_size <= 5_000_000]
    head = done.stdout.splitlines()[1].split()
    assert int(head[3]) + int(head[5]) == len(found)
    assert int(head[3]) > 0
