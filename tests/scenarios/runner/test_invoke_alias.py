"""Task files written for Invoke run as they are, without Invoke; so do the everyday ones of many teams."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

PROGRAMS = [
    "pytest",
    "ansible-playbook",
    "docker-compose",
    "docker",
    "npm",
    "git",
    "aws",
    "kubectl",
    "kaggle",
    "unzip",
    "sphinx-build",
    "cp",
    "python",
    "flake8",
    "black",
    "mypy",
    "bandit",
    "safety",
]


@pytest.fixture
def stubs(project):
    """Programs that only note how they were called."""
    for name in PROGRAMS:
        path = project.write(f"bin/{name}", f'#!/bin/sh\necho "{name} $*" >> "{project.folder}/calls"\n')
        path.chmod(0o755)

    class Stubs:
        env = {"PATH": f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}"}  # noqa: RUF012

        def calls(self) -> list[str]:
            path = project.folder / "calls"
            found = path.read_text().splitlines() if path.exists() else []
            path.unlink(missing_ok=True)
            return found

    return Stubs()


def test_invoke_itself_is_not_installed_here():
    assert importlib.util.find_spec("invoke") is None


EVERYDAY = '''
from invoke import task, run

@task
def test(c, coverage=False):
    """Run the tests."""
    cmd = "pytest tests/"
    if coverage:
        cmd += " --cov=app"
    c.run(cmd)

@task
def deploy(c, environment=None):
    """Deploy to an environment."""
    if not environment:
        environment = "staging"
    if environment == "production":
        confirm = input("Deploy to production? (y/n): ")
        if confirm.lower() != "y":
            return
    c.run(f"ansible-playbook deploy-{environment}.yml")

@task
def setup(c):
    test(c)
    c.run("docker-compose build")
    c.run("docker-compose up -d")

@task
def build_docker(c, tag="latest"):
    c.run(f"docker build -t myapp:{tag} .")
    c.run(f"docker tag myapp:{tag} registry.example.com/myapp:{tag}")

@task
def clean(c):
    c.run("rm -rf build/ dist/ *.egg-info")

@task(pre=[clean])
def build(c):
    c.run("python setup.py sdist bdist_wheel")

@task(post=[build])
def release(c):
    c.run("git tag v1.0.0")
    c.run("git push --tags")

@task
def test_parallel(c):
    commands = ["pytest tests/unit/", "pytest tests/integration/", "pytest tests/api/"]
    for cmd in commands:
        run(cmd, asynchronous=True)

@task
def docker_compose(c, command="up"):
    if command == "build":
        c.run("docker-compose build")
    elif command == "up":
        c.run("docker-compose up -d")

@task
def download_dataset(c, dataset_name):
    c.run(f"kaggle datasets download {dataset_name}")
    c.run(f"unzip {dataset_name}.zip")

@task
def safe_deploy(c):
    try:
        c.run("git pull origin main")
        c.run("docker-compose build; exit 1")
        print("never")
    except Exception as e:
        print(f"failed: {type(e).__name__}")
        c.run("docker-compose down")
        raise
'''


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("test", ["pytest tests/"]),
        ("test --coverage", ["pytest tests/ --cov=app"]),
        ("test -c", ["pytest tests/ --cov=app"]),
        ("deploy", ["ansible-playbook deploy-staging.yml"]),
        ("deploy -e qa", ["ansible-playbook deploy-qa.yml"]),
        ("setup", ["pytest tests/", "docker-compose build", "docker-compose up -d"]),
        (
            "build-docker --tag=v2",
            ["docker build -t myapp:v2 .", "docker tag myapp:v2 registry.example.com/myapp:v2"],
        ),
        ("build_docker", ["docker build -t myapp:latest .", "docker tag myapp:latest registry.example.com/myapp:latest"]),
        ("build", ["python setup.py sdist bdist_wheel"]),
        ("release", ["git tag v1.0.0", "git push --tags", "python setup.py sdist bdist_wheel"]),
        ("docker-compose build", None),
        ("docker-compose --command=build", ["docker-compose build"]),
        ("download-dataset iris", ["kaggle datasets download iris", "unzip iris.zip"]),
    ],
)
def test_everyday_tasks_call_their_programs(project, stubs, line, calls):
    project.write("tasks.py", EVERYDAY)
    found = project.fa(*line.split(), env=stubs.env)
    if calls is None:  # `build` is the next task there
        calls = ["docker-compose up -d", "python setup.py sdist bdist_wheel"]
    assert (found.stderr, found.status) == ("", 0)
    assert stubs.calls() == calls


def test_started_commands_have_all_ended_when_the_task_has(project, stubs):
    project.write("tasks.py", EVERYDAY)
    assert project.fa("test-parallel", env=stubs.env).status == 0
    assert sorted(stubs.calls()) == ["pytest tests/api/", "pytest tests/integration/", "pytest tests/unit/"]


def test_a_prompt_in_a_task_is_answered_from_the_input(project, stubs):
    project.write("tasks.py", EVERYDAY)
    assert project.fa("deploy", "-e", "production", env=stubs.env, feed="n\n").status == 0
    assert stubs.calls() == []
    assert project.fa("deploy", "-e", "production", env=stubs.env, feed="y\n").status == 0
    assert stubs.calls() == ["ansible-playbook deploy-production.yml"]


def test_a_rollback_runs_and_the_command_that_failed_gives_the_status(project, stubs):
    project.write("tasks.py", EVERYDAY)
    found = project.fa("safe-deploy", env=stubs.env)
    assert (found.stdout, found.status) == ("failed: UnexpectedExit\n", 1)
    assert stubs.calls() == ["git pull origin main", "docker-compose build", "docker-compose down"]


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
