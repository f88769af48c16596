"""Invoke's behaviour on the command line, row by row: the same where a task file may rely on it, better elsewhere."""

from __future__ import annotations

import json
import os
import signal

import pytest

TASKS = """
from invoke import task, Collection

@task
def build(c, fast=False):
    "Build it."
    print("build", fast)
    c.run("true x; :")

@task
def helped(c, pos):
    print("helped", pos)
    c.run("echo real; :")

@task
def t(c):
    print(repr(c.remainder), c.remainder_args)
"""


def test_without_a_default_task_the_tasks_are_listed(project):
    project.write("tasks.py", TASKS)
    found = project.fa()
    assert (found.lines[0], found.status) == ("Available tasks:", 0)


def test_a_default_task_of_the_root_runs_and_takes_no_options_without_its_name(project):
    project.write("tasks.py", "from invoke import task\n@task(default=True)\ndef d(c, name='y'):\n    print('d', name)\n")
    assert project.fa().stdout == "d y\n"
    found = project.fa("--name", "z")
    assert found.stderr.startswith("No idea what '--name' is")
    assert (found.stdout, found.status) == ("", 1)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_the_tool_needs_no_task_file(project, flag):
    found = project.fa(flag)
    assert found.stdout.startswith("Usage: fa [options]")
    assert found.status == 0


@pytest.mark.parametrize("line", ["--help build", "build --help", "build -h", "-h build", "helped --help", "helped -h"])
def test_help_of_a_task_runs_nothing_even_where_a_positional_is_missing(project, line):
    project.write("tasks.py", TASKS)
    found = project.fa(*line.split())
    assert found.stdout.startswith("Usage: fa [fa options] ")
    assert found.status == 0


def test_a_flag_of_the_tool_is_never_the_value_of_a_positional(project):
    project.write("tasks.py", TASKS)
    found = project.fa("helped", "--dry")
    assert (found.stderr, found.status) == ("'helped' did not receive required positional arguments: 'pos'\n", 1)
    assert project.fa("helped", "--dry", "x").lines == ["helped x", "\033[1;37mecho real; :\033[0m"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--help nosuch", "No idea what 'nosuch' is!\n"),
        ("--help bild", "No idea what 'bild' is! Did you mean 'build'?\n"),
        ("nosuch", "No idea what 'nosuch' is!\n"),
        ("bild", "No idea what 'bild' is! Did you mean 'build'?\n"),
        ("build bild", "No idea what 'bild' is! Did you mean 'build'?\n"),
        ("build --fasst", "No idea what '--fasst' is for 'build'! Did you mean '--fast'?\n"),
        ("t build --fasst", "No idea what '--fasst' is for 'build'! Did you mean '--fast'?\n"),
        ("build 3", "No idea what '3' is!\n"),
    ],
)
def test_what_nobody_knows_is_named_with_the_nearest_name_and_nothing_has_run(project, line, message):
    project.write("tasks.py", TASKS)
    found = project.fa(*line.split())
    assert (found.stdout, found.stderr, found.status) == ("", message, 1)


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_has_the_form_name_and_number(project, flag):
    name, number = project.fa(flag).stdout.split()
    assert name == "fa"
    assert number[0].isdigit()


def test_the_version_asked_for_after_a_task_leaves_the_task_alone(project):
    project.write("tasks.py", TASKS)
    assert project.fa("t", "-V").stdout == "'' ()\n"


def test_flags_of_the_tool_are_taken_after_a_task_unless_it_has_one_of_that_name(project):
    project.write(
        "tasks.py",
        """
        from invoke import task

        @task
        def plain(c):
            c.run("echo hi; exit 3")

        @task
        def own(c, echo=False, warn_only=False):
            print(echo, warn_only)
            c.run("echo hi; :")
        """,
    )
    shown = "\033[1;37mecho hi; exit 3\033[0m"
    for line in ("plain --echo -W", "-e plain -W", "-eW plain", "-W plain -e"):
        found = project.fa(*line.split())
        assert (found.lines, found.status) == ([shown, "hi"], 0)
    assert project.fa("own", "--echo", "--warn-only").lines == ["True True", "hi"]
    assert project.fa("-e", "own").lines == ["False False", "\033[1;37mecho hi; :\033[0m", "hi"]


def test_a_parameter_named_help_is_an_error_where_it_is_declared(project):
    project.write("tasks.py", "from invoke import task\n@task\ndef h(c, help=''):\n    pass\n")
    found = project.fa("-l")
    assert "task 'h': a parameter cannot be named 'help' (--help is the tool's own)" in found.stderr
    assert found.status == 1


def test_what_follows_two_dashes_is_one_text_and_a_list(project):
    project.write("tasks.py", TASKS)
    assert project.fa("t", "--", "a", "b c", "-d").stdout == "'a b c -d' ('a', 'b c', '-d')\n"


def test_no_task_file_is_an_error_that_says_what_was_looked_for(project):
    found = project.fa("t")
    assert found.stderr.startswith("Can't find any collection named 'tasks'!")
    assert found.status == 1


def test_a_task_file_of_a_parent_folder_is_found_and_the_folder_is_not_changed(project):
    project.write("tasks.py", "from invoke import task\nimport os\n@task\ndef t(c):\n    print(os.getcwd())\n")
    (project.folder / "a" / "b").mkdir(parents=True)
    assert project.fa("t", cwd="a/b").stdout == f"{project.folder}/a/b\n"


def test_another_module_or_package_may_be_named_and_its_folder_is_importable(project):
    project.write("lib/beside.py", "NAME = 'beside'\n")
    text = "from invoke import task\nimport beside\n@task\ndef t(c):\n    print('{}', beside.NAME)\n"
    project.write("lib/other.py", text.format("module"))
    project.write("lib/pack/__init__.py", text.format("package"))
    assert project.fa("-c", "other", "-r", "lib", "t").stdout == "module beside\n"
    assert project.fa("--collection=pack", "--search-root=lib", "t").stdout == "package beside\n"
    assert project.fa("-c", "other", "t", cwd="lib").stdout == "module beside\n"
    found = project.fa("-c", "nosuch", "t")
    assert found.stderr.startswith("Can't find any collection named 'nosuch'!")


def test_an_error_in_a_task_is_a_traceback_of_its_own_frames_and_status_1(project):
    project.write("tasks.py", "from invoke import task\n@task\ndef t(c):\n    raise ValueError('no')\n")
    found = project.fa("t")
    assert found.stderr.startswith("Traceback (most recent call last):\n")
    assert (found.stderr.count("File "), found.status) == (1, 1)
    assert "ValueError: no" in found.stderr


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("raise Exit", 0, ""),
        ("raise Exit('m')", 1, "m\n"),
        ("raise Exit('m', code=5)", 5, "m\n"),
        ("raise Exit(code=6)", 6, ""),
        ("import sys; sys.exit(9)", 9, ""),
    ],
)
def test_exit_ends_the_run_with_its_message_and_status(project, body, status, message):
    project.write("tasks.py", f"from invoke import Exit, task\n@task\ndef t(c):\n    {body}\n")
    found = project.fa("t")
    assert (found.stdout, found.stderr, found.status) == ("", message, status)


def test_ctrl_c_in_python_code_is_silent_and_130(project):
    project.write(
        "tasks.py",
        "from invoke import task\nimport signal\n@task\ndef t(c):\n    print('on', flush=True)\n    signal.pause()\n",
    )
    process = project.start("t")
    assert process.stdout.readline() == b"on\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 130


@pytest.mark.parametrize("stdin", ["/dev/null", "a pipe"])
def test_ctrl_c_during_a_command_reaches_its_whole_group(project, stdin):
    project.write(
        "tasks.py",
        """
        from invoke import task

        @task
        def t(c):
            c.run("(trap 'echo inner; exit' INT; echo ready; while :; do sleep 0.05; done)")
        """,
    )
    more = {} if stdin == "/dev/null" else {"stdin": -1}
    process = project.start("t", **more)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == (b"inner\n", b"", 130)


CORE = [
    ("--complete -- fa bu", 0),
    ("--hide=both build", 0),
    ("--hide both build", 0),
    ("--no-dedupe build", 0),
    ("--print-completion-script=bash", 0),
    ("--print-completion-script zsh", 0),
    ("--write-pyc build", 0),
    ("-c tasks build", 0),
    ("-d build", 0),
    ("--debug build", 0),
    ("-l -D 1", 0),
    ("--list --list-depth=1", 0),
    ("-e build", 0),
    ("-f conf.json build", 0),
    ("--config=conf.json build", 0),
    ("-l -F flat", 0),
    ("--list --list-format=nested", 0),
    ("-h", 0),
    ("-p build", 0),
    ("--pty build", 0),
    ("-r . build", 0),
    ("-R build", 0),
    ("--dry build", 0),
    ("-T 60 build", 0),
    ("--command-timeout=60 build", 0),
    ("-W build", 0),
    ("--warn-only build", 0),
]


@pytest.mark.parametrize(("line", "status"), CORE, ids=[line for line, _ in CORE])
def test_every_option_of_invoke_is_there(project, line, status):
    project.write("tasks.py", TASKS)
    project.write("conf.json", "{}")
    found = project.fa(*line.split())
    assert (found.stderr, found.status) == ("", status)


def test_the_sudo_password_is_asked_for_first_and_never_shown(project):
    project.write(
        "tasks.py", "from invoke import task\n@task\ndef t(c):\n    print(c.sudo.__name__, c.config.sudo.password)\n"
    )
    found = project.fa("--prompt-for-sudo-password", "t", feed="s3cret-word\n", start_new_session=True)
    assert found.status == 0
    assert found.stdout.endswith("s3cret-word\n")  # which the task itself printed


def test_byte_code_of_the_task_file_is_kept(project):
    path = project.write("tasks.py", TASKS)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    project.fa("build")
    assert list((project.folder / "__pycache__").glob("tasks.*.pyc"))


# -- listing -----------------------------------------------------------------------------------------------

DOCS = '''
"""About the docs."""
from invoke import task

@task(default=True, aliases=["b"])
def build_it(c):
    """Build the docs.

    More words.
    """

@task
def serve(c):
    pass
'''
ROOT = '''
"""All of it."""
from invoke import task, Collection
import docs

@task(aliases=["zz", "aa"])
def zeta(c):
    """Last of all, with so many words in its first line that they do not fit on one of the terminal at all."""

@task(default=True)
def alpha(c):
    """First."""

inner = Collection("inner", deep=zeta)
ns = Collection(zeta, alpha, docs, inner)
'''


@pytest.fixture
def listed(project):
    project.write("docs.py", DOCS)
    project.write("tasks.py", ROOT)
    return project


def test_the_flat_list_is_sorted_aligned_wrapped_and_names_aliases_and_defaults(listed):
    wanted = (
        "Available tasks:\n\n"
        "  alpha                            First.\n"
        "  zeta (aa, zz)                    Last of all, with so many words in its first\n"
        "                                   line that they do not fit on one of the\n"
        "                                   terminal at all.\n"
        "  docs.build-it (docs, docs.b)     Build the docs.\n"
        "  docs.serve\n"
        "  inner.deep (inner.aa, inner.zz)  Last of all, with so many words in its first\n"
        "                                   line that they do not fit on one of the\n"
        "                                   terminal at all.\n\n"
        "Default task: alpha\n"
    )
    assert listed.fa("--list").stdout == wanted
    assert listed.fa("-l").stdout == wanted


def test_a_namespace_is_listed_by_itself(listed):
    assert listed.fa("--list", "docs").stdout == (
        "Available 'docs' tasks:\n\n  .build-it (.b)  Build the docs.\n  .serve\n\nDefault 'docs' task: .build-it\n"
    )
    found = listed.fa("--list", "nosuch")
    assert (found.stderr, found.status) == ("Sub-collection 'nosuch' not found!\n", 1)


def test_the_nested_list_is_a_tree_with_stars_and_the_words_of_collections(listed):
    found = listed.fa("-l", "-F", "nested").stdout
    assert found.startswith("Available tasks ('*' denotes collection defaults):\n\n")
    rows = [" ".join(line.split()) for line in found.splitlines()[2:] if line.strip()]
    assert "alpha* First." in rows
    assert "docs About the docs." in rows
    assert ".build-it* (b) Build the docs." in rows
    indent = {line.split()[0]: len(line) - len(line.lstrip()) for line in found.splitlines()[2:] if line.strip()}
    assert indent[".serve"] > indent["docs"] == indent["alpha*"]


def test_the_json_list_nests_and_goes_by_the_names_that_can_be_called(listed):
    found = json.loads(listed.fa("-l", "-F", "json").stdout)
    assert (found["name"], found["help"], found["default"]) == ("tasks", "All of it.", "alpha")
    assert found["tasks"] == [
        {"name": "alpha", "help": "First.", "aliases": []},
        {"name": "zeta", "help": found["tasks"][1]["help"], "aliases": ["aa", "zz"]},
    ]
    docs, inner = found["collections"]
    assert (docs["name"], docs["help"], docs["default"]) == ("docs", "About the docs.", "build-it")
    assert docs["tasks"][0] == {"name": "build-it", "help": "Build the docs.", "aliases": ["b"]}
    assert (inner["name"], inner["tasks"][0]["name"]) == ("inner", "deep")  # bound as that


def test_an_unknown_form_and_a_depth_for_json_are_refused_in_one_line(listed):
    for line, message in (
        ("-l -F bogus", "fa: no list format 'bogus': one of flat, nested, json\n"),
        ("-l -F json -D 1", "fa: --list-depth cuts nothing off the json form; leave it away\n"),
    ):
        found = listed.fa(*line.split())
        assert (found.stderr, found.status) == (message, 1)


def test_a_depth_sums_up_what_lies_deeper(listed):
    found = listed.fa("-l", "-D", "1").stdout
    assert found.startswith("Available tasks (depth=1):\n")
    rows = [" ".join(line.split()) for line in found.splitlines()]
    assert "docs [2 tasks] About the docs." in rows
    assert "inner [1 task]" in rows


def test_a_module_without_tasks_says_so(project):
    project.write("tasks.py", "import os\n")
    found = project.fa("-l")
    assert (found.stdout, found.stderr, found.status) == ("", "No tasks found in collection 'tasks'!\n", 1)


def test_help_of_a_task_has_its_docstring_positionals_defaults_and_forms(project):
    project.write(
        "tasks.py",
        '''
        from invoke import task

        @task(optional=["log"], iterable=["item"], incrementable=["verbose"], help={"name": "A name."})
        def build(c, pos, name="x", n_times=3, ratio=1.5, flag=False, color=True, log=None, item=None, verbose=0):
            """Build it.

            In several ways.
            """

        @task
        def plain(c):
            pass
        ''',
    )
    assert project.fa("--help", "build").stdout == (
        "Usage: fa [fa options] build [options] POS\n\n"
        "Build it.\n\nIn several ways.\n\n"
        "Arguments:\n  POS\n\n"
        "Options:\n"
        "  -n, --name=TEXT     A name. (default: x)\n"
        "  -t, --n-times=INT   (default: 3)\n"
        "  -r, --ratio=NUMBER  (default: 1.5)\n"
        "  -f, --flag\n"
        "  -c, --[no-]color\n"
        "  -l, --log[=TEXT]\n"
        "  -i, --item=TEXT     (may be repeated)\n"
        "  -v, --verbose\n"
    )
    assert project.fa("plain", "--help").stdout == "Usage: fa [fa options] plain\n"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["inv", ""], ["alpha", "zeta", "aa", "zz", "docs.build-it", "docs", "docs.b", "docs.serve"]),
        (["inv", "al"], ["alpha", "zeta", "aa", "zz", "docs.build-it"]),
        (["inv", "docs", "--"], []),
    ],
)
def test_completion_of_words_gives_all_names_and_aliases(listed, words, wanted):
    found = listed.fa("--complete", "--", *words)
    assert set(wanted) <= set(found.lines)
    assert found.status == 0


def test_completion_of_dashes_gives_the_flags_of_the_task_or_of_the_tool(project):
    project.write("tasks.py", "from invoke import task\n@task\ndef t(c, name='', color=True):\n    pass\n")
    assert project.fa("--complete", "--", "inv", "t", "--").lines == ["--name", "--color", "--no-color"]
    assert project.fa("--complete", "--", "inv", "t", "-").lines == ["--name", "-n", "--color", "-c", "--no-color"]
    assert {"--echo", "--hide", "--list"} <= set(project.fa("--complete", "--", "inv", "--").lines)
    assert "-e" in project.fa("--complete", "--", "inv", "-").lines


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(project, shell):
    assert "fa --complete --" in project.fa("--print-completion-script", shell).stdout
