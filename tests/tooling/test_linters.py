"""What the linters find is a failed test, so that one summary says all. Each runs as its own task of tasks.py."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def run(*argv, timeout_s=300):
    return subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s)


@pytest.mark.parametrize("task", ["style", "types", "imports"])
def test_the_linters_find_nothing(task):
    done = run(BIN / "fa", task)
    assert done.returncode == 0, f"\n{done.stdout}"


@pytest.mark.slow
def test_pyright_finds_nothing():
    version = run(BIN / "pyright", "--version", timeout_s=180)
    if version.returncode:
        reason = (version.stdout.strip().splitlines() or ["no output"])[-1]
        pytest.skip(f"pyright cannot run: it needs Node.js and the npm registry ({reason[:200]})")
    done = run(BIN / "fa", "pyright")
    assert done.returncode == 0, f"\n{done.stdout}"
