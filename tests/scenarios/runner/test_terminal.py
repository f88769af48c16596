"""`fa` on a terminal: commands read it, Ctrl-C ends them, questions are asked, tasks are chosen."""

from __future__ import annotations

import os
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

import threading
shown = threading.Event()

@task
def ask2(c):
    shown.wait(0.5)
    c.run("echo out of ask2")

@task
def slow2(c):
    shown.wait(1)

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
    for answer in ("6\n", "editor\n"):
        fa = terminal("--choose")
        fa.expect("task (number or name): ")
        fa.type(answer)
        fa.expect("both are terminals")
        assert fa.end() == 0


def test_a_parallel_run_shows_how_far_it_is_and_leaves_no_trace_of_that(terminal):
    fa = terminal("ask2", "slow2", "-j2")
    fa.expect("[0/2] ask2, slow2")
    fa.expect("out of ask2")
    assert fa.end() == 0
    last = fa.text.rpartition("\n")[2]
    assert last.rpartition("\033[K")[2].strip() == ""
