"""An app with several brokers, one of which is away, on the command line."""

from __future__ import annotations

import json

import pytest

from faena.testing.redis_server import free_port


@pytest.fixture
def parted(project):
    """The project on two files and a server that is not there, whose password is `hunter2`."""
    folder = project.folder
    (folder / "faena.toml").write_text(f"""
task_queues = {{ default = {{}}, images = {{ broker = "bulk" }}, films = {{ broker = "gone" }} }}
[brokers]
main = "sqlite:///{folder}/main.db"
bulk = "sqlite:///{folder}/bulk.db"
gone = "redis://:hunter2@127.0.0.1:{free_port()}/0"
""")
    return project


def test_what_can_be_seen_is_shown_and_who_is_away_is_named(parted):
    for queue in ("images", "default"):
        parted.ok("call", "tasks.add", "1", "2", "--queue", queue)
    done = parted.run("queues", "--json")
    found = {each["name"]: (each["broker"], each["waiting"]) for each in json.loads(done.stdout)}
    assert found == {"default": ("main", 1), "images": ("bulk", 1)}
    assert "broker 'gone' cannot be reached, so that its queues are not shown" in done.stderr
    assert parted.ok("queues", "show", "images", "--json")
    done = parted.run("call", "tasks.add", "1", "2", "--queue", "films", FAENA_TASK_PUBLISH_TIMEOUT="0.2")
    assert done.returncode != 0
    everything = done.stdout + done.stderr
    checks = parted.run("doctor", "--json")
    assert checks.returncode == 1
    states = {each["name"]: each["status"] for each in json.loads(checks.stdout)["checks"]}
    assert (states["broker main"], states["broker bulk"], states["broker gone"]) == ("ok", "ok", "fail")
    everything += checks.stdout + checks.stderr + parted.ok("config", "brokers")
    assert "hunter2" not in everything


def test_a_worker_says_who_is_away_and_works_for_the_others(parted, until):
    with parted.worker():
        assert parted.ok("call", "tasks.add", "1", "2", "--queue", "images", "--wait", "--quiet") == "3"
        text = "cannot reach gone: it takes nothing from the queues there"
        until(lambda: text in parted.run("inspect", "workers").stderr)
        parted.ok("control", "cancel-consumer", "films")
        parted.ok("control", "cancel-consumer", "images")
        parted.ok("control", "add-consumer", "images")
        assert parted.ok("call", "tasks.add", "1", "3", "--queue", "images", "--wait", "--quiet") == "4"


def test_the_broker_on_the_command_line_is_the_only_one(parted):
    parted.ok("call", "tasks.add", "1", "2", "--queue", "elsewhere", "-b", f"sqlite:///{parted.folder}/other.db")
    found = parted.json("queues", "-b", f"sqlite:///{parted.folder}/other.db")
    assert [(each["name"], each["broker"]) for each in found] == [("elsewhere", None)]
