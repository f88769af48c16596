"""Invoke's behaviour of configuration, collections, programs and public names, row by row."""

from __future__ import annotations

import subprocess
import sys

import pytest

SHOW = """
from invoke import Collection, task

@task
def show(c):
    print(c.who)

ns = Collection(show)
ns.configure({"who": "collection", "number": 1, "switch": True, "nothing": None, "things": [1]})
"""


@pytest.fixture
def layered(project):
    project.write("tasks.py", SHOW)
    (project.folder / "home").mkdir()
    return project


def test_each_layer_wins_over_those_before_it(layered):
    steps = [
        (lambda: None, (), {}, "collection"),
        (lambda: layered.write("home/.invoke.json", '{"who": "user"}'), (), {}, "user"),
        (lambda: layered.write("invoke.json", '{"who": "project"}'), (), {}, "project"),
        (lambda: None, (), {"INVOKE_WHO": "environment"}, "environment"),
        (lambda: layered.write("run.json", '{"who": "runtime"}'), ("-f", "run.json"), {"INVOKE_WHO": "x"}, "runtime"),
        (lambda: None, (), {"INVOKE_RUNTIME_CONFIG": "run.json"}, "runtime"),
    ]
    for change, words, env, wanted in steps:
        change()
        assert layered.fa(*words, "show", env=env).stdout == wanted + "\n"


def test_flags_win_over_files_and_changes_of_tasks_over_flags(project):
    project.write("invoke.json", '{"run": {"echo": false, "warn": false}}')
    project.write(
        "tasks.py",
        """
        from invoke import task

        @task
        def first(c):
            print(c.config.run.echo, c.config.run.warn, c.config.run.hide, c.config.timeouts.command, c.config.run.pty)
            c.config.run.echo = False

        @task
        def second(c):
            print(c.config.run.echo)
        """,
    )
    assert project.fa("-e", "-W", "--hide=out", "-T", "7", "-p", "first", "second").lines == [
        "True True out 7.0 True",
        "False",
    ]
    assert project.fa("--no-dedupe", "-R", "first").lines == ["False False None None False"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("invoke.yaml", "who: file\n"),
        ("invoke.yml", "who: file\n"),
        ("invoke.json", '{"who": "file"}'),
        ("invoke.py", "import_free = 1\nwho = 'file'\n__hidden = 1\n"),
        ("invoke.toml", "who = 'file'\n"),
        ("faena.toml", "timezone = 'UTC'\n[runner]\nwho = 'file'\n"),
        ("pyproject.toml", "[tool.faena.runner]\nwho = 'file'\n"),
        ("pyproject.toml", "[tool.invoke]\nwho = 'file'\n"),
    ],
)
def test_the_projects_file_may_have_these_forms(layered, name, text):
    (layered.folder / name).write_text(text)
    assert layered.fa("show").stdout == "file\n"


def test_the_first_form_that_exists_counts(layered):
    for suffix, text in (("yaml", "who: yaml"), ("yml", "who: yml"), ("json", '{"who": "json"}')):
        layered.write(f"invoke.{suffix}", text)
    assert layered.fa("show").stdout == "yaml\n"
    (layered.folder / "invoke.yaml").unlink()
    assert layered.fa("show").stdout == "yml\n"


def test_a_module_in_a_python_file_is_refused(layered):
    layered.write("invoke.py", "import os\n")
    assert "'os' is a module, which is no value for a configuration" in layered.fa("show").stderr


def test_a_missing_or_unknown_file_is_an_error(layered):
    found = layered.fa("-f", "nosuch.yaml", "show")
    assert (found.stdout, found.status) == ("", 1)
    assert "nosuch.yaml: No such file or directory" in found.stderr
    assert layered.fa("-f", "x.ini", "show").status == 1
    layered.write("x.toml", "who = 'toml'\n")
    assert layered.fa("-f", "x.toml", "show").stdout == "toml\n"


def test_groups_merge_deeply_and_a_group_against_a_value_is_an_error(project):
    project.write("invoke.json", '{"a": {"x": 1, "deep": {"m": 1}}}')
    project.write("run.json", '{"a": {"y": 2, "deep": {"n": 2}}}')
    project.write("bad.json", '{"a": 5}')
    project.write("tasks.py", "from invoke import task\n@task\ndef show(c):\n    print(c.a)\n")
    assert project.fa("-f", "run.json", "show").stdout == "<DataProxy: {'x': 1, 'deep': {'m': 1, 'n': 2}, 'y': 2}>\n"
    found = project.fa("-f", "bad.json", "show")
    assert "Can't merge a group of values 'a' with 5" in found.stderr
    assert found.status == 1


@pytest.mark.parametrize(
    ("variable", "text", "shown"),
    [
        ("SWITCH", "0", "False"),
        ("SWITCH", "", "False"),
        ("SWITCH", "no", "False"),
        ("SWITCH", "false", "False"),
        ("SWITCH", "off", "False"),
        ("SWITCH", "1", "True"),
        ("SWITCH", "anything", "True"),
        ("NUMBER", "7", "7"),
        ("NOTHING", "text", "'text'"),
        ("NEW", "x", "None"),
    ],
)
def test_variables_set_what_exists_in_its_type(layered, variable, text, shown):
    layered.write("tasks.py", SHOW.replace("print(c.who)", f"print(repr(c.get('{variable.lower()}')))"))
    assert layered.fa("show", env={f"INVOKE_{variable}": text}).stdout == shown + "\n"


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("NUMBER", "x", "Can't turn NUMBER='x' into a int"),
        ("THINGS", "x", "Can't turn THINGS='x' into a list"),
    ],
)
def test_a_variable_that_does_not_fit_is_one_line(layered, variable, text, message):
    found = layered.fa("show", env={f"INVOKE_{variable}": text})
    assert message in found.stderr
    assert ("Traceback" in found.stderr, found.status) == (False, 1)


def test_two_values_of_one_variable_name_are_an_error_where_it_is_set(project):
    project.write("invoke.json", '{"run_echo": 1}')
    project.write("tasks.py", "from invoke import task\n@task\ndef show(c):\n    print(c.run_echo)\n")
    assert project.fa("show").stdout == "1\n"  # Invoke: an error on any run
    found = project.fa("show", env={"INVOKE_RUN_ECHO": "1"})
    assert "Found >1 source for RUN_ECHO" in found.stderr


def test_outer_collections_win_and_what_a_task_changes_stays(project):
    project.write(
        "tasks.py",
        """
        from invoke import Collection, task

        @task
        def show(c):
            print(c.shared, c.own)
            c.shared = "changed"

        @task
        def later(c):
            print(c.shared)

        inner = Collection("inner", show)
        inner.configure({"shared": "inner", "own": "inner"})
        ns = Collection(inner, later)
        ns.configure({"shared": "root"})
        """,
    )
    assert project.fa("inner.show", "later").lines == ["root inner", "changed"]


def test_a_variable_that_a_task_sets_counts_for_later_tasks(project):
    project.write(
        "tasks.py",
        """
        import os
        from invoke import task

        @task
        def first(c):
            print(c.config.run.warn)
            c.config.run.pty = True
            os.environ["INVOKE_RUN_WARN"] = "1"

        @task
        def second(c):
            print(c.config.run.warn, c.config.run.pty)
            del os.environ["INVOKE_RUN_WARN"]

        @task
        def third(c):
            print(c.config.run.warn, c.config.run.pty)
        """,
    )
    assert project.fa("first", "second", "third").lines == ["False", "True True", "False True"]


def test_defaults_are_those_of_invoke(project):
    project.write(
        "tasks.py",
        """
        from invoke import Config, task

        @task
        def show(c):
            found = Config()
            print(sorted(found.run), found.run.shell, found.run.env, found.run.watchers, found.run.fallback)
            print(dict(found.sudo), found.timeouts.command, sorted(found.tasks), sorted(found.runners))
            print(found.tasks.auto_dash_names, found.tasks.collection_name, found.tasks.dedupe, found.tasks.executor_class)
        """,
    )
    assert project.fa("show").lines == [
        "['asynchronous', 'disown', 'dry', 'echo', 'echo_format', 'echo_stdin', 'encoding', 'env', 'err_stream', "
        "'fallback', 'hide', 'in_stream', 'out_stream', 'pty', 'replace_env', 'shell', 'warn', 'watchers'] "
        "bash <DataProxy: {}> [] True",
        "{'password': None, 'prompt': '[sudo] password: ', 'user': None} None "
        "['auto_dash_names', 'collection_name', 'dedupe', 'executor_class', 'ignore_unknown_help', 'search_root'] "
        "['local']",
        "True tasks True None",
    ]


def test_a_runner_of_ones_own_takes_the_place_of_the_local_one(project):
    project.write(
        "tasks.py",
        """
        from invoke import Collection, Local, task

        class Loud(Local):
            def run(self, command, **kwargs):
                print("running", command)
                return super().run(command, **kwargs)

        @task
        def t(c):
            c.run("echo hi; :")

        ns = Collection(t)
        ns.configure({"runners": {"local": Loud}})
        """,
    )
    assert project.fa("t").lines == ["running echo hi; :", "hi"]


EXECUTOR = """
from invoke import Executor

class Own(Executor):
    def execute(self, *tasks):
        asked = [(each.name, each.as_kwargs) for each in tasks]
        print("before", asked, self.core[0].args["echo"].value, self.core.remainder)
        found = super().execute(*tasks)
        print("after", sorted(found.values()))
        return found
"""


def test_an_executor_of_ones_own_takes_the_place_of_ours(project):
    project.write("beside.py", EXECUTOR)
    project.write("invoke.json", '{"tasks": {"executor_class": "beside.Own"}}')
    project.write(
        "tasks.py",
        """
        from invoke import Exit, task

        @task(default=True)
        def t(c, name="x"):
            c.run(f"echo {name}; :")
            return name

        @task
        def rest(c, *words):
            print(words, c.remainder)
            return "rest"

        @task
        def fails(c):
            c.run("exit 3")
        """,
    )
    assert project.fa("t", "--name", "y").lines == ["before [('t', {'name': 'y'})] False ", "y", "after ['y']"]
    assert project.fa().lines == ["before [('t', {})] False ", "x", "after ['x']"]
    assert project.fa("-e", "t", "rest", "a", "b", "--", "more").lines == [
        "before [('t', {}), ('rest', {})] True more",
        "\033[1;37mecho x; :\033[0m",
        "x",
        "('a', 'b') more",
        "after ['rest', 'x']",
    ]
    found = project.fa("fails")
    assert (found.stderr, found.status) == ("fa: task 'fails': command failed with status 3: exit 3\n", 3)
    assert project.fa("-n", "t").stdout.startswith("t")


@pytest.mark.parametrize(
    ("path", "message"),
    [("beside.Nosuch", "module 'beside' has no attribute 'Nosuch'"), ("no.such", "No module named 'no'"), ("Own", "Empty")],
)
def test_an_executor_that_is_not_there_is_one_line(project, path, message):
    project.write("beside.py", EXECUTOR)
    project.write("tasks.py", "from invoke import task\n@task\ndef t(c):\n    pass\n")
    found = project.fa("t", env={"INVOKE_TASKS_EXECUTOR_CLASS": path})
    assert found.stderr.startswith(f"tasks.executor_class {path!r}: ")
    assert message in found.stderr
    assert (found.stderr.count("\n"), found.status) == (1, 1)


def test_the_names_of_task_files_come_from_the_configuration_too(project):
    project.write("deep/other.py", "from invoke import task\n@task\ndef t(c):\n    print('other')\n")
    env = {"INVOKE_TASKS_COLLECTION_NAME": "other", "INVOKE_TASKS_SEARCH_ROOT": "deep"}
    assert project.fa("t", env=env).stdout == "other\n"
    project.write("home/.invoke.json", '{"tasks": {"collection_name": "other", "search_root": "deep"}}')
    assert project.fa("t").stdout == "other\n"


# -- collections -------------------------------------------------------------------------------------------


def test_every_task_of_the_module_is_taken_imported_ones_too(project):
    project.write("lib.py", "from invoke import task\n@task\ndef imported(c):\n    pass\n")
    project.write("tasks.py", "from invoke import task\nfrom lib import imported\n@task\ndef own(c):\n    pass\n")
    assert project.fa("-l").lines[2:] == ["  imported", "  own"]


@pytest.mark.parametrize("name", ["ns", "namespace"])
def test_a_namespace_holds_only_what_it_holds(project, name):
    project.write(
        "tasks.py",
        f"""
        from invoke import Collection, task

        @task
        def hidden(c):
            pass

        @task
        def shown(c):
            pass

        {name} = Collection(shown)
        """,
    )
    assert project.fa("-l").lines[2:] == ["  shown"]


def test_collections_are_built_looked_up_and_called_in_every_way(project):
    project.write(
        "docs.py",
        """
        "About docs."
        from invoke import Collection, task

        @task(default=True, aliases=["b"])
        def build_it(c):
            print("docs", c.get("level"))

        ns = Collection("papers", build_it)
        ns.configure({"level": 1, "deep": {"x": 1}})
        """,
    )
    project.write(
        "tasks.py",
        """
        from invoke import Collection, task
        import docs

        @task
        def a(c):
            "A."
            print("a")

        @task(name="twice")
        def one(c):
            print("one")

        @task(name="twice")
        def two(c):
            print("two")

        ns = Collection("root", a, docs, bound=a)
        ns.add_task(a, name="again", aliases=["ag"])
        ns.add_collection(Collection("sub", one, two), name="other")
        taken = Collection.from_module(docs, name="given", config={"level": 2})
        ns.add_collection(taken)

        @task
        def look(c):
            print(ns["papers.build-it"].name, ns["papers"].name, "papers.b" in ns, "nosuch" in ns, sorted(ns.task_names))
            print(ns.default, ns.subcollection_from_path("papers").name, taken.__doc__)
            print(taken.configuration(), ns.configuration("papers.build-it"))
            for wrong in (lambda: Collection("r", a, Collection("a")), lambda: Collection(Collection(a)),
                          lambda: Collection(5)):
                try:
                    wrong()
                except (ValueError, TypeError) as error:
                    print(type(error).__name__, error)

        ns.add_task(look)
        """,
    )
    assert project.fa("look").lines == [
        "build_it build_it True False ['a', 'again', 'bound', 'given.build-it', 'look', 'other.twice', 'papers.build-it']",
        "None papers About docs.",
        "{'level': 2, 'deep': {'x': 1}} {'level': 1, 'deep': {'x': 1}}",
        "ValueError Name conflict: this collection has a task named 'a' already",
        "ValueError Non-root collections must have a name!",
        "TypeError No idea how to insert <class 'int'>!",
    ]
    for word in ("papers.build-it", "papers.b", "papers", "papers.build_it"):
        assert project.fa(word).stdout == "docs 1\n"
    assert project.fa("ag", "bound").lines == ["a"]  # one task, whatever it is called
    assert project.fa("other.twice").lines == ["two"]


def test_a_program_lists_helps_and_does_not_exit_when_told_not_to(project):
    project.write(
        "main.py",
        """
        from faena.runner.taskfile import install_alias; install_alias()
        from invoke import Collection, Exit, Program, task

        @task
        def build(c):
            "Build."
            print("built")

        @task
        def fails(c):
            c.run("exit 3")

        @task
        def leaves(c):
            raise Exit("bye", code=4)

        program = Program(namespace=Collection(build, fails, leaves), name="Prog", version="1.2", binary="prog")
        for line in ("prog build", "prog --version", "prog --list", "prog nosuch", "prog fails", "prog leaves"):
            program.run(line, exit=False)
        program.run(["prog", "--help"], exit=False)
        program.run("prog fails")
        """,
    )
    found = subprocess.run(
        [sys.executable, "main.py"], cwd=project.folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stdout.startswith(
        "built\nProg 1.2\nSubcommands:\n\n  build   Build.\n  fails\n  leaves\n"
        "Usage: prog [options] [TASK [its options]]... [-- REMAINDER]\n"
    )
    assert found.stdout.endswith("Subcommands:\n  build   Build.\n  fails\n  leaves\n")
    failed = "fa: task 'fails': command failed with status 3: exit 3"
    assert found.stderr.splitlines() == ["No idea what 'nosuch' is!", failed, "bye", failed]
    assert found.returncode == 3


def test_every_public_name_of_invoke_can_be_imported(project):
    names = """
        task Task Call call Collection Context MockContext Config run sudo Result Promise Runner Local Responder
        FailingResponder StreamWatcher Executor Program FilesystemLoader Parser ParserContext ParseResult Argument pty_size
        Exit Failure UnexpectedExit CommandTimedOut AuthFailure ParseError CollectionNotFound PlatformError ThreadException
        WatcherError ResponseNotAccepted SubprocessPipeError UnknownFileType UnpicklableConfigMember AmbiguousEnvVar
        UncastableEnvVar
    """.split()  # noqa: SIM905  readable, as in the reference
    body = f"import invoke\nfrom invoke import {', '.join(names)}\nfrom invoke.config import AmbiguousMergeError\n"
    body += "@task\ndef t(c):\n    print(len(invoke.__all__), pty_size())\n"
    project.write("tasks.py", "")
    (project.folder / "tasks.py").write_text(body)
    found = project.fa("t")
    assert (found.stderr, found.status) == ("", 0)
    assert found.stdout.endswith("(80, 24)\n")
