"""Completion, reports, starting and moving, watching, the cache command, configuration explained."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

TASKS = """
from typing import Literal

@task(aliases=["b"])
def build(c, mode: Literal["fast", "small"] = "fast", color=True, name="x"):
    '''Build it.'''

@task
def _private(c):
    pass

@task
def clean(c):
    pass
"""


@pytest.mark.parametrize(
    ("words", "candidates"),
    [
        (["fa", ""], ["build", "b", "clean"]),
        (["fa", "bu"], ["build", "b", "clean"]),
        (["fa", "clean", ""], ["build", "b", "clean"]),
        (["fa", "build", "--mode", ""], ["fast", "small"]),
        (["fa", "build", "--"], ["--mode", "--color", "--name", "--no-color"]),
        (["fa", "build", "-"], ["--mode", "-m", "--color", "-c", "--name", "-n", "--no-color"]),
        (["fa", "nosuch", ""], []),
    ],
)
def test_completion_prints_a_candidate_a_line(project, words, candidates):
    project.tasks(TASKS)
    found = project.fa("--complete", "--", *words)
    assert (found.lines, found.stderr, found.status) == (candidates, "", 0)


def test_completion_knows_the_tools_own_flags_and_is_silent_where_there_is_nothing(project):
    found = project.fa("--complete", "--", "fa", "--")
    assert "--list" in found.lines
    assert "--jobs" in found.lines
    assert project.fa("--complete", "--", "fa", "").lines == []


COUNTED = """
from faena import task
import helper

print("noise")
with open("runs", "a") as file:
    file.write("x")

@task(aliases=["b"])
def build(c, mode="fast"):
    pass
"""


def test_completing_again_does_not_run_the_task_file_until_something_changed(project):
    (project.folder / "home").mkdir()
    project.write("helper.py", "")
    project.write("tasks.py", COUNTED)
    runs = project.folder / "runs"

    def complete(*words: str, **more) -> list[str]:
        found = project.fa("--complete", "--", "fa", *words, **more)
        assert found.status == 0
        return found.lines

    def count() -> int:
        return len(runs.read_text())

    assert (complete(""), count()) == (["build", "b"], 1)
    assert (complete(""), count()) == (["build", "b"], 1)
    assert (complete("build", "--"), count()) == (["--mode"], 1)
    assert (complete("b", "-"), count()) == (["--mode", "-m"], 1)
    (project.folder / "sub").mkdir()
    assert (complete("", cwd="sub"), count()) == (["build", "b"], 1)
    project.write("tasks.py", COUNTED.replace("mode=", "other="))
    assert (complete("build", "--"), count()) == (["--other"], 2)
    project.write("helper.py", "x = 1\n")
    assert (complete(""), count()) == (["build", "b"], 3)
    project.write("package.json", '{"scripts": {"lint": "eslint"}}')
    assert (complete(""), count()) == (["build", "b", "lint"], 4)
    assert (complete("npm:lint", ""), count()) == (["build", "b", "lint"], 4)
    for path in (project.folder / "home" / ".cache").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    assert (complete(""), count()) == (["build", "b", "lint"], 5)
    assert (complete("", env={"HOME": "/dev/null"}), count()) == (["build", "b", "lint"], 6)  # nowhere to keep it


def test_completion_sees_a_module_that_is_added_to_a_folder_of_tasks(project):
    project.tasks("@task\ndef one(c):\n    pass\n", "tasks/first.py")
    assert project.fa("--complete", "--", "fa", "").lines == ["first.one"]
    assert project.fa("--complete", "--", "fa", "").lines == ["first.one"]
    project.tasks("@task\ndef two(c):\n    pass\n", "tasks/second.py")
    assert project.fa("--complete", "--", "fa", "").lines == ["first.one", "second.two"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_what_its_shell_takes(project, shell):
    text = project.fa("--print-completion-script", shell).stdout
    assert "fa --complete --" in text
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    flag = "--no-execute" if shell == "fish" else "-n"
    checked = subprocess.run([program, flag], input=text, text=True, capture_output=True, timeout=20, check=False)
    assert (checked.stderr, checked.returncode) == ("", 0)


def test_bash_completes_with_the_script(project):
    project.tasks(TASKS)
    project.write("bin/fa", f'#!/bin/sh\nexec {sys.executable} -m faena.cli.fa "$@"\n').chmod(0o755)
    script = project.fa("--print-completion-script=bash").stdout
    ask = script + 'COMP_WORDS=(fa cl); COMP_CWORD=1; _fa; echo "${COMPREPLY[@]}"\n'
    env = {**os.environ, "PATH": f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}"}
    found = subprocess.run(
        ["bash"], input=ask, text=True, capture_output=True, cwd=project.folder, env=env, timeout=30, check=False
    )
    assert found.stdout == "clean\n"


def test_reports_tell_of_every_task(project):
    project.tasks(
        """
        @task
        def good(c):
            pass

        @task
        def bad(c):
            c.run("echo '<out>'; exit 3", hide=True)

        @task(needs=[bad])
        def lost(c):
            pass

        @task(platforms=["windows"])
        def elsewhere(c):
            pass
        """
    )
    found = project.fa("-k", "good", "elsewhere", "lost", "--json=run.json", "--junit=run.xml", "--timing")
    assert found.status == 3
    report = json.loads((project.folder / "run.json").read_text())
    assert report["ok"] is False
    assert [(each["task"], each["status"]) for each in report["tasks"]] == [
        ("good", "done"),
        ("elsewhere", "skipped"),
        ("bad", "failed"),
        ("lost", "cancelled"),
    ]
    suite = ET.parse(project.folder / "run.xml").getroot()  # our own file
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "2")
    failure = suite.find("testcase[@name='bad']/failure")
    assert "command failed with status 3" in failure.get("message")
    assert "<out>" in failure.text
    assert sum(" s  " in line for line in found.stderr.splitlines()) == 4


def test_a_first_task_file_is_written_once_and_runs(project):
    assert project.fa("--init").stdout == "wrote tasks.py; list its tasks with: fa\n"
    assert [line.split()[0] for line in project.fa("-l").lines[2:5]] == ["check", "lint", "test"]
    assert project.fa("lint").status == 0
    assert project.fa("--init").stderr == "fa: tasks.py is there already\n"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_makefile_becomes_a_task_file_that_does_the_same(project):
    (project.folder / "Makefile").write_text(
        "WHO = world\n.PHONY: hello all\n# Say hello.\nhello:\n\t@echo hello $(WHO)\nall: hello\n\techo all\n"
    )
    text = project.fa("--import", "Makefile").stdout
    assert "def hello(c):" in text
    assert "@task(pre=['hello'])\ndef all(c):" in text
    (project.folder / "tasks.py").write_text(text.replace("$(WHO)", "world"))
    assert project.fa("all").lines == ["hello world", "all"]


def test_scripts_of_a_package_become_a_task_file(project):
    project.write("package.json", '{"scripts": {"prebuild": "echo first", "build": "echo built; true"}}')
    project.write("tasks.py", project.fa("--import", "package.json").stdout)
    assert project.fa("build").lines == ["first", "built"]
    assert project.fa("--import", "nosuch").stderr == "nosuch: no such file\n"


def test_watching_runs_again_after_a_change_and_ends_with_ctrl_c(project):
    pytest.importorskip("watchfiles")
    project.tasks(
        """
        @task(sources=["src/*"])
        def show(c):
            print("saw", open("src/a").read(), flush=True)
        """
    )
    project.write("src/a", "one")
    process = project.start("-w", "show")
    try:
        assert process.stdout.readline() == b"saw one\n"
        assert process.stderr.readline() == b"fa: waiting for changes; Ctrl-C ends\n"
        # the watcher begins a little after it says so: change until it notices
        found = b""
        for number in range(100):
            project.write("src/a", f"two {number}")
            import select

            if select.select([process.stdout], [], [], 0.2)[0]:
                found = process.stdout.readline()
                break
        assert found.startswith(b"saw two")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130


def test_the_cache_is_listed_collected_and_cleared(project):
    project.tasks("@task(outputs=['o'])\ndef t(c):\n    open('o', 'w').write('x' * 5000)\n")
    assert project.fa("cache", "ls").stdout == f"{project.folder}/.faena/cache: 0 results, 0 files, 0 bytes\n"
    project.fa("t")
    assert "1 results, 2 files" in project.fa("cache").stdout
    assert project.fa("cache", "gc").stdout.startswith("removed 0 files")
    assert project.fa("cache", "gc", "0").stdout == "removed 2 files; 0 bytes are left\n"
    project.fa("t", "--force")
    assert project.fa("cache", "clear").stdout.startswith("removed 2 files")
    assert project.fa("cache", "burn").stderr == "fa: no 'cache burn': ls, gc [megabytes], clear\n"


def test_environments_and_env_files_are_layers_that_explain_themselves(project):
    project.write(
        "invoke.toml",
        """\
        database = "sqlite"

        [environments.production]
        database = "postgresql"
        run = {echo = true}
        """,
    )
    project.write(".env", "# a comment\nexport NAME='from env file'\nOTHER=x # note\n")
    project.write(".env.production", 'NAME="production"\n')
    project.tasks(
        """
        @task
        def show(c):
            c.run("echo $NAME $OTHER; true", echo=False)
            print(c.database)
        """
    )
    assert project.fa("show").lines == ["from env file x", "sqlite"]
    assert project.fa("show", env={"NAME": "mine"}).lines == ["mine x", "sqlite"]
    assert project.fa("--env", "production", "show").lines == ["production x", "postgresql"]
    assert project.fa("--env", "prodution", "show").stderr == (
        "fa: no environment 'prodution'; did you mean 'production'?\n"
    )
    explained = project.fa("--explain=database", "--env=production").stdout
    assert explained == "database = 'postgresql'  (.env and environment production)\n"
    assert project.fa("--explain=run.echo", env={"INVOKE_RUN_ECHO": "1"}).stdout == "run.echo = True  (environment)\n"
    assert "run.hide = None  (defaults)\n" in project.fa("--explain").stdout


def test_a_configuration_file_that_is_missing_or_broken_is_an_error(project):
    project.tasks("@task\ndef t(c):\n    c.run('true')\n")
    assert "nosuch.toml: No such file or directory" in project.fa("-f", "nosuch.toml", "t").stderr
    project.write("bad.toml", "x = [")
    assert project.fa("-f", "bad.toml", "t").status == 1
    assert "a configuration file ends in one of" in project.fa("-f", "x.ini", "t").stderr


def test_names_that_say_nothing_are_advised_against(project):
    project.tasks("@task\ndef do_stuff(c):\n    pass\n@task\ndef database_backup(c):\n    pass\n")
    assert project.fa("-l").stderr == (
        "fa: 'do-stuff': a name that says what is done helps more, such as 'database-backup'\n"
    )


def test_choosing_needs_a_terminal(project):
    project.tasks(TASKS)
    assert project.fa("--choose").stderr == "fa: --choose needs a terminal; name a task instead\n"


def test_a_report_that_cannot_be_written_hides_nothing(project):
    project.tasks("@task\ndef good(c):\n    print('done')\n@task\ndef bad(c):\n    c.run('exit 3')\n")
    line = "fa: the report cannot be written: nosuch/r.json: No such file or directory\n"
    found = project.fa("good", "--json=nosuch/r.json")
    assert (found.stdout, found.stderr, found.status) == ("done\n", line, 1)
    found = project.fa("bad", "--json=nosuch/r.json")
    assert (found.stderr, found.status) == (line + "fa: task 'bad': command failed with status 3: exit 3\n", 3)


def test_a_value_that_nobody_set_is_not_explained_in_silence(project):
    project.tasks("@task\ndef t(c):\n    pass\n")
    found = project.fa("--explain", "run.ecoh")
    assert found.stderr == "fa: the configuration has no value 'run.ecoh'; did you mean 'run.echo'?\n"
    assert found.status == 1


@pytest.mark.parametrize("count", ["0", "-1", "x"])
def test_a_number_of_jobs_is_a_number(project, count):
    project.tasks("@task\ndef t(c):\n    pass\n")
    found = project.fa("t", f"-j{count}")
    assert found.stderr == f"'t': -j cannot be '{count}': expected a whole number from 1\n"


def test_output_is_folded_and_failures_are_marked_in_each_ci_system(project):
    project.tasks("@task\ndef a(c, x='1'):\n    print('out')\n@task\ndef b(c):\n    c.run('exit 3')\n")
    found = project.fa("a", "-x2", "b", "-k", "-j2", env={"GITHUB_ACTIONS": "true"}).lines
    assert found[:3] == ["::group::a(x=2)", "out", "::endgroup::"]
    assert found[-1].startswith("::error title=fa::task 'b': command failed with status 3")
    found = project.fa("a", "-x2", "b", "-k", "-j2", env={"TF_BUILD": "True"}).lines
    assert found[:3] == ["##[group]a(x=2)", "out", "##[endgroup]"]
    assert found[-1] == "##vso[task.logissue type=error]task 'b': command failed with status 3: exit 3"
    found = project.fa("a", "-x2", "b", "-k", "-j2", env={"GITLAB_CI": "true"}).stdout
    assert re.sub(r":\d+:", ":TIME:", found).split("\n")[:3] == [
        "\033[0Ksection_start:TIME:a_x_2_\r\033[0Ka(x=2)",
        "out",
        "\033[0Ksection_end:TIME:a_x_2_\r\033[0K",
    ]
