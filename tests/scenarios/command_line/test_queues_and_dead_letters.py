"""`faena queues`, `faena purge` and `faena dead`."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess

import pytest

from .conftest import DEADLINE_S, FAENA


def rows(text):
    return [line.split() for line in text.splitlines()]


def test_queues_say_what_waits_and_whether_anybody_works(project):
    for number in range(3):
        project.ok("call", "tasks.add", str(number))
    project.ok("call", "tasks.add", "1", "--countdown", "1h")
    assert rows(project.ok("queues"))[1][:5] == ["default", "3", "1", "0", "0"]
    assert project.ok("queues").endswith("no worker")
    (found,) = project.json("queues")
    assert (found["waiting"], found["delayed"], found["workers"], found["paused"]) == (3, 1, [], False)
    assert [each["name"] for each in project.json("queues", "status", "default", "other")] == ["default", "other"]


def test_an_empty_project_has_no_queues(project):
    done = project.run("queues")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no queue holds anything\n")


def test_the_messages_of_a_queue_are_listed_in_the_order_they_will_run(project):
    ids = [project.ok("call", "tasks.add", "1", "--priority", priority) for priority in ("1", "9", "5")]
    found = project.json("queues", "show", "default")
    assert [each["id"] for each in found] == [ids[1], ids[2], ids[0]]
    assert [row[0] for row in rows(project.ok("queues", "show", "default", "-n", "2"))] == ["ID", ids[1], ids[2]]


def test_a_paused_queue_hands_out_nothing_until_it_is_resumed(working):
    working.ok("queues", "pause", "default")
    task_id = working.ok("call", "tasks.add", "1")
    assert working.run("result", task_id, "--timeout", "0.5").returncode == 1
    assert working.ok("queues").splitlines()[1].endswith("paused")
    working.ok("queues", "resume", "default")
    working.ok("result", task_id, "--timeout", "10")


def test_a_name_that_stands_for_nothing_is_remarked_on_when_it_is_paused(project):
    slip = project.run("queues", "pause", "defualt")
    assert (slip.returncode, slip.stderr.splitlines()) == (
        0,
        [
            "queue 'defualt' is paused; go on with: faena queues resume defualt",
            "no queue 'defualt' is declared, and no worker takes from it; did you mean 'default'?",
        ],
    )
    assert "no queue" not in project.run("queues", "pause", "default").stderr
    slip = project.run("limits", "pause", "tasks.ad")
    assert (slip.returncode, slip.stderr.splitlines()) == (
        0,
        [
            "task:tasks.ad is paused; go on with: faena limits resume tasks.ad",
            "nothing called task:tasks.ad is known here; did you mean 'task:tasks.add'?",
        ],
    )
    assert "known here" in project.run("limits", "set", "limit:crm", "--rate", "1/s").stderr
    for name in ("tasks.add", "queue:default"):
        assert "known here" not in project.run("limits", "set", name, "--rate", "1/s").stderr


def test_purge_refuses_where_nobody_can_answer(project):
    project.ok("call", "tasks.add", "1")
    said = project.refused("purge", "-Q", "default")
    assert "Throw away 1 messages: default (1)? Nobody is there to answer; say --force" in said
    assert project.json("queues")[0]["waiting"] == 1
    assert project.ok("purge", "-Q", "default", "--force") == "1 messages thrown away from queue 'default'"
    assert project.json("purge", "-Q", "default,other", "-f") == {"default": 0, "other": 0}


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, 1), ("\n", 1, 1), ("y\n", 0, 0)])
def test_purge_asks_at_a_terminal(project, answer, code, left):
    project.ok("call", "tasks.add", "1")
    parent, terminal = pty.openpty()
    os.write(parent, answer.encode())
    done = subprocess.run(
        [FAENA, "purge", "-Q", "default"], cwd=project.folder, env=project.environment(), stdin=terminal,
        capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    os.close(parent)
    os.close(terminal)
    assert done.returncode == code
    assert done.stderr.startswith("Throw away 1 messages: default (1)? [y/N] ")
    assert sum(each["waiting"] for each in project.json("queues")) == left


def test_a_failed_task_is_among_the_dead_letters_until_it_is_requeued(working):
    task_id = working.run("call", "tasks.fail", "x", "--wait").stderr.split()[0]
    (letter,) = working.json("dead")
    assert (letter["id"], letter["task"], letter["reason"], letter["args"]) == (task_id, "tasks.fail", "failed", ["x"])
    assert "raise ValueError(text)" in letter["traceback"]
    assert "During handling" not in letter["traceback"], "nothing of the worker's own"
    assert rows(working.ok("dead", "list"))[1][:4] == [task_id, "tasks.fail", "default", "failed"]
    shown = working.ok("dead", "show", task_id)
    assert re.search(r"^buried +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]", shown, re.MULTILINE)
    assert "reason       failed" in shown
    assert shown.endswith("ValueError: x")
    put_back = working.json("dead", "requeue", task_id)
    assert put_back == {
        "done": "requeued", "count": 1, "named": [task_id], "details": {}, "remarks": [], "errors": [],
    }  # fmt: skip
    done = working.run("dead", "purge", "nobody", "--force")
    assert (done.returncode, done.stdout) == (1, "0 thrown away\n")
    assert done.stderr == "1 of the 1 named were not among the dead letters\n"


def test_dead_letters_are_purged_by_queue_and_age(project):
    for _ in range(2):
        project.ok("call", "tasks.fail")
    with project.worker():
        wait_for_dead(project, 2)
    assert project.ok("dead", "purge", "--older-than", "1h", "-f") == "0 thrown away"
    assert "the dead letters of queue 'default'? Nobody" in project.refused("dead", "purge", "-Q", "default")
    purged = project.json("dead", "purge", "-Q", "default", "-f")
    assert (purged["done"], purged["count"], purged["named"]) == ("purged", 2, [])
    done = project.run("dead")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no dead letters\n")


def wait_for_dead(project, count):
    for _ in range(50):
        if len(json.loads(project.ok("dead", "--json"))) == count:
            return
    pytest.fail("the tasks did not fail")


def test_a_dead_letter_that_is_not_there(project):
    assert project.refused("dead", "show", "x", code=1) == (
        "faena: no dead letter of task x; list them with: faena dead list"
    )


def test_dead_letters_are_grouped_changed_and_put_back_in_bulk(project):
    ids = [project.ok("call", "tasks.fail", f"order {number} is gone") for number in (1, 2)]
    other = project.ok("call", "tasks.fail", "elsewhere")
    with project.worker():
        wait_for_dead(project, 3)
    listed = rows(project.ok("dead", "groups"))
    assert [row[0] for row in listed[1:]] == ["2", "1"]
    fingerprint = listed[1][1]
    assert {each["id"] for each in project.json("dead", "list", "--fingerprint", fingerprint)} == set(ids)
    assert project.json("dead", "list", "--task", "other.*") == []
    (attempt,) = project.json("dead", "show", other)["attempts"]
    assert attempt["error"] == "ValueError: elsewhere"
    assert "attempt 1" in project.ok("dead", "show", other)
    assert "--args is no JSON" in project.refused("dead", "edit", other, "--args", "[1")
    assert "--args is a JSON list" in project.refused("dead", "edit", other, "--args", "{}")
    assert "say what is to be changed" in project.refused("dead", "edit", other)
    assert project.json("dead", "edit", other, "--priority", "7")["done"] == "edited"
    assert project.ok("dead", "edit", other, "--args", '["again"]', "-Q", "later", "--requeue") == "changed\n1 put back"
    assert [each["id"] for each in project.json("queues", "show", "later")] == [other]
    assert project.ok("dead", "requeue", "--fingerprint", fingerprint[:8], "--task", "tasks.*") == "2 put back"
    assert project.json("dead") == []
