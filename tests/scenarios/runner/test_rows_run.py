"""Invoke's behaviour of `c.run`, the context and watchers, row by row: the same, or better on purpose."""

from __future__ import annotations

import os
import sys
import textwrap

import pytest

HEAD = "from invoke import *\nfrom invoke import task\nimport os\n\n@task\ndef t(c):\n"


def run(project, body: str, *words: str, **more):
    text = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    project.write("tasks.py", "")
    (project.folder / "tasks.py").write_text(HEAD + text + "\n")
    return project.fa("t", *words, **more)


# -- the result --------------------------------------------------------------------------------------------


def test_bash_runs_the_command_and_every_field_of_the_result_is_filled(project):
    found = run(
        project,
        """
        r = c.run('echo out; echo err >&2; [[ x == x ]]', hide=True)
        print(repr(r.stdout), repr(r.stderr), r.exited, r.return_code, r.ok, r.failed, bool(r))
        print(r.command, r.shell, r.pty, r.encoding.lower(), r.hide, r.disowned, r.pid > 0)
        print(r.env["HOME"] == os.environ["HOME"], "PATH" in r.env)
        print(repr(r))
        r = c.run("kill -9 $$", warn=True, hide=True)
        print(r.exited, r.ok, r.failed, bool(r))
        """,
    )
    assert (found.stderr, found.status) == ("", 0)
    assert found.lines == [
        "'out\\n' 'err\\n' 0 0 True False True",
        "echo out; echo err >&2; [[ x == x ]] bash False utf-8 ('stdout', 'stderr') False True",
        "True True",
        "<Result cmd='echo out; echo err >&2; [[ x == x ]]' exited=0>",
        "-9 False True False",
    ]


def test_output_is_captured_hidden_or_not_and_with_a_terminal_all_is_stdout(project):
    found = run(
        project,
        """
        print(repr(c.run("echo shown; :").stdout))
        r = c.run("echo a; echo b >&2", pty=True, hide=True)
        print(repr(r.stdout), repr(r.stderr), r.pty)
        """,
    )
    assert found.lines == ["shown", "'shown\\n'", "'a\\r\\nb\\r\\n' '' True"]


def test_the_result_as_text_and_its_tail(project):
    found = run(
        project,
        r"""
        print(str(c.run("printf 'text\n'", hide=True)))
        print(repr(c.run("seq 12; :", hide=True).tail("stdout", count=3)))
        print(repr(c.run("seq 12; :", hide=True).tail("stdout")))
        """,
    )
    assert found.stdout == (
        "Command exited with status 0.\n=== stdout ===\ntext\n\n(no stderr)\n"
        r"'\n\n10\n11\n12'" "\n" r"'\n\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12'" "\n"
    )  # fmt: skip


def test_a_list_is_run_as_it_is(project):
    assert run(project, "c.run(['printf', '%s', '$HOME; a  b'])").stdout == "$HOME; a  b"


def test_a_command_with_a_background_child_is_over_when_its_pipes_are(project):
    found = run(
        project,
        """
        import time
        began = time.monotonic()
        r = c.run("(while [ ! -e go ]; do :; done; echo late) & echo started; touch go", hide=True)
        print(r.stdout.split())
        """,
    )
    assert found.lines == ["['started', 'late']"]


# -- options -----------------------------------------------------------------------------------------------


def test_warn_returns_what_failed_but_still_raises_a_time_limit(project):
    found = run(
        project,
        """
        print(c.run("exit 3", warn=True).exited)
        try:
            c.run("sleep 60", warn=True, timeout=0.1)
        except CommandTimedOut as error:
            print(error.timeout, error.result.exited)
        """,
    )
    assert found.lines == ["3", "0.1 -9"]


@pytest.mark.parametrize(
    ("hide", "out", "err"),
    [
        ("True", "", ""), ("'both'", "", ""), ("'out'", "", "e\n"), ("'stdout'", "", "e\n"), ("'err'", "o\n", ""),
        ("'stderr'", "o\n", ""), ("None", "o\n", "e\n"), ("False", "o\n", "e\n"),
    ],
)  # fmt: skip
def test_hide_hides_the_streams_that_it_names(project, hide, out, err):
    found = run(project, f"c.run('echo o; echo e >&2', hide={hide})")
    assert (found.stdout, found.stderr) == (out, err)


def test_hide_of_anything_else_is_an_error_that_lists_what_there_is(project):
    found = run(project, "c.run('true', hide='nope')")
    assert "ValueError: 'hide' is one of None, False, True, 'both', 'out', 'stdout', 'err', 'stderr'" in found.stderr


def test_echo_is_bold_also_in_a_pipe_and_undone_by_hiding_everything(project):
    found = run(
        project,
        """
        c.run("echo 1; :", echo=True)
        c.run("echo 2; :", echo=True, hide=True)
        c.run("echo 3; :", echo=True, hide="out")
        c.config.run.echo_format = "> {command}"
        c.run("echo 4; :", echo=True)
        """,
    )
    assert found.lines == ["\033[1;37mecho 1; :\033[0m", "1", "\033[1;37mecho 3; :\033[0m", "> echo 4; :", "4"]


def test_dry_shows_and_runs_nothing(project):
    found = run(project, "r = c.run('touch made', dry=True)\nprint(repr(r.stdout), r.exited, r.ok)")
    assert found.lines == ["\033[1;37mtouch made\033[0m", "'' 0 True"]
    assert not (project.folder / "made").exists()


def test_the_environment_is_added_to_or_replaced(project):
    found = run(
        project,
        """
        print(c.run("echo $A$B; :", env={"A": "1"}, hide=True).stdout.strip())
        print("PATH" in c.run("env", env={"A": "1"}, hide=True).stdout)
        print("HOME=" in c.run("/usr/bin/env", env={"A": "1"}, replace_env=True, hide=True).stdout)
        """,
        env={"B": "2"},
    )
    assert found.lines == ["12", "True", "False"]


def test_a_started_command_gives_a_promise(project):
    found = run(
        project,
        """
        promise = c.run("echo done; :", asynchronous=True)
        print(isinstance(promise, Promise), promise.command, hasattr(promise, "stdout"))
        r = promise.join()
        print(type(r).__name__, repr(r.stdout), r.hide)
        with c.run("cat; echo with", asynchronous=True) as second:
            pass
        print(repr(second.join().stdout))
        try:
            c.run("exit 4", asynchronous=True).join()
        except UnexpectedExit as error:
            print(error.result.exited)
        """,
        feed="not for it",
    )
    assert found.lines == ["True echo done; : False", "Result 'done\\n' ('stdout', 'stderr')", "'with\\n'", "4"]


def test_a_disowned_command_gives_a_result_at_once(project):
    found = run(
        project,
        """
        r = c.run("sleep 0.1; touch late", disown=True)
        print(r.exited, r.ok, r.disowned, r.pid > 0)
        try:
            c.run("true", asynchronous=True, disown=True)
        except ValueError as error:
            print(error)
        """,
    )
    assert found.lines == ["None False True True", "Cannot give both 'asynchronous' and 'disown' at the same time!"]


def test_a_time_limit_that_nobody_caught_is_one_line_and_124(project):
    found = run(project, "c.run('sleep 60', timeout=0.1)")
    assert (found.stderr, found.status) == ("fa: task 't': command timed out after 0.1 s: sleep 60\n", 124)
    project.write("invoke.json", '{"timeouts": {"command": 0.1}}')
    assert run(project, "c.run('sleep 60')").status == 124
    (project.folder / "invoke.json").unlink()
    assert run(project, "c.run('sleep 60')", "-T", "0.1").status == 124


def test_streams_may_be_ours(project):
    found = run(
        project,
        """
        import io
        out, err = io.StringIO(), io.StringIO()
        c.run("echo o; echo e >&2", out_stream=out, hide=True)
        c.run("echo e >&2; :", err_stream=err)
        print(repr(out.getvalue()), repr(err.getvalue()))
        print(repr(c.run("cat", in_stream=io.StringIO("in"), hide=True).stdout))
        print(repr(c.run("cat", in_stream=False, hide=True).stdout))
        """,
    )
    assert found.lines == ["'o\\n' 'e\\n'", "'in'", "''"]


def test_encoding_shell_and_fallback_are_options_of_a_call(project):
    found = run(
        project,
        r"""
        print(c.run(r"printf '\351'", encoding="latin-1", hide=True).stdout)
        print(c.run("echo $0", shell="/bin/sh", hide=True).stdout.strip())
        print(c.run("true", pty=True, fallback=True).pty)
        """,
    )
    assert found.lines == ["é", "/bin/sh", "True"]


def test_typed_input_is_echoed_when_asked_for(project):
    body = "c.run('cat > kept', echo_stdin=True, watchers=[Responder('x', 'y')])"
    assert run(project, body, feed="typed\n").stdout == "typed\n"
    assert (project.folder / "kept").read_text() == "typed\n"
    body = "print(c.run('read a; echo $a', watchers=[Responder('x', 'y')], timeout=0.5, warn=True).exited)"
    assert run(project, body).status == 124  # with nothing typed the input stays open for answers


def test_an_unknown_option_is_one_error(project):
    found = run(project, "c.run('true', nope=1)")
    assert found.stderr.count("Traceback") == 1
    assert "TypeError: run() got an unexpected keyword argument 'nope'" in found.stderr


@pytest.mark.parametrize(
    ("option", "value", "body", "lines"),
    [
        ("warn", "true", "print(c.run('exit 3').exited)", ["3"]),
        ("hide", '"out"', "c.run('echo hidden; :'); print('x')", ["x"]),
        ("echo", "true", "c.run('echo a; :')", ["\033[1;37mecho a; :\033[0m", "a"]),
        ("dry", "true", "c.run('echo a; :')", ["\033[1;37mecho a; :\033[0m"]),
        ("pty", "true", "c.run('test -t 1 && echo tty')", ["tty"]),
        ("shell", '"/bin/sh"', "c.run('echo $0')", ["/bin/sh"]),
        ("env", '{"A": "b"}', "c.run('echo $A')", ["b"]),
        ("replace_env", "true", "print('HOME' in c.run('/usr/bin/env', hide=True).stdout)", ["False"]),
        ("encoding", '"latin-1"', "print(c.run('true').encoding)", ["latin-1"]),
        ("asynchronous", "true", "print(type(c.run('true')).__name__)", ["Promise"]),
        ("disown", "true", "print(c.run('true').disowned)", ["True"]),
    ],
)
def test_every_option_is_a_value_of_the_configuration_too(project, option, value, body, lines):
    project.write("invoke.json", f'{{"run": {{"{option}": {value}}}}}')
    found = run(project, body)
    assert (found.stderr, found.lines) == ("", lines)


# -- failure -----------------------------------------------------------------------------------------------


def test_a_failed_command_is_an_error_that_says_it_all(project):
    found = run(
        project,
        """
        for options in ({}, {"hide": True}, {"pty": True}):
            try:
                c.run("echo hello; exit 3", **options)
            except Failure as error:
                print(type(error).__name__, error.result.exited, error.reason, repr(error))
                print(str(error).replace(chr(10), "|").replace(chr(13), ""))
        """,
    )
    head = "Encountered a bad command exit code!||Command: 'echo hello; exit 3'||Exit code: 3||"
    name = "UnexpectedExit 3 None <UnexpectedExit: cmd='echo hello; exit 3' exited=3>"
    assert [line for line in found.lines if line not in ("hello", "hello\r")] == [
        name,
        head + "Stdout: already printed||Stderr: already printed||",
        name,
        head + "Stdout:||hello||Stderr:||||",
        name,
        head + "Stdout: already printed||Stderr: n/a (PTYs have no stderr)||",
    ]


def test_only_the_last_lines_of_a_hidden_stream_are_shown(project):
    found = run(project, "c.run('seq 20; exit 1', hide=True)")
    assert found.stderr.splitlines()[:2] == ["--- stdout of 'seq 20; exit 1'", "11"]


@pytest.mark.parametrize(
    ("command", "status"), [("exit 3", 3), ("no-such-program", 127), ("kill -9 $$", 247)], ids=["3", "127", "247"]
)
@pytest.mark.parametrize("hide", ["None", "True"])
def test_the_programs_status_is_the_commands_and_task_command_and_status_are_named(project, command, status, hide):
    found = run(project, f"c.run('{command}', hide={hide})")
    assert found.status == status
    shown = -9 if status == 247 else status
    assert found.stderr.splitlines()[-1] == f"fa: task 't': command failed with status {shown}: {command}"


# -- the context -------------------------------------------------------------------------------------------


def test_directories_nest_begin_anew_and_are_passed_to_the_process(project):
    (project.folder / "a b;c" / "$d").mkdir(parents=True)
    found = run(
        project,
        """
        import pathlib
        print(repr(c.cwd))
        with c.cd("/usr"):
            with c.cd("lib"):
                print(c.cwd, c.run("pwd", hide=True).stdout.strip())
            with c.cd("/etc"):
                print(c.cwd)
            with c.cd("~"):
                print(c.cwd == os.path.expanduser("~"))
        with c.cd(pathlib.Path("a b;c")), c.cd("$d"):
            print(c.run("pwd", hide=True).stdout.strip() == os.path.realpath("a b;c/$d"))
        print(os.getcwd() == os.path.realpath("."), repr(c.cwd))
        """,
    )
    assert found.lines == ["''", "/usr/lib /usr/lib", "/etc", "True", "True", "True ''"]


def test_prefixes_nest_in_their_order_inside_the_directory(project):
    found = run(
        project,
        """
        with c.cd("/usr"), c.prefix("export A=1"), c.prefix("export B=2"), c.cd("lib"):
            r = c.run("echo $PWD $A $B", hide=True)
        print(r.stdout.strip())
        print(r.command)
        """,
    )
    assert found.lines == ["/usr/lib 1 2", "export A=1 && export B=2 && echo $PWD $A $B"]


SUDO = f"""\
#!{sys.executable}
import sys
open("called", "a").write(repr(sys.argv[1:]) + "\\n")
at = sys.argv.index("-p")
for _ in range(2):
    sys.stderr.write(sys.argv[at + 1]); sys.stderr.flush()
    if sys.stdin.readline() == "right\\n":
        sys.exit(0)
    sys.stderr.write("Sorry, try again.\\n"); sys.stderr.flush()
sys.exit(1)
"""


def test_sudo_is_called_as_invoke_calls_it_and_a_refusal_is_an_error(project):
    project.write("bin/sudo", SUDO).chmod(0o755)
    project.write("invoke.json", '{"sudo": {"password": "right"}}')
    found = run(
        project,
        """
        from invoke.exceptions import AuthFailure
        c.sudo("cmd one", hide=True)
        c.sudo("cmd", user="bob", hide=True)
        c.sudo("cmd", env={"A": "1", "B": "2"}, user="bob", hide=True)
        sudo("cmd", password="right", hide=True)
        c.config.sudo.password = "wrong"
        try:
            c.sudo("cmd", hide=True)
        except AuthFailure as error:
            print(error)
        """,
        env={"PATH": f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}"},
    )
    assert found.lines == ["The password submitted to prompt '[sudo] password: ' was rejected."]
    prompt = ["-S", "-p", "[sudo] password: "]
    assert [eval(line) for line in (project.folder / "called").read_text().splitlines()] == [
        [*prompt, "cmd", "one"],
        [*prompt, "-H", "-u", "bob", "cmd"],
        [*prompt, "--preserve-env=A,B", "-H", "-u", "bob", "cmd"],
        [*prompt, "cmd"],
        [*prompt, "cmd"],
    ]


def test_sudo_in_a_directory_runs_the_command_there(project):
    project.write("bin/sudo", "#!/bin/sh\npwd > called\nshift 3; echo $A $@ >> called\n").chmod(0o755)
    (project.folder / "sub").mkdir()
    env = {"PATH": f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}"}
    run(project, "with c.cd('sub'), c.prefix('export A=1'): c.sudo('cmd one')", env=env)
    assert (project.folder / "sub" / "called").read_text() == f"{project.folder}/sub\n1 cmd one\n"


def test_many_short_commands_do_not_wait_for_a_look(project):
    found = run(
        project, "import time; time.sleep = None\nfor _ in range(3): print(c.run('exit 0; :').ok, c.run('true').ok)"
    )
    assert found.lines == ["True True"] * 3


def test_the_context_reads_and_writes_the_configuration(project):
    project.write("invoke.json", '{"foo": {"bar": 1}}')
    found = run(
        project,
        """
        print(c.foo.bar, c["foo"]["bar"], c.config.foo.bar, "foo" in c, c.get("nosuch", 2))
        c.fresh = {"x": 1}
        c.foo.bar = 5
        c["other"] = 3
        print(c.config.fresh.x, c.config.foo.bar, c.config.other)
        print(repr(c.remainder))
        """,
        "--",
        "a",
    )
    assert found.lines == ["1 1 1 True 2", "1 5 3", "'a'"]


def test_commands_of_the_module_have_a_context_of_their_own(project):
    assert run(project, "run('echo from the module; :')\nprint(Context().run('echo x', hide=True).stdout)").lines == [
        "from the module", "x", "",
    ]  # fmt: skip


def test_a_mock_answers_for_commands(project):
    found = run(
        project,
        """
        import re
        print(MockContext(run=Result("out")).run("x").stdout)
        print(MockContext(run=True).run("x").ok, MockContext(run=False).run("x").exited)
        print(MockContext(run="s").run("x").stdout)
        listed = MockContext(run=["a", "b"])
        print([listed.run("x").stdout for _ in range(3)])
        named = MockContext(run={"one": "1", re.compile("tw.*"): Result("2", exited=3)})
        print(named.run("one").stdout, named.run("two").exited, named.run("two").command)
        try:
            named.run("three")
        except NotImplementedError as error:
            print(error)
        named.run.assert_called_with("three")
        """,
    )
    assert found.lines == ["out", "True 1", "s", "['a', 'b', 'a']", "1 3 two", "three"]


# -- watchers ----------------------------------------------------------------------------------------------


def test_a_responder_answers_each_match_of_what_is_new(project):
    found = run(
        project,
        r"""
        script = "for i in 1 2; do printf 'line\nname? '; read n; echo got $n; done"
        r = c.run(script, watchers=[Responder(r"line.name\? ", "Ada\n")], hide=True)
        print(r.stdout.count("got Ada"))
        """,
    )
    assert found.lines == ["2"]


def test_a_refused_answer_is_a_failure_with_its_reason(project):
    head = """
    script = "printf 'pw: '; read p; echo Sorry; sleep 60"
    watcher = FailingResponder(r"pw: ", "x\\n", "Sorry")
    """
    found = run(
        project,
        head
        + """
    try:
        c.run(script, watchers=[watcher], hide=True, warn=True)
    except Failure as error:
        print(type(error.reason).__name__, error.reason, error.result.exited)
        print(str(error).splitlines()[0])
    """,
    )
    assert found.lines == [
        "ResponseNotAccepted Auto-response to r\"pw: \" failed with 'Sorry'! None",
        "Command was not fully executed due to watcher error.",
    ]
    found = run(project, head + "c.run(script, watchers=[watcher], hide=True)\n")
    assert found.status == 1
    assert found.stderr.splitlines()[-1].startswith("fa: task 't': command not finished: printf 'pw: '")


def test_own_watchers_get_the_whole_text_so_far(project):
    found = run(
        project,
        r"""
        from invoke.watchers import StreamWatcher

        class Own(StreamWatcher):
            seen = ""

            def submit(self, stream):
                assert stream.startswith(self.seen)
                if "ready" in stream and "ready" not in self.seen:
                    yield "go\n"
                self.seen = stream

        print(c.run("echo ready; read word; echo $word", watchers=[Own()], hide=True).stdout.split())
        """,
    )
    assert found.lines == ["['ready', 'go']"]
