"""examples/typed_project: both type checkers find every mistake and nothing else, and the calls are right at run time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MYPY = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"]
PYRIGHT = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]


def check(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def require_pyright(folder: Path) -> None:
    pytest.importorskip("pyright", reason="pyright is not installed")
    if check([*PYRIGHT, "--version"], folder).returncode != 0:
        pytest.skip("pyright needs Node.js, which it could not fetch")


def unmark_one_mistake(folder: Path) -> None:
    """Make one wrong call right, and leave its mark: the checkers have to notice."""
    mistakes = folder / "shop" / "mistakes.py"
    text = mistakes.read_text()
    assert 'total_cents.delay("x")' in text
    mistakes.write_text(text.replace('total_cents.delay("x")', "total_cents.delay(Order(1, []))"))


def test_mypy_finds_every_mistake_and_nothing_else(project: Any) -> None:
    done = check(MYPY, project.folder)
    assert done.returncode == 0, done.stdout
    unmark_one_mistake(project.folder)
    assert 'Unused "type: ignore" comment' in check(MYPY, project.folder).stdout


def test_pyright_finds_every_mistake_and_nothing_else(project: Any) -> None:
    require_pyright(project.folder)
    done = check(PYRIGHT, project.folder)
    assert done.returncode == 0, done.stdout
    unmark_one_mistake(project.folder)
    assert "reportUnnecessaryTypeIgnoreComment" in check(PYRIGHT, project.folder).stdout


def test_what_travelled_as_json_is_what_the_annotations_say(project: Any) -> None:
    project.start_worker("-A", "shop.tasks", "-c", "1")
    order = json.dumps({"number": 1, "prices_cents": [500, 250]})
    wait = ("--wait", "--timeout", "30")
    done = project.run("faena", "-A", "shop.tasks", "call", "shop.tasks.total_cents", order, "10", *wait)
    assert done.stdout == "675\n"
    refused = project.run("faena", "-A", "shop.tasks", "call", "shop.tasks.total_cents", '"x"', *wait, code=2)
    assert "argument 'order': Expected `object`, got `str`" in refused.stderr
