"""The script `dev` before it has an environment: which interpreter it takes, and what it says when there is none."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A stand-in for an interpreter: it has the version that its name says, and writes down what it is asked to do.
INTERPRETER = """#!/bin/sh
case "$1" in
    -c) exit {status} ;;
    --version) echo "Python {version}" ;;
    -m) echo "$0 $*" >> {log}; exit 9 ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    """A checkout with nothing but `dev`, and a PATH on which only the shell's own tools are."""
    shutil.copy(ROOT / "dev", tmp_path / "dev")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "dirname", "cksum", "cat", "rm"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    return tmp_path


def add_interpreter(project, name, version, status):
    path = project / "bin" / name
    path.write_text(INTERPRETER.format(version=version, status=status, log=project / "log"))
    path.chmod(0o755)


def dev(project, *words, **environment):
    return subprocess.run(
        [project / "dev", *words], env={"PATH": str(project / "bin"), **environment}, capture_output=True, text=True
    )


def test_without_an_interpreter_it_says_what_to_install(project):
    done = dev(project, "test")
    assert done.returncode == 1
    assert "no Python 3.11 or newer" in done.stderr
    assert "apt install python3 python3-venv" in done.stderr


def test_an_interpreter_that_is_too_old_is_passed_over(project):
    add_interpreter(project, "python3", "3.9.2", status=1)
    assert "no Python 3.11 or newer" in dev(project, "test").stderr

    add_interpreter(project, "python3.12", "3.12.1", status=0)
    done = dev(project, "test")
    assert "setting up .venv with Python 3.12.1" in done.stderr
    assert (project / "log").read_text() == f"{project}/bin/python3.12 -m venv --clear .venv\n"


def test_a_set_up_that_failed_is_no_set_up(project):
    add_interpreter(project, "python3", "3.11.4", status=0)
    assert dev(project, "test").returncode == 9
    assert not (project / ".venv" / ".faena-dev").exists()


def test_the_interpreter_can_be_named(project):
    add_interpreter(project, "python3.13", "3.13.0", status=0)
    add_interpreter(project, "python-of-mine", "3.14.0", status=0)
    assert "with Python 3.14.0" in dev(project, "test", FAENA_DEV_PYTHON="python-of-mine").stderr
