"""Every block of the runner's pages is run: files are written, commands give the output that stands there.

A block with a `title` is a file. A `console` block holds commands after `$` and their output, both streams together;
a line `...` there stands for any lines. Programs that are not installed here are stubs that say how they were called.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[3] / "docs" / "runner").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STUBS = ("docker", "docker-compose", "npm", "aws", "kubectl", "flake8", "black", "bandit", "safety", "pytest", "git",
         "sphinx-build", "kaggle", "ansible-playbook", "alembic", "uvicorn", "jest", "webpack", "cc", "pg_dump",
         "psql", "twine")  # fmt: skip


def commands_of(block: str):
    """Each command of a console block with the output it must give."""
    command, output = None, []
    for line in block.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command, output
            command, output = line[2:], []
        else:
            output.append(line)
    if command is not None:
        yield command, output


def is_like(found: list[str], expected: list[str]) -> bool:
    pattern = "\n".join(".*" if line == "..." else re.escape(line) for line in expected)
    return re.fullmatch(pattern, "\n".join(found), re.DOTALL) is not None


@pytest.fixture
def environment(project):
    for name in STUBS:
        text = f'#!/bin/sh\necho "{name} $*"\n'
        if name == "cc":  # writes what it was asked to write
            text += 'while [ "$1" != -o ]; do shift; done; echo object > "$2"\n'
        if name == "git":  # everybody is on the main branch
            text = '#!/bin/sh\n[ "$1" = branch ] && echo main || echo "git $*"\n'
        project.write(f"bin/{name}", text).chmod(0o755)
    project.write("bin/fa", f'#!/bin/sh\nexec {sys.executable} -m faena.cli.fa "$@"\n').chmod(0o755)
    project.write("bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n').chmod(0o755)
    environ = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("INVOKE_", "GITHUB_", "GITLAB_", "TF_BUILD", "CI"))
    }
    return environ | {
        "PATH": f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}",
        "HOME": str(project.folder / "home"),
        "COLUMNS": "80",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def test_there_are_pages():
    assert [page.name for page in PAGES] == ["coming-from.md", "cookbook.md", "guide.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_works(page, project, environment):
    folder = project.folder / "work"
    folder.mkdir()
    count = 0
    for language, info, body in BLOCK.findall(page.read_text()):
        title = re.search(r'title="([^"]+)"', info)
        if title:
            path = folder / title.group(1)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body)
            continue
        assert language == "console", f"a block of {language} that nothing runs: {body}"
        for command, expected in commands_of(body):
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
            )  # fmt: skip
            found = done.stdout.replace("\033[1;37m", "").replace("\033[0m", "").splitlines()
            while expected and not expected[-1]:
                expected.pop()
            assert is_like(found, expected), f"$ {command}\n" + "\n".join(found)
            count += 1
    assert count >= 5
