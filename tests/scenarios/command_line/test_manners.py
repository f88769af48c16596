"""How the command line behaves as a program: help, terminals, pipes, interruptions, start-up."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import time

import pytest

from faena.cli.catalog import CATALOG, group_for

from .conftest import DEADLINE_S, FAENA


def at_terminal(project, *words, **environ):
    """Run the command with a terminal as its output; return what is drawn there."""
    parent, terminal = pty.openpty()
    kept = {name: value for name, value in project.environment(**{"TERM": "xterm", **environ}).items() if value}
    process = subprocess.Popen(
        [FAENA, *words], cwd=project.folder, env=kept, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    drawn = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other side has closed
            break
        if not part:
            break
        drawn += part
    os.close(parent)
    return process.wait(DEADLINE_S), drawn.decode()


def test_help_lists_every_command(project):
    text = project.ok("--help")
    assert project.ok() == text
    for name, (_, summary) in CATALOG.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", text, re.MULTILINE)


def test_the_summaries_of_the_list_are_those_of_the_commands():
    for name, (_, summary) in CATALOG.items():
        group, functions = group_for([name])
        command = group.commands[name]
        if (name,) in functions:
            assert command.summary == summary
        assert all(function.__doc__ for function in functions.values())


@pytest.mark.parametrize("name", CATALOG)
def test_every_command_has_help(project, name):
    text = project.ok(name, "--help")
    assert text.startswith(f"Usage: faena {name}")
    assert project.ok("help", name) == text


def test_help_of_an_inner_command(project):
    assert project.ok("help", "dead", "requeue").startswith("Usage: faena dead requeue [options] [IDS...]")


def test_the_version_is_printed(project):
    assert re.fullmatch(r"faena \d+\.\d+\.\d+\S*", project.ok("--version"))


def test_a_wrong_line_says_where_help_is(project):
    assert project.refused("dead", "requeue", "--everything").splitlines()[-1] == "Help: faena dead requeue --help"


def test_a_terminal_gets_a_drawn_table_and_a_pipe_gets_columns(project):
    project.ok("call", "tasks.add", "1")
    code, drawn = at_terminal(project, "queues")
    assert code == 0
    assert "───" in drawn
    assert project.ok("queues").splitlines()[0].split() == [
        "QUEUE", "WAITING", "DELAYED", "HELD", "DEAD", "OLDEST", "WORKERS", "STATE",
    ]  # fmt: skip


def test_a_terminal_sees_the_progress_of_a_task_drawn(working):
    code, drawn = at_terminal(working, "call", "tasks.steps", "8", "--wait")
    assert code == 0
    assert "counting" in drawn
    assert "100%" in drawn
    assert drawn.endswith("8\r\n")


def test_colours_are_for_terminals_that_want_them(project):
    colour = "\x1b[3"
    assert colour in at_terminal(project, "doctor", NO_COLOR="")[1]
    assert colour not in at_terminal(project, "doctor")[1]
    assert colour not in at_terminal(project, "doctor", NO_COLOR="", TERM="dumb")[1]
    assert "\x1b" not in project.run("doctor", NO_COLOR="").stdout


def test_a_reader_that_leaves_is_no_error(project):
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [FAENA, "config", "--explain"], cwd=project.folder, env=project.environment(), stdout=write_end,
        stderr=subprocess.PIPE, timeout=DEADLINE_S,
    )  # fmt: skip
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_deleted_folder_is_named(project):
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" queues'
    done = subprocess.run(
        ["sh", "-c", script, FAENA], cwd=project.folder, env=project.environment(), capture_output=True, text=True,
        timeout=DEADLINE_S,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "faena: the current folder has been deleted; change into another one\n"


def test_a_closed_output_is_no_error(project):
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" config >&- 2>&-', FAENA], cwd=project.folder, env=project.environment(), timeout=DEADLINE_S
    )
    assert done.returncode == 0


def test_an_interruption_ends_with_130_and_no_traceback(project):
    process = subprocess.Popen(
        [FAENA, "call", "tasks.add", "1", "--wait"], cwd=project.folder, env=project.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while "no worker is running" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out, err) == (130, "", "\n")


def test_help_is_there_at_once(project):
    """The bar is 120 ms on a quiet machine; a busy one is held to a multiple of what a bare interpreter takes."""

    def best_of(count, *command):
        found = []
        for _ in range(count):
            began = time.perf_counter()
            subprocess.run(command, cwd=project.folder, env=project.environment(), check=True, stdout=subprocess.DEVNULL)
            found.append(time.perf_counter() - began)
        return min(found)

    python = os.path.join(os.path.dirname(FAENA), "python")
    bare_s, help_s = best_of(8, python, "-c", "pass"), best_of(8, FAENA, "--help")
    assert help_s < max(0.120, 6 * bare_s)
