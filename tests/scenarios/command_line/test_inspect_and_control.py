"""`faena inspect` and `faena control`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from .conftest import until


@pytest.fixture
def held(working, tmp_path):
    """A task that runs until the test is over, with another one behind it."""
    gate = tmp_path / "gate"
    ids = [working.ok("call", "tasks.hold", str(gate)), working.ok("call", "tasks.hold", str(gate))]
    until(lambda: Path(f"{gate}.started").exists())
    yield ids
    gate.touch()
    for task_id in ids:
        working.run("result", task_id, "--timeout", "10")


def test_without_a_worker_there_is_nobody_to_ask(project):
    assert project.refused("inspect", "ping", code=1) == "faena: no worker is running; start one with: faena worker"
    assert project.refused("control", "shutdown", code=1) == "faena: no worker is running"
    done = project.run("inspect")
    assert (done.returncode, done.stderr) == (0, "no worker is running; start one with: faena worker\n")


def test_workers_answer_and_are_listed(working):
    (name, answer), *rest = working.json("inspect", "ping").items()
    assert (answer, rest) == ({"ok": "pong"}, [])
    (worker,) = working.json("inspect", "workers")
    assert (worker["name"], worker["queues"], worker["concurrency"]) == (name, ["default", "slow"], 1)
    assert working.ok("inspect").splitlines()[1].split()[0] == name
    assert "running" in working.ok("queues", "status", "default")


def test_a_worker_that_is_not_there_is_named(working):
    said = working.refused("inspect", "ping", "-d", "nobody@nowhere", code=1)
    assert said.startswith("faena: no worker named nobody@nowhere is there; present: faena@")


def test_tasks_and_settings_of_workers_are_listed(working):
    assert [line.split()[1] for line in working.ok("inspect", "registered").splitlines()[1:]] == [
        "tasks.add",
        "tasks.fail",
        "tasks.greet",
        "tasks.hold",
        "tasks.quiet",
        "tasks.steps",
    ]
    (conf,) = working.json("inspect", "conf").values()
    assert conf["task_default_retry_delay"] == 0
    (stats,) = working.json("inspect", "stats").values()
    assert stats["processes"][0]["state"] == "working"


def test_what_runs_and_what_waits_in_a_worker_is_listed(working, held):
    (active,) = working.json("inspect", "active").values()
    assert [each["id"] for each in active] == [held[0]]
    row = working.ok("inspect", "active").splitlines()[1].split()
    assert row[1:5] == [held[0], "tasks.hold", "slow", "0"]


def test_delayed_tasks_are_listed_from_the_broker(working):
    task_id = working.ok("call", "tasks.add", "1", "--countdown", "3h")
    assert [each["id"] for each in working.json("inspect", "scheduled")] == [task_id]
    assert working.ok("inspect", "scheduled").splitlines()[1].endswith("3 h")
    revoked = working.json("control", "revoke", task_id, "nope")
    assert (revoked["count"], revoked["details"]) == (1, {task_id: {"was": "delayed"}, "nope": {"was": "unknown"}})
    assert working.json("inspect", "scheduled") == []
    assert working.run("result", task_id).stdout.splitlines()[1] == "state     REVOKED"
    assert task_id in [each["task_id"] for each in working.json("inspect", "revoked")]


def test_the_queue_of_a_revocation_is_a_capital_q_as_everywhere(working):
    done = working.run("control", "revoke", "--task", "nobody.*", "-Q", "slow", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert [each["name"] for each in working.json("inspect", "orders")] == ["task nobody.* in queue slow"]
    working.ok("control", "withdraw", "task nobody.* in queue slow")


def test_revoke_says_of_each_task_what_is_not_as_one_may_expect(working, held):
    ended = working.ok("call", "tasks.add", "1", "--countdown", "3h")
    working.ok("control", "revoke", ended)
    done = working.run("control", "revoke", ended, held[0], "nope")
    assert (done.returncode, done.stderr.splitlines()) == (
        0,
        [
            "1 revoked",
            f"task {ended} had ended already, as REVOKED",
            f"task {held[0]} is with a worker; if it has begun, it runs to its end (stop it: --terminate)",
            "nothing is known of task nope; should it be sent later, it does not begin",
        ],
    )


def test_a_running_task_is_stopped_by_terminate(working, held):
    done = working.run("control", "revoke", held[0], "--terminate")
    assert (done.returncode, done.stderr) == (0, "1 revoked\n")
    found = working.run("result", held[0], "--timeout", "10", "--json")
    assert (found.returncode, json.loads(found.stdout)["state"]) == (1, "REVOKED")


def test_a_worker_shuts_down_when_it_is_told_to(project):
    with project.worker("-n", "other@%h") as process:
        ((name, answer),) = project.json("control", "shutdown").items()
        assert (name, answer) == (f"other@{os.uname().nodename}", {"ok": "shutting down"})
        assert process.wait(30) == 0


def test_processes_are_replaced_on_request(project):
    with project.worker():
        (before,) = project.json("inspect", "stats").values()
        (answer,) = project.ok("control", "restart").splitlines()
        assert answer.endswith(": restarting")

        def is_replaced():
            (after,) = project.json("inspect", "stats").values()
            pids = {each["pid"] for each in after["processes"] if each["state"] == "working"}
            return pids and pids.isdisjoint({each["pid"] for each in before["processes"]})

        until(is_replaced)
