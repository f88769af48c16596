"""`faena workflow`, and what the other commands say of tasks that belong to a workflow."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from .conftest import DEADLINE_S, FAENA, Project, until

TASKS = '''\
import time
from pathlib import Path

from faena import Faena, chain, group

app = Faena("shop", task_default_retry_delay=0)


@app.task
def add(x: int, y: int = 1) -> int:
    return x + y


@app.task
def total(values):
    return sum(values)


@app.task
def note(*about):
    return "noted"


@app.task
def enter(door: str) -> str:
    if not Path(door).exists():
        raise ValueError(f"{door} is shut")
    return "in"


@app.task(bind=True)
def hold(self, path: str) -> str:
    """Run until the file is there."""
    self.progress(1, 4, "holding")
    while not Path(path).exists():
        time.sleep(0.02)
    return "let go"


@app.task(bind=True)
def swap(self):
    return self.replace(add.s(1) | add.s(2))


SHAPES = {
    "chain": lambda: chain(add.s(1), add.s(2), add.s(3)),
    "chord": lambda: chain(group(add.s(1), add.s(2)), total.s()),
    "door": lambda: chain(add.si(1), enter.si("door").on_error(note.s()), note.s()),
    "doors": lambda: chain(group(enter.si("door"), enter.si("gate"), add.si(1)), note.si()),
    "hold": lambda: chain(hold.si("free").set(task_id="holder"), note.si()),
    "swap": lambda: chain(swap.si(), add.s(1)),
    "large": lambda: group(add.s(number) for number in range(2000)),
}
'''

SEND = "import sys, tasks; print(tasks.SHAPES[sys.argv[1]]().apply_async().workflow.id)"


class Shop(Project):
    def send(self, shape: str) -> str:
        """Send a workflow; return its id."""
        done = subprocess.run(
            [sys.executable, "-c", SEND, shape], cwd=self.folder, env=self.environment(PYTHONPATH="."),
            capture_output=True, text=True, timeout=DEADLINE_S, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def ended(self, shape: str) -> str:
        """Send a workflow, and follow it to its end."""
        workflow = self.send(shape)
        self.run("workflow", "show", workflow, "--watch")
        return workflow

    def tree(self, workflow: str, *words: str) -> list[str]:
        """Return the lines of the tree, without run times and ids."""
        lines = self.run("workflow", "show", workflow, *words).stdout.split("\n\n")[1].splitlines()
        return [
            re.sub(r"(?<=\S)  +", "  ", re.sub(rf"  \d[\d.]* m?s|  {workflow}\.\d+", "", line)).rstrip() for line in lines
        ]


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path, TASKS)


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory):
    """A shop whose worker runs."""
    shop = Shop(tmp_path_factory.mktemp("shop"), TASKS)
    with shop.worker("-c", "2"):
        yield shop


def test_a_project_without_workflows_has_none(shop):
    done = shop.run("workflow")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no workflows\n")
    assert shop.run("workflow", "list", "--state", "failure").stderr == "no workflow is FAILURE\n"


def test_workflows_are_listed_with_how_far_they_are_the_latest_first(shop):
    first, second = shop.send("chain"), shop.send("chord")
    heads, *rows = [line.split() for line in shop.ok("workflow").splitlines()]
    assert heads == ["ID", "NAME", "STATE", "DONE", "FAILED", "RUNNING", "WAITING", "SENT", "TOOK"]
    assert [row[0] for row in rows] == [second, first]
    assert rows[1][1:9] == ["chain(tasks.add,", "tasks.add,", "tasks.add)", "RUNNING", "0", "0", "1", "2"]
    (found,) = shop.json("workflow", "list", "-n", "1", "--offset", "1")
    assert (found["id"], found["states"]) == (first, {"waiting": 2, "sent": 1})
    assert shop.json("workflow", "list", "--state", "SUCCESS") == []


def test_a_workflow_is_followed_to_its_end_in_lines_where_there_is_no_terminal(open_shop):
    workflow = open_shop.send("door")
    done = open_shop.run("workflow", "show", workflow, "-w")
    assert done.returncode == 1
    assert done.stdout.startswith(f"workflow  {workflow}\nname      chain(tasks.add, ")
    assert "state     FAILURE\ntasks     2 success, 1 failure, 1 abandoned\n" in done.stdout
    assert done.stderr == f"to run again what has not succeeded: faena workflow retry {workflow}\n"


def test_the_tree_follows_the_shape(open_shop):
    assert open_shop.tree(open_shop.ended("chord")) == [
        "2 group  success  2 members: 2 success",
        "├── 0 tasks.add  success",
        "└── 1 tasks.add  success",
        "3 tasks.total  success",
    ]
    assert open_shop.tree(open_shop.ended("door")) == [
        "0 tasks.add  success",
        "1 tasks.enter  failure  ValueError: door is shut",
        "└── on failure: 2 tasks.note  success",
        "3 tasks.note  abandoned  because of 1 tasks.enter",
    ]
    assert open_shop.tree(open_shop.ended("swap")) == [
        "0 tasks.swap  success",
        "└── in its place: chain",
        "    ├── 2 tasks.add  success",
        "    └── 3 tasks.add  success",
        "1 tasks.add  success",
    ]


def test_a_large_group_is_folded_unless_all_of_it_is_asked_for(shop):
    workflow = shop.send("large")
    tree = shop.tree(workflow)
    assert tree[0] == "2000 group  running  2,000 members: 2,000 sent"
    assert tree[-1] == "└── … 1,994 more members: 1,994 sent"
    assert len(tree) == 8
    assert len(shop.tree(workflow, "--all")) == 2001
    assert len(shop.json("workflow", "show", workflow)["nodes"]) == 2001
    assert 'more0(["1,994 more members: 1,994 sent"])' in shop.ok("workflow", "graph", workflow)


def test_what_runs_is_seen_with_its_progress_and_ctrl_c_leaves_it_running(shop):
    workflow = shop.send("hold")
    with shop.worker():
        watching = subprocess.Popen(
            [FAENA, "workflow", "show", "-w", workflow], cwd=shop.folder, env=shop.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        until(lambda: "1/4 (25%) holding" in shop.ok("workflow", "show", workflow))
        (node, _) = shop.json("workflow", "show", workflow)["nodes"]
        assert (node["id"], node["state"], node["progress"]) == ("holder", "running", "1/4 (25%) holding")
        assert any("holding" in line for line in iter(watching.stdout.readline, ""))
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=DEADLINE_S)
        assert (watching.returncode, said) == (130, "\n")
        (shop.folder / "free").touch()
        assert shop.run("workflow", "show", workflow, "-w").returncode == 0


def test_at_a_terminal_the_tree_is_drawn_again_until_the_end(open_shop):
    workflow = open_shop.send("chain")
    parent, terminal = pty.openpty()
    process = subprocess.Popen(
        [FAENA, "workflow", "show", "-w", workflow], cwd=open_shop.folder, env=open_shop.environment(TERM="xterm"),
        stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(terminal)
    shown = read_all(parent)
    assert process.wait(DEADLINE_S) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    last = shown[shown.rindex("workflow  ") :]
    assert f"workflow  {workflow}\r\n" in last
    assert "state     SUCCESS\r\ntasks     3 success\r\n" in last
    assert re.findall(r"^(\d) tasks.add +success", last, re.MULTILINE) == ["0", "1", "2"]


def read_all(parent):
    parts = []
    while True:
        try:
            data = os.read(parent, 65536)
        except OSError:  # all ends of the terminal are closed
            data = b""
        if not data:
            os.close(parent)
            return b"".join(parts).decode()
        parts.append(data)


def test_a_graph_is_drawn_with_its_states(open_shop):
    workflow = open_shop.ended("door")
    assert open_shop.ok("workflow", "graph", workflow, "--format", "mermaid").splitlines() == [
        "graph TD",
        '    n0["0 tasks.add: success"]:::success',
        '    n1["1 tasks.enter: failure"]:::failure',
        '    n2["2 tasks.note: success"]:::success',
        '    n3["3 tasks.note: abandoned"]:::abandoned',
        "    n0 --> n1",
        '    n1 -. "on failure" .-> n2',
        "    n1 --> n3",
        "    classDef success fill:#b7e4c7,color:#000",
        "    classDef failure fill:#f5b5b5,color:#000",
        "    classDef abandoned fill:#f8d7da,color:#000",
    ]
    dot = open_shop.ok("workflow", "graph", workflow, "-f", "dot")
    assert '    n1 [label="1 tasks.enter: failure", shape=box, style=filled, fillcolor="#f5b5b5"];' in dot.splitlines()
    assert '    n1 -> n2 [label="on failure", style=dashed];' in dot.splitlines()
    assert open_shop.ok("workflow", "graph", workflow, "-f", "tree").splitlines()[0].startswith("0 tasks.add   ")
    assert open_shop.json("workflow", "graph", workflow, "-f", "dot")["graph"] == dot
    assert "one of tree, mermaid, dot" in open_shop.refused("workflow", "graph", workflow, "-f", "pic")


def test_a_failed_workflow_is_run_again_from_where_it_failed(shop):
    with shop.worker():
        workflow = shop.ended("door")
        first = finished(shop, f"{workflow}.0")
        assert [each["id"] for each in shop.json("dead")] == [f"{workflow}.1"]
        (shop.folder / "door").touch()
        assert shop.ok("workflow", "retry", workflow) == f"{workflow} runs again from 1 tasks.enter"
        assert shop.run("workflow", "show", workflow, "-w").returncode == 0
        assert finished(shop, f"{workflow}.0") == first
        assert shop.json("dead") == []
        said = shop.refused("workflow", "retry", workflow, code=1)
        assert said == f"faena: workflow {workflow}: nothing in it has failed; name the node to run it from"
        assert shop.json("workflow", "retry", workflow, "--from", f"{workflow}.3") == [
            {"id": workflow, "from": [3], "again": [3]}
        ]
        assert shop.run("workflow", "show", workflow, "-w").returncode == 0
        assert finished(shop, f"{workflow}.0") == first


def finished(shop, task_id):
    return shop.json("result", task_id)["finished_at"]


def test_a_node_that_is_not_there_is_refused(shop):
    workflow = shop.send("hold")
    assert shop.refused("workflow", "retry", workflow, "--from", "9", code=1) == (
        f"faena: workflow {workflow}: it has no node '9'; see them with: faena workflow show {workflow}"
    )
    assert "no node 'holde'; did you mean 'holder'?" in shop.refused(
        "workflow", "retry", workflow, "--from", "holde", code=1
    )
    assert "name one workflow only" in shop.refused("workflow", "retry", workflow, shop.send("chain"), "--from", "1")


def test_workflows_are_cancelled_where_somebody_says_so(shop):
    first, second = shop.send("chain"), shop.send("chord")
    said = shop.refused("workflow", "cancel", first, second)
    assert f"Cancel {first} (chain(tasks.add, tasks.add, tasks.add)), {second} (" in said
    assert "Nobody is there to answer; say --yes to do it without asking" in said
    assert [each["state"] for each in shop.json("workflow")] == ["RUNNING", "RUNNING"]
    assert shop.ok("workflow", "cancel", first, second, "--yes") == f"{first} cancelled\n{second} cancelled"
    assert [each["states"] for each in shop.json("workflow")] == [{"revoked": 3}, {"revoked": 3}]
    assert shop.json("queues") == []
    done = shop.run("workflow", "cancel", first)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{first} has ended already: REVOKED\n")


def test_cancel_with_terminate_stops_what_runs(shop):
    workflow = shop.send("hold")
    with shop.worker():
        until(lambda: "holding" in shop.ok("workflow", "show", workflow))
        assert shop.json("workflow", "cancel", workflow, "--terminate", "-y") == {"cancelled": [workflow]}
        until(lambda: shop.run("inspect", "active").stdout == "" or "holder" not in shop.run("inspect", "active").stdout)
    assert shop.json("workflow")[0]["state"] == "REVOKED"


def test_a_workflow_is_named_by_its_id_the_beginning_of_it_or_a_task(shop):
    workflow = shop.send("hold")
    done = shop.run("workflow", "show", workflow[:4])
    assert (done.returncode, done.stderr) == (0, f"{workflow[:4]} is workflow {workflow}\n")
    assert shop.run("workflow", "show", f"{workflow}.1").stderr == f"task {workflow}.1 belongs to workflow {workflow}\n"
    assert shop.run("workflow", "show", "holder").stderr == f"task holder belongs to workflow {workflow}\n"
    assert shop.refused("workflow", "show", "nothing-such", code=1) == (
        "faena: workflow nothing-such: it is not known here, or it was forgotten since; list them with: faena workflow list"
    )
    assert f"did you mean '{workflow}'?" in shop.refused("workflow", "show", f"{workflow}x", code=1)
    other = shop.send("chord")
    common = "".join(a for a, b in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(workflow, other, strict=True)))
    said = shop.refused("workflow", "show", common, code=1)
    assert said.startswith(f"faena: 2 workflows begin with {common}; give more of the id:\n  {other}  ")


def test_a_wrong_word_is_answered_with_the_nearest(shop):
    assert "Did you mean 'show'?" in shop.refused("workflow", "shwo", "x")


def test_results_say_which_workflow_they_belong_to(open_shop):
    workflow = open_shop.ended("chord")
    assert open_shop.ok("result", f"{workflow}.2").splitlines()[:4] == [
        f"id        {workflow}.2",
        "state     SUCCESS",
        "task      group",
        "result    [2,3]",
    ]
    assert f"workflow  {workflow} (node 3)" in open_shop.ok("result", f"{workflow}.3").splitlines()
    found = open_shop.json("result", f"{workflow}.2")
    assert (found["result"], found["workflow"], found["node"]) == ([2, 3], workflow, 2)
    assert open_shop.refused("result", workflow, code=1) == (
        f"faena: workflow {workflow}: it is no task; its result is that of {workflow}.3; "
        f"see the whole with: faena workflow show {workflow}"
    )


def test_the_value_of_what_stands_in_for_a_task_is_waited_for(open_shop):
    assert open_shop.ok("call", "tasks.swap", "--wait") == "4"
    assert json.loads(open_shop.ok("call", "tasks.swap", "--wait", "--json"))["result"] == 4


def test_a_dead_letter_of_a_workflow_runs_the_workflow_again_from_there(shop):
    plain = shop.ok("call", "tasks.enter", "door")
    with shop.worker():
        workflow = shop.ended("door")
        until(lambda: {each["id"] for each in shop.json("dead")} == {plain, f"{workflow}.1"})
        letter = json.loads(shop.ok("dead", "show", f"{workflow}.1", "--json"))
        assert (letter["workflow"], letter["node"]) == (workflow, 1)
        (shop.folder / "door").touch()
        done = shop.run("dead", "requeue", "--all")
        assert (done.returncode, done.stdout) == (0, "2 put back\n")
        assert done.stderr == f"workflow {workflow} runs again from {workflow}.1\n"
        assert shop.run("workflow", "show", workflow, "-w").returncode == 0
        assert shop.json("dead") == []
        assert shop.ok("result", plain, "--wait").splitlines()[1] == "state     SUCCESS"


def test_dead_letters_of_one_group_are_put_back_together(shop):
    with shop.worker():
        workflow = shop.ended("doors")
        until(lambda: len(shop.json("dead")) == 2)
        for door in ("door", "gate"):
            (shop.folder / door).touch()
        done = shop.run("dead", "requeue", f"{workflow}.0")
        assert (done.returncode, done.stdout) == (1, "0 put back\n")
        assert "needs node 1 (tasks.enter), which is failure: run it again from there" in done.stderr
        assert len(shop.json("dead")) == 2
        assert shop.ok("dead", "requeue", f"{workflow}.0", f"{workflow}.1") == "2 put back"
        assert shop.run("workflow", "show", workflow, "-w").returncode == 0
