"""Runner classes of task files: each hook that Invoke has takes effect."""

from __future__ import annotations

import signal

import pytest

HEAD = """
import os, subprocess, sys, threading
from invoke import *
from invoke import task
from invoke.runners import Local, Runner

"""
TAIL = """

ns = Collection(t)
ns.configure({"runners": {"local": Own}})
"""


def write(project, own: str, body: str) -> None:
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    (project.folder / "tasks.py").write_text(HEAD + own + "\n@task\ndef t(c):\n" + indented + TAIL)


DUMMY = """
class Own(Runner):
    input_sleep = 0

    def start(self, command, shell, env, timeout=None):
        pass

    def read_proc_stdout(self, num_bytes):
        return ""

    def read_proc_stderr(self, num_bytes):
        return ""

    def _write_proc_stdin(self, data):
        pass

    def close_proc_stdin(self):
        pass

    @property
    def process_is_finished(self):
        return True

    def returncode(self):
        return 0

    def stop(self):
        pass

    @property
    def timed_out(self):
        return False
"""


def test_a_runner_that_does_nothing_gives_results_all_the_same(project):
    write(
        project,
        DUMMY,
        """
r = c.run("rm -rf everything", env={"A": "1"})
print(repr(r), repr(r.stdout), r.shell, r.env["A"], r.hide, r.pty)
print(Own(Context()).run("other", hide=True).hide)
with c.cd("a b"), c.prefix("p"):
    print(c.run("x").command)
print(c.run(["a", "b c"]).command)
""",
    )
    found = project.fa("t")
    assert (found.stderr, found.status) == ("", 0)
    assert found.lines == [
        "<Result cmd='rm -rf everything' exited=0> '' bash 1 () False",
        "('stdout', 'stderr')",
        "cd 'a b' && p && x",
        "a 'b c'",
    ]


def test_a_status_of_ones_own_is_the_commands(project):
    write(project, DUMMY.replace("return 0", "return 7"), "print(c.run('x', warn=True).exited)\nc.run('x')")
    found = project.fa("t")
    assert (found.lines, found.status) == (["7"], 7)
    assert found.stderr == "fa: task 't': command failed with status 7: x\n"


def test_start_may_change_the_command_and_everything_else_stays(project):
    (project.folder / "sub").mkdir()
    write(
        project,
        """
class Own(Local):
    def start(self, command, shell, env):
        print("start", command, flush=True)
        super().start("export WHO=me; " + command, shell, env)
""",
        r"""
r = c.run("echo $WHO $A; echo err >&2; exit 3", env={"A": "a"}, warn=True)
print(r.exited, repr(r.stdout), repr(r.stderr), r.command, r.pid > 0)
with c.cd("sub"):
    print(os.path.basename(c.run("pwd", hide=True).stdout.strip()))
print(repr(c.run("cat").stdout))
print(c.run("read x; echo got $x", watchers=[Responder("ready", "w\n")], in_stream=False, timeout=0.2, warn=True).exited)
""",
    )
    found = project.fa("t", feed="typed")
    assert found.stderr == "err\nfa: task 't': command timed out after 0.2 s: read x; echo got $x\n"
    assert found.lines == [
        "start echo $WHO $A; echo err >&2; exit 3",
        "me a",
        "3 'me a\\n' 'err\\n' echo $WHO $A; echo err >&2; exit 3 True",
        "start cd sub && pwd",
        "sub",
        "start cat",
        "typed'typed'",
        "start read x; echo got $x",
    ]
    assert found.status == 124


def test_start_may_put_a_process_of_its_own_in_place(project):
    write(
        project,
        """
class Own(Local):
    def start(self, command, shell, env):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(["/bin/sh", "-c", command], env=env, stdin=pipe, stdout=pipe, stderr=pipe)
""",
        r"""
script = "printf 'name? '; read n; echo hello $n; exit 2"
r = c.run(script, watchers=[Responder(r"name\? ", "Ada\n")], hide=True, warn=True)
print(r.exited, repr(r.stdout))
try:
    c.run("exec sleep 60", timeout=0.1)
except CommandTimedOut as error:
    print(error.result.exited)
""",
    )
    found = project.fa("t")
    assert (found.stderr, found.lines) == ("", ["2 'name? hello Ada\\n'", "-9"])


def test_hooks_are_called_in_the_order_of_a_run(project):
    names = ("should_use_pty", "echo", "start", "wait", "returncode", "generate_result", "stop")
    hooks = "".join(
        f"    def {name}(self, *args, **kwargs):\n"
        f"        print('{name}', *kwargs)\n"
        f"        return super().{name}(*args, **kwargs)\n\n"
        for name in names
    )
    write(project, f"class Own(Local):\n{hooks}", "print(c.run('true', echo=True).ok)")
    assert [line.split()[0] for line in project.fa("t").lines] == [
        *names[:2], "\033[1;37mtrue\033[0m", *names[2:], "True",
    ]  # fmt: skip
    assert [line.split()[0] for line in project.fa("-R", "t").lines] == [
        *names[:2], "\033[1;37mtrue\033[0m", "generate_result", "True",
    ]  # fmt: skip


@pytest.mark.parametrize(("answer", "shown"), [("True", "tty True"), ("False", "pipe False")])
def test_a_class_decides_on_the_terminal(project, answer, shown):
    own = f"class Own(Local):\n    def should_use_pty(self, pty, fallback):\n        return {answer}\n"
    body = "r = c.run('test -t 1 && echo tty || echo pipe', pty=True, hide=True)\nprint(r.stdout.strip(), r.pty)"
    write(project, own, body)
    assert project.fa("t").stdout == shown + "\n"


def test_a_result_of_ones_own_comes_back(project):
    write(
        project,
        """
class Mine(Result):
    pass

class Own(Local):
    def generate_result(self, **kwargs):
        return Mine(**kwargs)
""",
        r"""
r = c.run(r"printf '\303\251\377'", hide=True)
print(type(r).__name__, r.stdout_bytes)
promise = c.run("echo later", asynchronous=True)
print(type(promise).__name__, promise.command, type(promise.join()).__name__, promise.join().stdout.strip())
gone = c.run("true", disown=True)
print(type(gone).__name__, gone.disowned, gone.exited)
try:
    c.run("exit 4")
except UnexpectedExit as error:
    print(type(error.result).__name__)
""",
    )
    found = project.fa("t")
    assert (found.stderr, found.lines) == (
        "", ["Mine b'\\xc3\\xa9\\xff'", "Promise echo later Mine later", "Mine True None", "Mine"],
    )  # fmt: skip


def test_output_may_come_from_anywhere_and_answers_go_anywhere(project):
    own = (
        DUMMY.replace("Own", "Dummy")
        + """
class Own(Dummy):
    def __init__(self, context):
        super().__init__(context)
        self.asked, self.answer, self.answered = False, b"", threading.Event()

    def read_proc_stdout(self, num_bytes):
        if not self.asked:
            self.asked = True
            return b"name? "
        self.answered.wait(30)
        answer, self.answer = self.answer, b""
        return answer

    def _write_proc_stdin(self, data):
        self.answer += data
        self.answered.set()

    @property
    def process_is_finished(self):
        return self.answered.is_set()
"""
    )
    write(project, own, r'print(repr(c.run("x", watchers=[Responder(r"name\? ", "Ada\n")]).stdout))')
    assert project.fa("t").lines == ["name? Ada", "'name? Ada\\n'"]


def test_a_watcher_that_gives_up_and_an_error_of_a_hook_end_the_command(project):
    write(
        project,
        """
class Own(Local):
    def read_proc_stderr(self, num_bytes):
        found = super().read_proc_stderr(num_bytes)
        if b"boom" in found:
            raise ValueError("read no further")
        return found
""",
        r"""
try:
    c.run("printf 'pw: '; read p; echo Sorry; sleep 60", watchers=[FailingResponder("pw: ", "x\n", "Sorry")], hide=True)
except Failure as failure:
    print(type(failure.reason).__name__, failure.result.exited)
try:
    c.run("echo boom >&2; sleep 60")
except ValueError as error:
    print(error)
""",
    )
    assert project.fa("t").lines == ["ResponseNotAccepted None", "read no further"]


def test_ctrl_c_reaches_the_command_by_the_hook(project):
    write(
        project,
        """
class Own(Local):
    def send_interrupt(self, interrupt):
        print(type(interrupt).__name__, flush=True)
        super().send_interrupt(interrupt)
""",
        "c.run(\"(trap 'echo inner; exit' INT; echo ready; while :; do sleep 0.05; done)\")",
    )
    process = project.start("t")
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (sorted(out.split()), err, process.returncode) == ([b"KeyboardInterrupt", b"inner"], b"", 130)


def test_sudo_goes_by_the_runner_too(project):
    write(project, DUMMY, "print(c.sudo('cmd', user='bob', password='p').command)")
    assert project.fa("t").stdout == "sudo -S -p '[sudo] password: ' -H -u bob cmd\n"


def test_tasks_at_the_same_time_keep_their_output_apart(project):
    (project.folder / "tasks.py").write_text(
        HEAD
        + """
class Own(Local):
    def start(self, command, shell, env):
        super().start(command, shell, env)

@task
def a(c):
    c.run("echo a1; echo a2")

@task
def b(c):
    c.run("echo b1; echo b2")

@task(needs=[a, b])
def t(c):
    pass
"""
        + TAIL
    )
    found = project.fa("-j2", "--output=prefixed", "t")
    assert sorted(found.lines) == ["[a] a1", "[a] a2", "[b] b1", "[b] b2"]
