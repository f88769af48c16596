"""The guide to the demo and the page of examples say what is so: the commands of their console blocks are run, in order."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAENA = os.path.join(os.path.dirname(sys.executable), "faena")
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("FAENA_", "PYTEST_"))}
DEADLINE_S = 180


def commands_in(page: str) -> list[list[str]]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [shlex.split(line[2:]) for block in blocks for line in block.splitlines()]


def run(words: list[str], cwd: Path) -> str:
    assert words[0] == "faena"
    done = subprocess.run([FAENA, *words[1:]], cwd=cwd, env=ENVIRON, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stderr is not None
    return iter(process.stderr.readline, "")


@pytest.mark.slow
def test_the_guide_to_the_demo(tmp_path: Path) -> None:
    whole, resume, some, dead, queues = commands_in("guides/demo.md")
    assert (whole, resume) == (["faena", "demo"], ["faena", "demo", "--resume"])
    with subprocess.Popen([FAENA, *whole[1:]], cwd=tmp_path, env=ENVIRON, stderr=subprocess.PIPE, text=True) as process:
        assert any(re.match(r"[\d,]+ of [\d,]+ \(", line) for line in lines_of(process))  # it is on its way
        process.send_signal(signal.SIGINT)
        assert any(line.startswith("interrupted: ") for line in lines_of(process))
    assert process.returncode == 130
    assert "none ran again once its result was kept" in run(resume, tmp_path)
    assert "50 modules" in run(some, tmp_path)
    run(dead, tmp_path)
    assert "default" in run(queues, tmp_path)


def test_the_page_of_examples(tmp_path: Path) -> None:
    folder, worker = commands_in("examples.md")
    assert folder[0] == "cd"
    copy = tmp_path / folder[1]
    shutil.copytree(ROOT / folder[1], copy)
    with subprocess.Popen([FAENA, *worker[1:]], cwd=copy, env=ENVIRON, stderr=subprocess.PIPE, text=True) as process:
        assert any(" is ready: app 'thumbnails'" in line for line in lines_of(process))
        assert (copy / ".faena" / "faena.db").exists()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0


def test_every_example_has_its_row_and_its_readme() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "examples.md").read_text(encoding="utf-8"), re.MULTILINE))
    found = {entry.name for entry in (ROOT / "examples").iterdir() if (entry / "README.md").exists()}
    assert rows == found - {"runner"}
