"""A folder with a task file, and `fa` run in it as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

# variables that change what `fa` does: those of the CI system that runs the tests, and of the developer; byte code is
# kept, as it is in use
OUTSIDE = ("INVOKE_", "XDG_", "GITHUB_", "GITLAB_", "TF_BUILD", "CI", "PYTHONDONTWRITEBYTECODE")
HEADER = "from faena import Collection, Config, Context, Exit, call, run, sudo, task\n"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of `fa` left behind."""

    stdout: str
    stderr: str
    status: int

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


class Project:
    """A folder in which `fa` runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def tasks(self, text: str, name: str = "tasks.py") -> None:
        self.write(name, HEADER + textwrap.dedent(text))

    def start(self, *words: str, cwd: str = ".", env: dict[str, str] | None = None, **more) -> subprocess.Popen[bytes]:
        environ = {key: value for key, value in os.environ.items() if not key.startswith(OUTSIDE)}
        # last on the path: where the system knows no `python`, as on Debian, the task files of these tests find this one
        environ["PATH"] = os.pathsep.join((environ.get("PATH", os.defpath), os.path.dirname(sys.executable)))
        environ |= {"COLUMNS": "80", "HOME": str(self.folder / "home"), "NO_COLOR": "1"} | (env or {})
        return subprocess.Popen(
            [sys.executable, "-m", "faena.cli.fa", *words],
            cwd=self.folder / cwd,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **{"stdin": subprocess.DEVNULL} | more,
        )

    def fa(self, *words: str, cwd: str = ".", env: dict[str, str] | None = None, feed: str | None = None, **more) -> Run:
        more = more if feed is None else {"stdin": subprocess.PIPE} | more
        process = self.start(*words, cwd=cwd, env=env, **more)
        try:
            out, err = process.communicate(None if feed is None else feed.encode(), timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Run(out.decode(), err.decode(), process.returncode)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
