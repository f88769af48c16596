"""`faena config` and `faena doctor`."""

from __future__ import annotations

import json
import os

import pytest


def checks_of(project, *words, code=0, **environ):
    done = project.run("doctor", "--json", *words, **environ)
    assert done.returncode == code, done
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_config_says_what_is_set_and_where(project):
    (project.folder / "faena.toml").write_text('task_time_limit = "5m"\n')
    (project.folder / ".env").write_text("FAENA_BROKER_URL=sqlite:///x.db\n")
    found = {row["name"]: row for row in project.json("config", "--changed")}
    assert {name: (row["value"], row["source"]) for name, row in found.items()} == {
        "task_time_limit": (300.0, f"{project.folder}/faena.toml"),
        "broker_url": ("sqlite:///x.db", f"{project.folder}/.env: FAENA_BROKER_URL"),
        "task_default_retry_delay": (0.0, f"{project.folder}/tasks.py:6"),
    }
    assert project.ok("config", "task_time_limit") == "300.0"
    assert project.ok("config", "worker_pool", FAENA_WORKER_POOL="prefork") == "processes"
    assert [line.split()[0] for line in project.ok("config", "task_time").splitlines()] == ["300.0"]
    assert [line.split()[0] for line in project.ok("config", "broker_").splitlines()][1:] == [
        "broker_url",
        "broker_transport_options",
    ]


def test_the_command_line_goes_before_everything(project):
    text = project.ok("config", "broker_url", "--explain", "-b", "redis://me:hunter2@host/0", FAENA_BROKER_URL="x://")
    assert text.splitlines()[:2] == ["broker_url = redis://me:***@host/0", "    from command line (default: none)"]


def test_explain_says_default_unit_and_meaning(project):
    assert project.ok("config", "task_default_retry_delay", "--explain").splitlines() == [
        "task_default_retry_delay = 0.0 s",
        f"    from {project.folder}/tasks.py:6 (default: 180.0)",
        "    Wait before a task is retried, unless the task or the retry says otherwise.",
    ]


def test_config_works_without_an_app_and_warns_of_unknown_variables(project):
    (project.folder / "tasks.py").unlink()
    done = project.run("config", "worker_pool", FAENA_WORKER_POLL="x")
    assert (done.returncode, done.stdout) == (0, "processes\n")
    assert done.stderr.splitlines()[1] == (
        "warning: environment FAENA_WORKER_POLL is no setting; did you mean FAENA_WORKER_POOL?"
    )


def test_config_of_an_app_that_cannot_be_imported_is_refused(project):
    (project.folder / "tasks.py").write_text("from faena import Faena\nimport no_such_thing\n")
    assert project.refused("config").endswith("ModuleNotFoundError: No module named 'no_such_thing'")


def test_a_healthy_project_is_well(working):
    found = checks_of(working)
    assert {name for name, check in found.items() if check["status"] != "ok"} == set()
    assert found["app"]["text"] == "'shop'"
    assert found["tasks"]["text"] == "6"
    assert found["workers"]["text"].startswith("faena@")
    assert working.ok("doctor").endswith("all is well")
    assert working.ok("doctor", "-q") == ""


def test_doctor_makes_no_file(project):
    found = checks_of(project)
    assert found["broker file"]["text"] == f"{project.folder}/.faena/faena.db: not there yet; made on first use"
    assert not (project.folder / ".faena").exists()


def test_doctor_names_what_is_to_be_looked_at(project):
    project.ok("call", "tasks.add", "1", "-Q", "mail")
    project.ok("queues", "pause", "default")
    (project.folder / ".faena" / "faena.db").chmod(0o644)
    done = project.run("doctor", FAENA_TASK_TIMELIMIT="3")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[-1] == "0 failed, 5 to look at"
    assert [line for line in lines if line.lstrip().startswith("->")] == [
        " " * 19 + "-> did you mean FAENA_TASK_TIME_LIMIT?",
        " " * 19 + f"-> unless they should: chmod 600 {project.folder}/.faena/faena.db",
        " " * 19 + "-> start one with: faena worker",
        " " * 19 + "-> go on with: faena queues resume default",
        " " * 19 + "-> start one with: faena worker -Q mail",
    ]


@pytest.mark.parametrize(
    ("change", "name", "text"),
    [
        (lambda folder: (folder / "tasks.py").unlink(), "app", "no app in "),
        (lambda folder: (folder / "tasks.py").write_text("from faena import Faena\n1 / 0\n"), "app", "ZeroDivisionError"),
        (lambda folder: (folder / "faena.toml").write_text("x = 1\n"), "settings", "unknown setting 'x'"),
        (lambda folder: (folder / "faena.toml").write_text("x\n"), "settings", "is not valid TOML"),
        (lambda folder: (folder / "faena.toml").write_text('broker_url = "x://y"\n'), "connection", "no broker for"),
        (lambda folder: damage(folder), "connection", "faena.db"),
    ],
)
def test_doctor_fails_with_what_to_do(project, change, name, text):
    change(project.folder)
    found = checks_of(project, code=1)
    assert found[name]["status"] == "fail"
    assert text in found[name]["text"]
    assert found[name]["advice"]


def damage(folder):
    os.mkdir(folder / ".faena")
    (folder / ".faena" / "faena.db").write_text("no database " * 100)
    (folder / ".faena" / "faena.db").chmod(0o600)


def test_an_app_without_tasks_is_warned_of(project):
    (project.folder / "tasks.py").write_text("from faena import Faena\napp = Faena('x')\n")
    assert checks_of(project)["tasks"]["status"] == "warn"
