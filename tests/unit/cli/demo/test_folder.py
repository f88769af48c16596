"""The folder of a run: what it is about, and whose it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faena.cli.demo.folder import Plan, RunFolder, find_modules, spread
from faena.errors import UsageError

PLAN = Plan("run-1", "/lib", ("a.py", "b/ü.py"), 12.5)


def test_modules_are_found_in_order_without_installed_packages_and_hidden_folders(tmp_path: Path) -> None:
    for name in ("b.py", "a/z.py", "a/b/c.py", "a/x.txt", "site-packages/p.py", "a/__pycache__/q.py", ".git/h.py", ".h.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert find_modules(str(tmp_path)) == ("a/b/c.py", "a/z.py", "b.py")


def test_the_own_standard_library_has_many_modules() -> None:
    files = find_modules(os.path.dirname(os.__file__))
    assert len(files) > 500
    assert {"os.py", "json/decoder.py"} <= set(files)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, "abcdefg"), (7, "abcdefg"), (99, "abcdefg"), (3, "ace"), (1, "a")],
)
def test_a_limit_takes_files_from_all_over(limit: int | None, expected: str) -> None:
    assert "".join(spread("abcdefg", limit)) == expected


def test_a_task_id_depends_on_the_run_and_the_file_and_on_nothing_else() -> None:
    other = Plan("run-2", "/lib", ("a.py",), 12.5)
    assert PLAN.task_id("a.py") == Plan("run-1", "/", (), 0.0).task_id("a.py")
    assert len({PLAN.task_id("a.py"), PLAN.task_id("b/ü.py"), other.task_id("a.py")}) == 3
    assert PLAN.task_id("\udcff.py") != PLAN.task_id("a.py")


def test_a_plan_that_was_written_is_read(tmp_path: Path) -> None:
    with RunFolder(str(tmp_path / "run")) as folder:
        assert folder.read_plan() is None
        folder.write_plan(PLAN)
        assert folder.read_plan() == PLAN
        assert (tmp_path / "run" / ".gitignore").read_text() == "*\n"


def test_a_broken_plan_says_how_to_begin_again(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    with RunFolder(str(tmp_path)) as folder, pytest.raises(UsageError, match="begin again with --fresh"):
        folder.read_plan()


def test_a_folder_that_cannot_be_made_is_an_error_that_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot keep the demo in .*/file/run: Not a directory"):
        RunFolder(str(tmp_path / "file" / "run")).__enter__()


def test_one_demo_at_a_time_has_the_folder(tmp_path: Path) -> None:
    with RunFolder(str(tmp_path)), pytest.raises(UsageError, match="a demo is at work in"):
        RunFolder(str(tmp_path)).__enter__()
    with RunFolder(str(tmp_path)):
        pass


def test_a_worker_that_lives_on_keeps_the_folder(tmp_path: Path) -> None:
    with RunFolder(str(tmp_path)) as folder:
        worker = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[folder.lock]
        )
    with pytest.raises(UsageError, match="its worker is still stopping"):
        RunFolder(str(tmp_path)).__enter__()
    worker.communicate(b"\n")
    with RunFolder(str(tmp_path)):
        pass


def test_clearing_leaves_what_was_named(tmp_path: Path) -> None:
    with RunFolder(str(tmp_path)) as folder:
        folder.write_plan(PLAN)
        (tmp_path / "report.html").touch()
        (tmp_path / "signals").mkdir()
        (tmp_path / "signals" / "x").touch()
        folder.clear(but=[folder.report])
    assert sorted(os.listdir(tmp_path)) == [".gitignore", "faena.toml", "lock", "report.html"]
