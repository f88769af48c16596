"""`fa` on a terminal: commands read it, Ctrl-C ends them, questions are asked, tasks are chosen."""

from __future__ import annotations

import os
import re
import select
import sys
import time

import pytest

TASKS = """
from faena import task

@task
def ask(c):
    c.run("printf 'name? '; read name; echo hello $name")

@task
def wait(c):
    try:
        c.run("echo ready; sleep 60; true")
    finally:
        print("cleaned up")

@task(confirm="Really?")
def deploy(c):
    print("deployed")

import os
import time

def wait_for(name):
    deadline = time.monotonic() + 60
    while not os.path.exists(name):
        assert time.monotonic() < deadline
        time.sleep(0.01)

@task
def ask2(c):
    wait_for("shown")
    c.run("printf 'out of '; echo ask2")
    print("no end", end="", flush=True)

@task
def slow2(c):
    wait_for("seen")

@task(each="src/*", outputs="out/{name}")
def targets(c, source, output):
    wait_for("shown")
    open(output, "w").close()

@task
def editor(c):
    c.run("test -t 0 && test -t 1 && echo both are terminals", pty=True)
"""


class Terminal:
    """`fa` under a pseudo-terminal."""

    def __init__(self, folder, *words: str) -> None:
        self.pid, self.fd = os.forkpty()
        if self.pid == 0:
            os.chdir(folder)
            os.execv(sys.executable, [sys.executable, "-m", "faena.cli.fa", *words])
        self.text = ""

    def expect(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            if not self._read():
                break
        assert text in self.text, self.text

    def _read(self) -> bool:
        if not select.select([self.fd], [], [], 1)[0]:
            return True
        try:
            data = os.read(self.fd, 4096)
        except OSError:
            return False
        self.text += data.decode()
        return bool(data)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def end(self) -> int:
        while self._read():
            pass
        os.close(self.fd)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def terminal(tmp_path):
    (tmp_path / "tasks.py").write_text(TASKS)
    return lambda *words: Terminal(tmp_path, *words)


def test_a_command_reads_the_terminal(terminal):
    fa = terminal("ask")
    fa.expect("name? ")
    fa.type("Ada\n")
    fa.expect("hello Ada")
    assert fa.end() == 0


def test_ctrl_c_on_the_terminal_ends_the_command_and_the_run(terminal):
    fa = terminal("wait")
    fa.expect("ready")
    fa.type("\x03")
    fa.expect("cleaned up")
    assert fa.end() == 130


def test_a_confirmation_is_asked_and_obeyed(terminal):
    fa = terminal("deploy")
    fa.expect("Really? [y/N] ")
    fa.type("n\n")
    assert fa.end() == 1
    assert "deployed" not in fa.text
    fa = terminal("deploy")
    fa.expect("[y/N] ")
    fa.type("y\n")
    fa.expect("deployed")
    assert fa.end() == 0


def test_a_task_is_chosen_by_number_or_name(terminal):
    for answer in ("7\n", "editor\n"):
        fa = terminal("--choose")
        fa.expect("task (number or name): ")
        fa.type(answer)
        fa.expect("both are terminals")
        assert fa.end() == 0


def test_a_parallel_run_shows_how_far_it_is_and_leaves_no_trace_of_that(terminal, tmp_path):
    fa = terminal("ask2", "slow2", "-j2")
    fa.expect("0 of 2 tasks")
    fa.expect("ask2 0:00:0")
    fa.expect("slow2 0:00:0")
    (tmp_path / "shown").touch()
    fa.expect("out of ask2\r\nno end")
    fa.expect("1 of 2 tasks")
    (tmp_path / "seen").touch()
    assert fa.end() == 0
    assert screen(fa.text) == ["out of ask2", "no end"]


def test_the_display_counts_the_targets_of_a_rule(terminal, tmp_path):
    (tmp_path / "src").mkdir()
    for name in "abc":
        (tmp_path / "src" / name).touch()
    fa = terminal("targets", "-j2")
    fa.expect("targets 0/3 0:00:0")
    (tmp_path / "shown").touch()
    assert fa.end() == 0
    assert screen(fa.text) == ["targets: made 3 of 3 targets"]


def screen(text: str) -> list[str]:
    """What stands on the terminal after all that was written: lines, the sequences of ours obeyed."""
    rows, row = [""], 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if piece == "\n":
            row += 1
            if row == len(rows):
                rows.append("")
        elif piece.endswith("A") and piece.startswith("\x1b"):
            row -= int(piece[2:-1])
        elif piece == "\x1b[J":
            rows[row:] = [""]
        elif piece != "\r" and not piece.startswith("\x1b"):
            rows[row] += piece
    return [line.rstrip() for line in rows if line.strip()]
