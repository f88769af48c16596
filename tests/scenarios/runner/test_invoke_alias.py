"""Task files written for Invoke run as they are, without Invoke."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest


def test_invoke_itself_is_not_installed_here():
    assert importlib.util.find_spec("invoke") is None


@pytest.mark.parametrize("source", ["invoke", "faena"])
def test_a_config_per_environment_is_read_by_item(project, source):
    project.write(
        "tasks.py",
        f"""
        from {source} import Config, task

        config = Config({{
            'dev': {{'database_url': 'sqlite:///dev.db', 'debug': True}},
            'prod': {{'database_url': 'postgresql://...', 'debug': False}},
        }})

        @task
        def run_app(c, env='dev'):
            env_config = config[env]
            c.run(f"DATABASE_URL={{env_config['database_url']}} sh -c 'echo $DATABASE_URL'")
        """,
    )
    assert project.fa("run-app").stdout == "sqlite:///dev.db\n"
    assert project.fa("run-app", "--env=prod").stdout == "postgresql://...\n"
    assert project.fa("run-app", "-e", "prod").stdout == "postgresql://...\n"


def test_public_names_and_submodules_are_there(project):
    project.write(
        "tasks.py",
        """
        import invoke
        from invoke import (
            task, Task, Call, call, Collection, Context, MockContext, Config, run, sudo, Result, Promise, Runner, Local,
            Responder, FailingResponder, StreamWatcher, Executor, Program, pty_size, Parser, ParserContext, ParseResult,
            Argument, FilesystemLoader, Exit, Failure, UnexpectedExit,
            CommandTimedOut, AuthFailure, ParseError, CollectionNotFound, PlatformError, ThreadException, WatcherError,
            ResponseNotAccepted, SubprocessPipeError, UnknownFileType, UnpicklableConfigMember, AmbiguousEnvVar,
            UncastableEnvVar,
        )
        from invoke.collection import Collection as C
        from invoke.config import AmbiguousMergeError, DataProxy
        from invoke.context import Context as X
        from invoke.exceptions import Exit as E, Failure as F
        from invoke.executor import Executor as X2
        from invoke.loader import FilesystemLoader as L
        from invoke.parser import Argument as A, Parser as P, ParserContext as PC
        from invoke.program import Program as PR
        from invoke.runners import Result as R
        from invoke.tasks import task as t
        from invoke.watchers import Responder as W
        assert (C, X, E, R, t, W) == (Collection, Context, Exit, Result, task, Responder)

        @invoke.task
        def show(c):
            print(invoke.__version__, isinstance(c, invoke.Context), isinstance(c, X))
        """,
    )
    assert project.fa("show").stdout == "3.0.3 True True\n"


def test_a_task_file_with_namespaces_configuration_and_the_executor(project):
    project.write(
        "docs.py",
        """
        from invoke import task

        @task(default=True)
        def build_it(c, builder="html"):
            print("docs", builder, c.docs.target, c.shared)
        """,
    )
    project.write(
        "tasks.py",
        """
        from invoke import Collection, Executor, task
        import docs

        @task(iterable=["item"], incrementable=["verbose"], optional=["log"], autoprint=True,
              help={"item": "An item."}, aliases=["s"])
        def show(c, item, verbose=0, log=None, name="x"):
            return (item, verbose, log, name)

        @task
        def through(c):
            print(Executor(ns, c.config).execute(("docs", {"builder": "pdf"})) == {docs.build_it: None})

        ns = Collection(show, through, docs)
        ns.configure({"shared": "outer", "docs": {"target": "out"}})
        ns.collections["docs"].configure({"shared": "inner"})
        """,
    )
    assert project.fa("docs").stdout == "docs html out outer\n"
    assert project.fa("s", "--item", "a", "--item=b", "-vv", "--log", "-n", "y").stdout == "(['a', 'b'], 2, True, 'y')\n"
    assert project.fa("show", "--log=f").stdout == "([], 0, 'f', 'x')\n"
    assert project.fa("through").stdout == "docs pdf out outer\nTrue\n"
    assert project.fa("show", "--log", "docs").stderr.startswith(
        "'docs' is ambiguous when given after an optional-value flag"
    )


def test_a_program_of_its_own(project):
    project.write(
        "prog.py",
        """
        from invoke import Collection, Program, task

        @task
        def hello(c, name="world"):
            \"\"\"Greet.\"\"\"
            print("hello", name)

        program = Program(namespace=Collection(hello), name="Prog", version="1.2", binary="prog")
        """,
    )
    code = (
        "from faena.runner.taskfile import install_alias; install_alias(); from prog import program\n"
        "program.run('prog hello --name=x', exit=False)\n"
        "program.run('prog --version', exit=False)\n"
        "program.run('prog --list', exit=False)\n"
        "program.run('prog nosuch', exit=False)\n"
        "program.run('prog hello')\n"
    )
    project.write("main.py", code)
    import subprocess

    found = subprocess.run(
        [sys.executable, "main.py"], cwd=project.folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stdout == "hello x\nProg 1.2\nSubcommands:\n\n  hello  Greet.\nhello world\n"
    assert found.stderr == "No idea what 'nosuch' is!\n"
    assert found.returncode == 0


def test_a_program_with_options_a_configuration_and_an_executor_of_its_own(project):
    project.write(
        "prog.py",
        """
        from invoke import Argument, Collection, Config, Executor, Program, task

        class Own(Config):
            prefix = "prog"

            @staticmethod
            def global_defaults():
                return {**Config.global_defaults(), "place": "nowhere"}

        class Loud(Executor):
            def execute(self, *tasks):
                print("before", [name for name, _ in tasks], self.core.args["where"].value)
                return super().execute(*tasks)

        class Prog(Program):
            def core_args(self):
                return [*super().core_args(), Argument(names=("where", "W"), default="here", help="Where.")]

        @task
        def hello(c, name="world"):
            print("hello", name, c.place)

        ns = Collection(hello)
        plain = Program(namespace=ns, config_class=Own, binary="prog")
        own = Prog(namespace=ns, config_class=Own, executor_class=Loud, binary="prog", version="3")
        """,
    )
    project.write("prog.json", '{"place": "from prog.json"}')
    project.write(
        "main.py",
        """
        from faena.runner.taskfile import install_alias; install_alias()
        from prog import own, plain
        plain.run("prog hello", exit=False)
        own.run("prog --where there hello --name x", exit=False)
        print(own.args["where"].value, own.args["where"].got_value)
        own.run("prog --help", exit=False)
        """,
    )
    import subprocess

    found = subprocess.run(
        [sys.executable, "main.py"], cwd=project.folder, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PROG_PLACE": "the environment"},
    )  # fmt: skip
    assert found.stderr == ""
    assert found.stdout.splitlines()[:4] == [
        "hello world the environment",
        "before ['hello'] there",
        "hello x the environment",
        "there True",
    ]
    assert "--where" in found.stdout
    assert found.stdout.endswith("Subcommands:\n  hello\n")


def test_the_loader_finds_task_files_upwards(project):
    project.write("deep/down/x.txt", "")
    project.tasks("@task\ndef t(c):\n    pass\n", "deep/own.py")
    project.write(
        "main.py",
        """
        from faena.runner.taskfile import install_alias; install_alias()
        from invoke import CollectionNotFound, Config, FilesystemLoader
        module, folder = FilesystemLoader(start="deep/down").load("own")
        print(module.t.name, folder)
        try:
            FilesystemLoader(config=Config(overrides={"tasks": {"collection_name": "nosuch"}})).load()
        except CollectionNotFound as error:
            print(error.name)
        """,
    )
    import subprocess

    found = subprocess.run(
        [sys.executable, "main.py"], cwd=project.folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.stdout, found.stderr) == (f"t {project.folder}/deep\nnosuch\n", "")
