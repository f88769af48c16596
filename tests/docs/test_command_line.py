"""The guide to the command line says what is so: its console blocks are run, and print what stands there."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "command-line.md"
FAENA = os.path.join(os.path.dirname(sys.executable), "faena")
DEADLINE_S = 30.0


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def commands_of(block):
    """Give each command of a block, with what it prints."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, printed = part.partition("\n")
        yield line, printed


def pattern_of(printed):
    """Read `...` as anything: a rest of a line, and on a line of its own any lines."""
    lines = [
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in printed.splitlines()
    ]
    return re.sub(r"(?:\\ )+", " +", "".join(lines))  # columns are as wide as what they hold


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project with the page's tasks.py."""
    folder = tmp_path_factory.mktemp("guide")
    (source,) = blocks("python")
    (folder / "tasks.py").write_text(source)
    return folder


@pytest.fixture(scope="module")
def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(("FAENA_", "PYTEST_"))}


@pytest.fixture(scope="module", autouse=True)
def worker(folder, environment):
    """The worker that the page starts."""
    line = next(line for block in blocks("console") for line, _ in commands_of(block) if line.startswith("faena worker"))
    line = line.replace("-Q default,mail", "-Q default")  # the table of queues further down is of one queue
    process = subprocess.Popen(
        [FAENA, *shlex.split(line)[1:]], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert any(" is ready: " in said for said in iter(process.stderr.readline, ""))
        yield
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_every_console_block_prints_what_it_says(folder, environment):
    for block in blocks("console"):
        for line, printed in commands_of(block):
            if line.startswith("faena worker"):
                continue
            done = subprocess.run(
                [FAENA, *shlex.split(line)[1:]], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_S,
            )  # fmt: skip
            assert re.fullmatch(pattern_of(printed), done.stdout), f"$ {line}\n{done.stdout}"


def test_every_toml_block_is_toml_with_settings(folder):
    from faena.config.settings import Settings

    for block in blocks("toml"):
        assert set(tomllib.loads(block)["tool"]["faena"]) <= set(Settings.declared)
