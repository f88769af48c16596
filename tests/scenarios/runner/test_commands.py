"""Commands as real processes: streams, input, terminals, time limits, started ones, secrets."""

from __future__ import annotations

import os
import sys
import time

import pytest

TASK = "@task\ndef t(c):\n"


def run_body(project, body, *words, **more):
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    project.tasks(TASK + lines + "\n")
    return project.fa("t", *words, **more)


def test_output_comes_live_and_is_captured_whether_hidden_or_not(project):
    found = run_body(
        project,
        """
r = c.run("echo out; echo err >&2")
print(repr(r.stdout), repr(r.stderr), r.hide, r.shell, r.pty, r.encoding, r.env["PATH"] != "", r.pid > 0)
print(c.run("echo hidden; echo err >&2", hide="out").stdout)
""",
    )
    assert found.stdout == "out\n'out\\n' 'err\\n' () bash False utf-8 True True\nhidden\n\n"
    assert found.stderr == "err\nerr\n"


def test_a_list_is_run_without_a_shell(project):
    found = run_body(project, 'print(c.run(["printf", "%s|", "a b", "$HOME", "*"], hide=True).stdout)')
    assert found.stdout == "a b|$HOME|*|\n"


def test_directory_prefix_and_environment_reach_the_command(project):
    found = run_body(
        project,
        """
with c.cd("/usr"), c.prefix("export A=1"), c.prefix("export B=2"), c.cd("lib"):
    print(c.run("echo $PWD $A $B", hide=True).stdout.strip())
print(c.run("echo $X$Y", env={"X": 5}, hide=True).stdout.strip())
print(c.run("env", env={"ONLY": "1"}, replace_env=True, hide=True).stdout.splitlines()[0])
print(c.run("pwd", cwd="/usr", hide=True).stdout.strip())
with c.cd("/nosuch"):
    print(c.run("pwd", warn=True, hide=True).stderr.strip())
""",
        env={"Y": "6"},
    )
    assert found.lines == ["/usr/lib 1 2", "56", "ONLY=1", "/usr", "cd: /nosuch: No such file or directory"]


BIG = """
import os

for _ in range(64):
    os.write(1, b"x" * 65536)
    os.write(2, b"y" * 65536)
"""


def test_big_outputs_on_both_streams_do_not_block_and_bytes_stay_as_they_are(project):
    project.write("big.py", BIG)
    project.tasks(
        """
        import sys

        @task
        def t(c):
            r = c.run([sys.executable, "big.py"], hide=True)
            print(len(r.stdout), len(r.stderr))
            print(c.run(r"printf '\\377\\000z'").stdout_bytes)
        """
    )
    process = project.start("t")
    out, _ = process.communicate(timeout=60)
    assert out == b"4194304 4194304\n\xff\x00zb'\\xff\\x00z'\n"


def test_input_is_ours_or_a_stream_or_none(project):
    body = """
import io
print(c.run("cat", hide=True).stdout)
print(c.run("cat", in_stream=io.StringIO("from a stream"), hide=True).stdout)
print(repr(c.run("cat", in_stream=False, hide=True).stdout))
"""
    assert run_body(project, body, feed="typed").lines == ["typed", "from a stream", "''"]


def test_big_input_is_fed_while_output_is_read(project):
    body = """
import io
print(len(c.run("cat", in_stream=io.StringIO("x" * 3_000_000), hide=True).stdout))
"""
    assert run_body(project, body).stdout == "3000000\n"


def test_output_may_go_to_another_stream(project):
    body = """
import io
out, err = io.StringIO(), io.StringIO()
c.run("echo a; echo b >&2", out_stream=out, err_stream=err, hide=True)
print(out.getvalue(), err.getvalue())
"""
    assert run_body(project, body).stdout == "a\n b\n\n"


def test_a_pseudo_terminal_is_one_and_has_no_stderr(project):
    body = """
r = c.run("test -t 1 && test -t 0 && echo tty; echo err >&2", pty=True, hide=True)
print(repr(r.stdout), repr(r.stderr), r.pty)
print(c.run("exit 3", pty=True, warn=True).exited)
"""
    assert run_body(project, body).lines == ["'tty\\r\\nerr\\r\\n' '' True", "3"]


def test_watchers_answer_questions_with_and_without_a_terminal(project):
    body = """
from faena import Responder
for pty in (False, True):
    watcher = Responder(r"name\\? ", "Ada\\n")
    r = c.run("printf 'name? '; read name; echo hello $name", watchers=[watcher], pty=pty, hide=True)
    print(r.stdout.splitlines()[-1])
"""
    assert run_body(project, body).lines == ["name? hello Ada", "hello Ada"]


def test_a_watcher_that_gives_up_ends_the_command(project):
    body = """
from faena import FailingResponder, Failure
try:
    c.run("printf 'pw: '; read p; echo Sorry; sleep 60", watchers=[FailingResponder("pw: ", "x\\n", "Sorry")], hide=True)
except Failure as failure:
    print(failure.result.exited, failure.reason)
"""
    assert run_body(project, body).stdout == "None Auto-response to r\"pw: \" failed with 'Sorry'!\n"


def test_a_time_limit_ends_everything_the_command_started(project):
    body = """
from faena import CommandTimedOut
try:
    c.run("sleep 60 & echo $! > pid; wait", timeout=0.5)
except CommandTimedOut as error:
    print(error.timeout, error.result.exited)
"""
    assert run_body(project, body).stdout == "0.5 -9\n"
    assert_gone(int((project.folder / "pid").read_text()))


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} still runs")


def test_a_started_command_runs_on_and_join_gives_its_result(project):
    body = """
promise = c.run("echo done; sleep 0.1", asynchronous=True)
print(promise.command)
print(promise.join().stdout.strip())
with c.run("echo with", asynchronous=True) as promise:
    pass
"""
    assert run_body(project, body).lines == ["echo done; sleep 0.1", "done"]


def test_what_nobody_joined_is_joined_at_the_end_of_the_task_and_its_failure_is_the_tasks(project):
    project.tasks(
        """
        @task
        def test_parallel(c):
            for name in ("unit", "integration", "api"):
                run(f"sleep 0.2; echo {name} >> log; test {name} != api", asynchronous=True)
            print("started")

        @task
        def after(c):
            print("never")
        """
    )
    found = project.fa("test-parallel", "after")
    assert (found.lines, found.status) == (["started"], 1)
    assert "command failed with status 1: sleep 0.2; echo api" in found.stderr
    assert sorted((project.folder / "log").read_text().split()) == ["api", "integration", "unit"]


def test_a_started_command_is_ended_when_its_task_fails(project):
    body = """
c.run("echo $$ > pid; sleep 60; true", asynchronous=True)
while not __import__("os").path.exists("pid") or not open("pid").read():
    pass
raise ValueError("no")
"""
    began = time.monotonic()
    assert run_body(project, body).status == 1
    assert time.monotonic() - began < 20
    assert_gone(int((project.folder / "pid").read_text()))


def test_a_disowned_command_outlives_the_run(project):
    body = """
r = c.run("sleep 0.5; touch late", disown=True)
print(r.exited, r.ok, r.disowned, r.pid > 0)
"""
    assert run_body(project, body).stdout == "None False True True\n"
    deadline = time.monotonic() + 20
    while not (project.folder / "late").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_command_not_found_is_status_127_in_both_forms(project):
    body = """
print(c.run("no-such-program x", warn=True, hide=True).exited, c.run(["no-such-program"], warn=True, hide=True).exited)
"""
    assert run_body(project, body).stdout == "127 127\n"


def test_a_script_without_its_first_line_runs_all_the_same(project):
    project.write("bin/plain", "echo plain script $1\n").chmod(0o755)
    path = f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}"
    assert run_body(project, 'c.run("plain x")', env={"PATH": path}).stdout == "plain script x\n"


def test_secrets_never_show(project):
    body = """
from faena import Secret
token = Secret("s3cr3t-token")
c.run(f"echo {token}", echo=True)
c.run("printf s3cr3; printf 't-token\\\\n'")
c.run(f"echo {token} >&2; exit 4", hide=True)
"""
    found = run_body(project, body)
    assert "s3cr3t-token" not in found.stdout + found.stderr
    assert found.lines == ["\033[1;37mecho *****\033[0m", "*****", "*****"]
    assert "fa: task 't': command failed with status 4: echo ***** >&2; exit 4" in found.stderr


def test_sudo_answers_the_prompt_and_tells_a_wrong_password(project):
    stub = project.write(
        "bin/sudo",
        f"""\
        #!{sys.executable}
        import subprocess, sys
        words = sys.argv[1:]
        open("called", "w").write(repr(words))
        at = words.index("-p")
        for _ in range(2):
            sys.stderr.write(words[at + 1]); sys.stderr.flush()
            if sys.stdin.readline() == "right\\n":
                words = words[at + 2:]
                while words[0].startswith("-"):
                    words = words[2:] if words[0] == "-u" else words[1:]
                sys.exit(subprocess.call(words))
            sys.stderr.write("Sorry, try again.\\n"); sys.stderr.flush()
        sys.exit(1)
        """,
    )
    stub.chmod(0o755)
    env = {"PATH": f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}"}
    body = """
from faena.errors import AuthFailure
c.config.sudo.password = "right"
print(c.sudo("whoami", user="bob", hide=True, env={"A": "1"}).stdout.strip() != "")
c.config.sudo.password = "wrong"
try:
    c.sudo("whoami", hide=True)
except AuthFailure as error:
    print(error)
"""
    assert run_body(project, body, env=env).lines == [
        "True",
        "The password submitted to prompt '[sudo] password: ' was rejected.",
    ]
    assert (project.folder / "called").read_text() == repr(["-S", "-p", "[sudo] password: ", "whoami"])


def test_options_of_the_configuration_hold_for_every_command(project):
    project.write("invoke.toml", "[run]\nhide = true\nwarn = true\n[timeouts]\ncommand = 0.2\n")
    body = """
print(c.run("echo hidden; exit 3").exited)
c.run("echo shown", hide=False)
"""
    assert run_body(project, body).lines == ["3", "shown"]
    assert run_body(project, "c.run('sleep 60')").status == 124


@pytest.mark.parametrize(("flag", "lines"), [("--hide=both", ["3"]), ("--hide=out", ["3"])])
def test_flags_set_options_of_every_command(project, flag, lines):
    assert run_body(project, 'print(c.run("echo x; exit 3").exited)', flag, "--warn-only").lines == lines


def test_values_that_the_configuration_calls_secret_never_show(project):
    project.write("invoke.toml", 'secrets = ["db.password", "nosuch.name"]\n[db]\npassword = "hunter2-config"\n')
    found = run_body(project, 'c.run(f"echo {c.db.password}; exit 3", echo=True)')
    assert "hunter2-config" not in found.stdout + found.stderr
    assert found.lines == ["\033[1;37mecho *****; exit 3\033[0m", "*****"]
