"""`faena call` and `faena result`, with a worker that runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest


def test_a_call_prints_the_id_and_its_result_can_be_asked_for(working):
    task_id = working.ok("call", "tasks.add", "2", "3")
    assert len(task_id) == 32
    assert working.ok("result", task_id, "--wait").splitlines()[:5] == [
        f"id        {task_id}",
        "state     SUCCESS",
        "task      tasks.add",
        "result    5",
        "queue     default",
    ]


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (("tasks.add", "20", "22"), "42"),
        (("tasks.add", "-3"), "-2"),
        (("tasks.add", "--args", "[1, 2]"), "3"),
        (("tasks.add", "--kwargs", '{"x": 1, "y": 2}'), "3"),
        (("tasks.add", "1", "-k", "y=5"), "6"),
        (("tasks.greet", "12"), "hello 12"),
        (("tasks.greet", "--", "--x"), "hello --x"),
        (("tasks.greet", "-k", "name=null"), "hello null"),
    ],
)
def test_a_call_that_waits_prints_the_result(working, words, printed):
    assert working.ok("call", "--wait", *words) == printed


def test_json_of_a_call_holds_what_is_known_of_the_task(working):
    found = working.json("call", "tasks.add", "1", "--wait")
    assert (found["task"], found["state"], found["result"], found["error"]) == ("tasks.add", "SUCCESS", 2, None)
    found = working.json("call", "tasks.add", "1")
    assert found == {"id": found["id"], "task": "tasks.add"}


def test_a_failure_is_shown_with_the_workers_traceback_and_code_1(working):
    done = working.run("call", "tasks.fail", "broken", "--wait")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'tasks.py", line ' in done.stderr
    task_id = done.stderr.split()[0]
    assert done.stderr.endswith(f"faena: task {task_id} ended as FAILURE: ValueError: broken\n")
    shown = working.run("result", task_id)
    assert shown.returncode == 1
    assert "error     ValueError: broken" in shown.stdout.splitlines()
    assert "Traceback" not in shown.stdout
    assert "raise ValueError(text)" in working.run("result", task_id, "--traceback").stdout
    found = json.loads(working.run("result", task_id, "--json").stdout)
    assert found["error"] == {"type": "ValueError", "message": "broken"}
    working.ok("dead", "purge", task_id, "--force")


def test_progress_is_shown_while_a_call_waits(working):
    done = working.run("call", "tasks.steps", "8", "--wait")
    assert done.stdout == "8\n"
    assert "counting" in done.stderr
    assert working.run("call", "tasks.steps", "2", "--wait", "--quiet").stderr == ""


def test_a_call_that_waits_gives_up_in_time(working, tmp_path):
    file = tmp_path / "gate"
    done = working.run("call", "tasks.hold", str(file), "--timeout", "0.3")
    assert done.returncode == 1
    assert "had not finished after 0.3 s; workers that are running: faena@" in done.stderr
    file.touch()
    assert working.ok("call", "tasks.hold", str(file), "--wait") == "let go"


def test_a_delayed_call_runs_no_sooner_than_it_is_due(working):
    called_at = datetime.now(UTC)
    task_id = working.ok("call", "tasks.add", "1", "--countdown", "0.5")
    found = working.json("result", task_id, "--timeout", "20")
    assert (found["state"], found["result"]) == ("SUCCESS", 2)
    # times travel in milliseconds
    assert datetime.fromisoformat(found["started_at"]) >= called_at + timedelta(milliseconds=499)


def test_a_call_that_is_not_due_is_pending(working):
    task_id = working.ok("call", "tasks.add", "1", "--eta", "2100-01-31T09:00")
    assert working.ok("result", task_id).splitlines() == [f"id        {task_id}", "state     PENDING"]
    assert working.json("queues", "show", "default")[0]["due_at_s"] == datetime(2100, 1, 31, 9, tzinfo=UTC).timestamp()
    working.ok("purge", "-Q", "default", "--force")


def test_a_result_can_be_forgotten(working):
    task_id = working.ok("call", "tasks.add", "1")
    working.ok("result", task_id, "--wait", "--forget")
    assert working.refused("result", task_id, code=1).startswith(f"faena: nothing is known of task {task_id}: ")


def test_an_unknown_id_is_told_from_one_that_waits(working):
    assert working.refused("result", "nobody", "--timeout", "5", code=1).startswith(
        "faena: nothing is known of task nobody: it was never sent here"
    )
