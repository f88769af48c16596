"""Makefile, package.json and Rakefile: listed and run beside the task file, by their own tools."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

MAKEFILE = """\
NAME = out
PARTS = one two

.PHONY: all clean test deploy

all: $(PARTS) ## Everything

# Take it away.
clean:
\t@echo cleaning

test:
\t@echo make tests

deploy: test clean
\t@echo deploying $(NAME)

$(PARTS):
\t@echo part $@

%.o: %.c
\t@echo compile

out.txt: in.txt
\tcp in.txt out.txt
"""

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
needs_rake = pytest.mark.skipif(shutil.which("rake") is None, reason="rake is not installed")


@needs_make
def test_targets_of_a_makefile_are_what_make_says_with_comments_and_prerequisites(project):
    (project.folder / "Makefile").write_text(MAKEFILE)
    (project.folder / "in.txt").write_text("x")
    assert project.fa("-l").stdout == (
        "Available tasks:\n\n"
        "  all      Everything (after one, two)\n"
        "  clean    Take it away.\n"
        "  deploy   (after test, clean)\n"
        "  one\n"
        "  out.txt  (after in.txt)\n"
        "  test\n"
        "  two\n"
    )
    assert project.fa("deploy").lines == ["make tests", "cleaning", "deploying out"]
    assert project.fa("test", "deploy", "--", "NAME=other").lines[-1] == "deploying other"
    assert project.fa("out.txt").status == 0
    assert (project.folder / "out.txt").read_text() == "x"
    assert project.fa("nosuch").stderr.startswith("No idea what 'nosuch' is!")


@needs_make
def test_a_failing_target_fails_the_run_with_its_tools_status(project):
    (project.folder / "Makefile").write_text("bad:\n\t@exit 3\n")
    found = project.fa("bad")
    assert found.status == 2
    assert "fa: task 'bad': command failed with status 2: make -f Makefile bad" in found.stderr


@needs_make
def test_targets_and_tasks_depend_on_one_another_and_clashes_have_their_prefix(project):
    (project.folder / "Makefile").write_text("test:\n\t@echo make tests\nlint:\n\t@echo make lint\n")
    project.tasks(
        """
        @task(needs=["make:test", "lint"])
        def test(c):
            '''Python tests.'''
            print("python tests")
        """
    )
    assert project.fa("-l").lines[2:] == ["  lint", "  make:test", "  test       Python tests."]
    assert project.fa("test").lines == ["make tests", "make lint", "python tests"]
    assert project.fa("make:lint").lines == ["make lint"]


@pytest.mark.parametrize(
    ("lock", "field", "call"),
    [
        ("", "", "npm run --silent build -- --fast"),
        ("package-lock.json", "", "npm run --silent build -- --fast"),
        ("pnpm-lock.yaml", "", "pnpm run build --fast"),
        ("yarn.lock", "", "yarn run build --fast"),
        ("bun.lock", "", "bun run build --fast"),
        ("", ', "packageManager": "pnpm@9.1.0"', "pnpm run build --fast"),
    ],
)
def test_scripts_are_run_by_the_package_manager_whose_lock_file_is_there(project, lock, field, call):
    for name in ("npm", "pnpm", "yarn", "bun"):
        project.write(f"bin/{name}", f'#!/bin/sh\necho "{name} $*"\n').chmod(0o755)
    project.write("package.json", f'{{"scripts": {{"build": "webpack", "test": "jest"}}{field}}}')
    if lock:
        project.write(lock, "")
    env = {"PATH": f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}"}
    assert project.fa("-l", env=env).lines[2:] == ["  build  webpack", "  test   jest"]
    assert project.fa("build", "--", "--fast", env=env).stdout == call + "\n"


@needs_npm
def test_npm_itself_runs_a_script(project):
    project.write("package.json", '{"name": "x", "version": "1.0.0", "scripts": {"hello": "echo hello"}}')
    assert project.fa("hello").stdout == "hello\n"
    assert project.fa("hello", "--", "you").stdout == "hello you\n"


@needs_rake
def test_tasks_of_a_rakefile_are_what_rake_says(project):
    project.write(
        "Rakefile",
        """\
        desc "Run the tests"
        task :test do
          puts "tests"
        end
        task :plain
        namespace :db do
          desc "Fill it"
          task :seed => :test do
            puts "seed"
          end
        end
        """,
    )
    assert project.fa("-l").lines[2:] == ["  db:seed  Fill it (after test)", "  plain", "  test     Run the tests"]
    assert project.fa("db:seed").lines == ["tests", "seed"]


def test_a_rakefile_without_rake_is_told_about_and_stops_nothing(project):
    project.write("Rakefile", "task :x\n")
    project.tasks("@task\ndef t(c):\n    print('ran')\n")
    (project.folder / "empty").mkdir()
    env = {"PATH": f"{project.folder}/empty", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = project.fa("-l", env=env)
    assert found.lines[2:] == ["  t"]
    assert found.stderr == f"fa: {project.folder}/Rakefile: its tasks need rake, which is not on the PATH\n"
    assert project.fa("t", env=env).stderr == ""


def test_a_broken_package_json_is_told_about(project):
    project.write("package.json", "{")
    found = project.fa("-l")
    assert found.status == 1
    assert f"fa: {project.folder}/package.json: Expecting property name" in found.stderr


@needs_make
def test_a_name_that_several_files_have_is_asked_about(project):
    (project.folder / "Makefile").write_text("deploy:\n\t@echo make\n")
    project.write("package.json", '{"scripts": {"deploy": "echo npm"}}')
    project.tasks("@task(needs=['deploy'])\ndef t(c):\n    pass\n")
    line = "'deploy' stands in several files; say which: make:deploy, npm:deploy\n"
    for words in (["deploy"], ["t"]):
        found = project.fa(*words)
        assert (found.stdout, found.stderr, found.status) == ("", line, 1)
    assert project.fa("make:deploy").stdout == "make\n"


@needs_make
def test_tasks_of_other_tools_need_ours_where_ours_say_so(project):
    (project.folder / "Makefile").write_text("deploy: build\n\t@echo make deploy\nbuild:\n\t@echo make build\n")
    text = """
        @task(needed_by=["deploy", "make:build"])
        def check(c):
            print("checked")

        @task
        def other(c):
            pass
        """
    project.tasks(text)
    assert project.fa("deploy").lines == ["checked", "make build", "make deploy"]
    assert project.fa("build", "deploy", "-j2").lines[0] == "checked"
    assert project.fa("deploy", "--graph").lines == ["deploy", "└── check"]
    project.tasks(text.replace("make:build", "make:biuld"))
    assert project.fa("deploy").stderr == (
        "task 'check': needed_by names 'make:biuld', which is no task; did you mean 'make:build'?\n"
    )
    assert project.fa("other").status == 0
