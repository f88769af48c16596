"""The command line of `fa`: tasks, their arguments, listing, help, statuses."""

from __future__ import annotations

import signal

import pytest

NOTHING_RUN = ""


def test_without_a_default_task_the_tasks_are_listed(project):
    project.tasks(
        '''
        @task(aliases=["b"])
        def build_it(c):
            """Build it."""

        @task
        def clean(c):
            pass

        @task
        def _private(c):
            pass
        '''
    )
    listed = "Available tasks:\n\n  build-it (b)  Build it.\n  clean\n"
    assert project.fa().stdout == listed
    assert project.fa("--list").stdout == listed
    assert project.fa("-l").stdout == listed


def test_the_default_task_runs_and_is_named_in_the_list(project):
    project.tasks(
        """
        @task(default=True)
        def build(c):
            print("built")
        """
    )
    assert project.fa().stdout == "built\n"
    assert project.fa("-l").stdout.endswith("\nDefault task: build\n")
    assert project.fa("--name", "z").stderr == "No idea what '--name' is for 'fa'! See: fa --help\n"


def test_core_help_needs_no_task_file(project):
    for flag in ("--help", "-h"):
        found = project.fa(flag)
        assert (found.status, found.stderr) == (0, "")
        assert found.stdout.startswith("Usage: fa [options] [TASK [its options]]... [-- REMAINDER]\n")


@pytest.mark.parametrize("words", [("--help", "build"), ("build", "--help"), ("build", "-h"), ("build", "x", "--help")])
def test_help_of_a_task_never_runs_it_and_is_never_a_value(project, words):
    project.tasks(
        '''
        @task(help={"target-name": "What to build."})
        def build(c, target_name, fast=False, n=2):
            """Build a target.

            Slowly, or not.
            """
            print("ran")
        '''
    )
    assert project.fa(*words).stdout == (
        "Usage: fa [fa options] build [options] TARGET-NAME\n\n"
        "Build a target.\n\nSlowly, or not.\n\n"
        "Arguments:\n  TARGET-NAME  What to build.\n\n"
        "Options:\n  -f, --fast\n  -n INT      (default: 2)\n"
    )


def test_an_unknown_task_or_flag_runs_nothing_and_names_the_nearest(project):
    project.tasks(
        """
        @task
        def first(c):
            print("first")

        @task
        def build(c, flag=False):
            print("build")
        """
    )
    for words, message in [
        (("first", "bild"), "No idea what 'bild' is! Did you mean 'build'?\n"),
        (("first", "build", "--flga"), "No idea what '--flga' is for 'build'! Did you mean '--flag'?\n"),
        (("--help", "buidl"), "No idea what 'buidl' is! Did you mean 'build'?\n"),
    ]:
        found = project.fa(*words)
        assert (found.stdout, found.stderr, found.status) == (NOTHING_RUN, message, 1)


def test_options_of_the_tool_may_follow_a_task_unless_it_has_its_own(project):
    project.tasks(
        """
        @task
        def one(c):
            c.run("echo hi; true")

        @task
        def two(c, echo=False):
            print(echo)
            c.run("echo hi; true")
        """
    )
    assert project.fa("one", "--echo").stdout == "\033[1;37mecho hi; true\033[0m\nhi\n"
    assert project.fa("two", "--echo").stdout == "True\nhi\n"
    assert project.fa("one", "--dry").stdout == "\033[1;37mecho hi; true\033[0m\n"


def test_a_parameter_named_help_is_refused_where_it_is_declared(project):
    project.tasks("@task\ndef h(c, help=''):\n    pass\n")
    found = project.fa("h")
    assert found.status == 1
    assert "task 'h': a parameter cannot be named 'help'" in found.stderr


def test_what_follows_two_dashes_is_the_remainder(project):
    project.tasks("@task\ndef t(c):\n    print(repr(c.remainder), c.remainder_args)\n")
    assert project.fa("t", "--", "a", "b c", "-d").stdout == "'a b c -d' ('a', 'b c', '-d')\n"


def test_no_task_file_says_where_it_was_looked_for(project):
    found = project.fa("build")
    assert found.status == 1
    assert found.stderr.startswith("Can't find any collection named 'tasks'! Looked for tasks.py and tasks/ in ")


def test_the_task_file_is_found_upwards_and_the_directory_stays(project):
    project.tasks('@task\ndef t(c):\n    c.run("pwd")\n')
    (project.folder / "a" / "b").mkdir(parents=True)
    assert project.fa("t", cwd="a/b").stdout == f"{project.folder}/a/b\n"


def test_another_module_package_file_or_root_may_be_named(project):
    project.tasks("@task\ndef t(c):\n    print('other')\n", "other.py")
    project.tasks("@task\ndef t(c):\n    print('package')\n", "pack/__init__.py")
    project.tasks("@task\ndef t(c):\n    print('deep')\n", "deep/tasks.py")
    project.tasks("@task\ndef t(c):\n    print('odd')\n", "odd-name.py")
    assert project.fa("-c", "other", "t").stdout == "other\n"
    assert project.fa("-c", "pack", "t").stdout == "package\n"
    assert project.fa("-r", "deep", "t").stdout == "deep\n"
    assert project.fa("-f", "odd-name.py", "t").stdout == "odd\n"
    assert project.fa("-c", "odd-name.py", "t").stdout == "odd\n"


def test_a_folder_of_modules_is_a_namespace_each(project):
    project.tasks("@task\ndef dev_server(c, port=8000):\n    print(port)\n", "tasks/dev_tasks.py")
    project.tasks("@task\ndef train(c):\n    pass\n", "tasks/ds_tasks.py")
    assert project.fa("-l").lines[2:] == ["  dev-tasks.dev-server", "  ds-tasks.train"]
    assert project.fa("dev-tasks.dev-server", "--port", "1").stdout == "1\n"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("raise Exit", 0, ""),
        ("raise Exit('m')", 1, "m\n"),
        ("raise Exit('m', code=5)", 5, "m\n"),
        ("raise Exit(code=6)", 6, ""),
        ("import sys; sys.exit(9)", 9, ""),
        ("c.run('exit 3')", 3, "fa: task 't': command failed with status 3: exit 3\n"),
        ("c.run('exit 3', warn=True)", 0, ""),
        (
            "c.run('echo one; echo two >&2; exit 3', hide=True)",
            3,
            "--- stdout of 'echo one; echo two >&2; exit 3'\none\n--- stderr of 'echo one; echo two >&2; exit 3'\ntwo\n"
            "fa: task 't': command failed with status 3: echo one; echo two >&2; exit 3\n",
        ),
        ("c.run('kill -9 $$')", 247, "fa: task 't': command failed with status -9: kill -9 $$\n"),
        ("c.run('sleep 30', timeout=0.2)", 124, "fa: task 't': command timed out after 0.2 s: sleep 30\n"),
    ],
)
def test_the_status_says_how_a_task_ended(project, body, status, message):
    project.tasks(f"@task\ndef t(c):\n    {body}\n")
    found = project.fa("t")
    assert (found.status, found.stderr) == (status, message)


def test_an_error_in_a_task_shows_the_frames_of_the_task_file_only(project):
    project.tasks("@task\ndef t(c):\n    c.missing.value\n")
    found = project.fa("t")
    assert found.status == 1
    assert found.stderr.count("  File ") == 1
    assert "No attribute or config key found for 'missing'" in found.stderr
    assert found.stderr.endswith("fa: task 't' failed: AttributeError\n")
    assert project.fa("-d", "t").stderr.count("  File ") > 1


def test_ctrl_c_during_a_command_ends_it_and_runs_what_must_be_run(project):
    project.tasks(
        """
        @task
        def t(c):
            try:
                c.run("trap 'echo trapped; exit 1' INT; echo ready; while :; do sleep 0.05; done")
            finally:
                print("cleaned up", flush=True)
        """
    )
    process = project.start("t")
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == (b"trapped\ncleaned up\n", b"", 130)


def test_ctrl_c_in_python_code_is_status_130(project):
    project.tasks(
        """
        @task
        def t(c):
            import signal
            print("ready", flush=True)
            signal.pause()
        """
    )
    process = project.start("t")
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == (b"", b"", 130)


def test_several_tasks_stand_on_a_line_with_their_own_options(project):
    project.tasks(
        """
        @task
        def build(c, target, fast=False):
            print("build", target, fast)

        @task
        def deploy(c, to="staging"):
            print("deploy", to)
        """
    )
    assert project.fa("build", "build", "--fast", "deploy", "--to=production").lines == [
        "build build True",
        "deploy production",
    ]


def test_the_list_has_three_forms_and_a_depth(project):
    project.tasks(
        "@task(default=True)\ndef build_it(c):\n    '''Build docs.'''\n@task\ndef serve(c):\n    pass\n", "docs.py"
    )
    project.tasks(
        """
        import docs

        @task(aliases=["t"])
        def test(c):
            '''Test.'''

        ns = Collection(test, docs)
        """
    )
    assert project.fa("-l").stdout == (
        "Available tasks:\n\n  test (t)              Test.\n  docs.build-it (docs)  Build docs.\n  docs.serve\n"
    )
    assert project.fa("--list", "docs").stdout == (
        "Available 'docs' tasks:\n\n  .build-it  Build docs.\n  .serve\n\nDefault 'docs' task: .build-it\n"
    )
    assert project.fa("-l", "-F", "nested").stdout == (
        "Available tasks ('*' denotes collection defaults):\n\n"
        "  test (t)        Test.\n  docs\n      .build-it*  Build docs.\n      .serve\n"
    )
    assert project.fa("-l", "-D", "1").stdout == (
        "Available tasks (depth=1):\n\n  test (t)        Test.\n  docs [2 tasks]\n"
    )
    assert project.fa("-l", "-F", "json").stdout.startswith('{"name": "tasks", "help": null, "default": null, "tasks": [')
    assert project.fa("--list", "nosuch").stderr == "Sub-collection 'nosuch' not found!\n"
    assert project.fa("-l", "-F", "bogus").stderr == "fa: no list format 'bogus': one of flat, nested, json\n"
    assert project.fa("docs").status == 0


def test_a_module_without_tasks_says_so(project):
    project.tasks("")
    found = project.fa("-l")
    assert (found.stderr, found.status) == ("No tasks found in collection 'tasks'!\n", 1)


def test_the_version_is_told_in_the_form_of_the_tool(project):
    from faena import __version__

    assert project.fa("--version").stdout == f"fa {__version__}\n"


def test_a_task_file_that_cannot_be_loaded_shows_its_own_frames_only(project):
    project.write("helper.py", "raise RuntimeError('broken helper')\n")
    project.write("tasks.py", "import helper\n")
    found = project.fa("t")
    assert found.status == 1
    assert found.stderr.count("  File ") == 2
    assert found.stderr.endswith("RuntimeError: broken helper\n")
    project.write("tasks.py", "def t(c:\n")
    assert "SyntaxError" in project.fa("t").stderr


def test_a_failure_is_marked_on_the_page_of_the_ci_system(project):
    project.tasks("@task\ndef t(c):\n    c.run('exit 3')\n")
    assert project.fa("t", env={"GITHUB_ACTIONS": "true"}).stdout == (
        "::error title=fa::task 't': command failed with status 3: exit 3\n"
    )
