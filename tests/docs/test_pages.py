"""The pages say what is so: every code block is run, in the order of the page, in a project folder of the page's own.

    ```python title="shop.py"     a file of the project, written there (any language may have a title)
    ```python                     a script, run in the project folder
    ```console                    lines that begin with `$ ` are commands, what follows is what they print; `...` stands
                                  for any rest of a line and, on a line of its own, for any lines
    ```toml, ```json              must parse, and name settings that exist

`$ faena worker` stays in the background until the page ends, or until the worker is stopped by a line `^C`. A block that
cannot be run has `<!-- not run: why -->` on the line before it.
"""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = os.path.dirname(sys.executable)
DEADLINE_S = 60.0

# These have tests of their own, that know more of them.
TESTED_ELSEWHERE = {
    "docs/guides/command-line.md": "tests/docs/test_command_line.py",
    "docs/guides/redis.md": "tests/docs/test_redis_page.py",
    "docs/guides/rabbitmq.md": "tests/docs/test_rabbitmq_page.py",
    "docs/guides/demo.md": "tests/docs/test_demo.py",
    "docs/examples.md": "tests/docs/test_demo.py",
    "docs/runner": "tests/scenarios/runner/test_docs.py",
}
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if not any(str(path.relative_to(ROOT)).startswith(name) for name in TESTED_ELSEWHERE)
)
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>.+?) -->\n)?```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
PLAIN = {"", "text"}  # drawings and formats: nothing to run


@dataclass(frozen=True)
class Block:
    """One code block. `line` says where it stands."""

    line: int
    language: str
    title: str | None
    text: str
    why_not: str | None


def blocks_of(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, found.start()) + 1, found["language"], found["title"], found["text"], found["why"])
        for found in BLOCK.finditer(text)
    ]


class Project:
    """The folder of a page, and the workers that it has started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("FAENA_", "PYTEST_", "INVOKE_"))}
        self.environ = {**kept, "PATH": f"{BIN}{os.pathsep}{kept['PATH']}", "NO_COLOR": "1", "COLUMNS": "100"}
        self.workers: list[subprocess.Popen[str]] = []

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, command: str) -> str:
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_S,
        )
        return done.stdout

    def start_worker(self, command: str) -> None:
        log = open(self.folder / f"worker-{len(self.workers)}.log", "w+", encoding="utf-8")  # noqa: SIM115 - it outlives us
        worker = subprocess.Popen(
            [f"{BIN}/{command.split()[0]}", *command.split()[1:]],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
        )
        log.close()
        self.workers.append(worker)
        said: list[str] = []
        assert worker.stderr is not None
        for line in worker.stderr:
            said.append(line)
            if " is ready: " in line:
                break
        assert said and " is ready: " in said[-1], f"$ {command}\n{''.join(said)}"

    def stop_worker(self) -> None:
        worker = self.workers.pop()
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=DEADLINE_S)
        assert worker.returncode == 0, said

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.communicate()


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    try:
        yield project
    finally:
        project.close()


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_does_what_it_says(page, project):
    for block in blocks_of(page):
        where = f"{page}:{block.line}"
        if block.why_not is not None:
            continue
        if block.title is not None:
            project.write(block.title, block.text)
        if block.language == "python":
            ast.parse(block.text, where)
            if block.title is None:
                project.write("script_of_the_page.py", block.text)
                done = subprocess.run(
                    [sys.executable, "script_of_the_page.py"],
                    cwd=project.folder,
                    env=project.environ,
                    capture_output=True,
                    text=True,
                    timeout=DEADLINE_S,
                )
                assert done.returncode == 0, f"{where}\n{done.stderr}"
        elif block.language == "console":
            run_console(block, project, where)
        elif block.language == "toml":
            check_settings(tomllib.loads(block.text).get("tool", {}).get("faena", {}), where)
        elif block.language == "json":
            json.loads(block.text)
        elif block.title is None:
            assert block.language in PLAIN, f"{where}: nobody runs blocks of '{block.language}'; say why in a comment"
    while project.workers:
        project.stop_worker()


def run_console(block, project, where):
    lines = block.text.splitlines()
    assert lines[0].startswith("$ "), f"{where}: a console block begins with a command"
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        if command.startswith("faena worker"):
            project.start_worker(command)
            if printed.endswith("^C\n"):
                project.stop_worker()
            continue
        said = project.run(command)
        assert re.fullmatch(pattern_of(printed), said), f"{where}\n$ {command}\n{said}"


def pattern_of(printed):
    """Read `...` as anything: the rest of a line, and on a line of its own any lines."""
    return "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in printed.splitlines()
    )


def check_settings(table, where):
    from faena.config.settings import Settings

    unknown = {name for name in table if name not in Settings.declared and name not in ("app", "runner", "run")}
    assert not unknown, f"{where}: no such settings: {unknown}"


def test_the_tests_that_pages_are_left_to_exist():
    assert [test for test in TESTED_ELSEWHERE.values() if not (ROOT / test).is_file()] == []
    assert [page for page in TESTED_ELSEWHERE if not (ROOT / page).exists()] == []


def test_no_block_is_overlooked():
    """A fence that the pattern does not understand would be a block that nobody runs."""
    for page in PAGES:
        fences = len(re.findall(r"^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))
        assert fences == 2 * len(blocks_of(page)), f"{page}: {fences} fences, {len(blocks_of(page))} blocks"


def test_links_between_pages_lead_somewhere():
    broken = []
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []
