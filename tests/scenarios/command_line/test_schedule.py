"""`faena schedule` and `faena beat`, as their users would use them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time

import pytest

from .conftest import DEADLINE_S, FAENA, Project, until

TASKS = """\
from pathlib import Path

from faena import Faena
from faena.schedules import crontab

app = Faena("shop", timezone="Europe/Madrid")


@app.task(bind=True)
def note(self, *args, **kwargs):
    headers = self.request.headers or {}
    with open("noted", "a") as file:
        file.write(f"{headers.get('schedule')} {headers.get('scheduled_for')} {list(args)} {kwargs}\\n")


@app.periodic("0 7 * * mon-fri", name="weekdays", args=["early"])
@app.task
def report(when):
    pass


app.conf.beat_schedule = {
    "new-year": {"task": "tasks.report", "schedule": crontab(0, 0, day_of_month=1, month_of_year=1), "args": ("late",)},
}
"""


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path, TASKS)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Project:
    """A project whose schedules each test names for itself."""
    return Project(tmp_path_factory.mktemp("shared"), TASKS)


def beat(project: Project, *words: str) -> subprocess.Popen[str]:
    """`faena beat`, when it is ready."""
    process = subprocess.Popen(
        [FAENA, "beat", *words], cwd=project.folder, env=project.environment(), text=True,
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "beat is ready" in line:
            return process
    pytest.fail("beat did not start")


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    return said


def noted(project: Project) -> list[str]:
    path = project.folder / "noted"
    return path.read_text().splitlines() if path.exists() else []


def test_a_schedule_is_made_changed_shown_and_removed(shared):
    said = shared.ok(
        "schedule", "add", "nightly", "tasks.note", "--cron", "30 2 * * *", "--args", "[1]", "--overlap", "skip"
    )
    assert re.fullmatch(r"schedule 'nightly' added; it runs next at \d{4}-\d\d-\d\d 0[23]:\d0:00\+0[12]:00", said)
    facts = shared.json("schedule", "show", "nightly")
    assert (facts["due"], facts["task"], facts["args"]) == ("30 2 * * * Europe/Madrid", "tasks.note", [1])
    assert (facts["overlap"], facts["state"], len(facts["next_runs"])) == ("skip", "active", 10)
    shared.ok("schedule", "edit", "nightly", "--cron", "0 4 * * sun", "--tz", "UTC", "--jitter", "5m", "-Q", "mail")
    facts = shared.json("schedule", "show", "nightly", "-n", "2")
    assert (facts["due"], facts["jitter"], facts["queue"], facts["overlap"]) == ("0 4 * * sun UTC", 300.0, "mail", "skip")
    assert all(each.endswith("T04:00:00+00:00") for each in facts["next_runs"])
    shared.ok("schedule", "edit", "nightly", "--clear", "jitter")
    assert shared.json("schedule", "show", "nightly")["jitter"] == 0
    assert shared.ok("schedule", "pause", "nightly") == "1 paused"
    text = shared.ok("schedule", "show", "nightly")
    assert "state            paused" in text
    assert text.endswith("no next run: it is paused")
    assert shared.ok("schedule", "resume", "nightly") == "1 resumed"
    assert "  in " in shared.ok("schedule", "show", "nightly")
    assert "schedule 'nightly'? Nobody is there to answer" in shared.refused("schedule", "remove", "nightly")
    assert shared.ok("schedule", "remove", "nightly", "-f") == "1 removed"
    assert "no schedule 'nightly'" in shared.refused("schedule", "show", "nightly", code=1)


def test_schedules_are_listed(shared):
    shared.ok("schedule", "add", "half-minutes", "tasks.note", "--every", "30s")
    shared.ok("schedule", "add", "evening", "tasks.note", "--solar", "sunset,40.4,-3.7")
    shared.ok("schedule", "add", "once", "tasks.note", "--at", "2090-01-31T09:00")
    lines = shared.ok("schedule").splitlines()
    assert lines[0].split() == ["NAME", "DUE", "TASK", "STATE", "NEXT-RUN", "SENT"]
    assert re.match(r"evening +sunset at 40.4, -3.7 +tasks.note +active +2\d{3}-", lines[1])
    assert re.match(r"half-minutes +every 30 s +tasks.note +active +2\d{3}-", lines[2])
    assert re.match(r"once +once, 2090-01-31 09:00:00 +tasks.note +active +2090-01-31 09:00:00\+01:00 +0", lines[3])
    assert [each["name"] for each in shared.json("schedule", "list")] == ["evening", "half-minutes", "once"]


def test_the_ticks_of_a_time_that_has_passed_are_run(shared):
    shared.ok("schedule", "add", "daily", "tasks.note", "--cron", "@daily", "--tz", "UTC")
    ticks = shared.json("schedule", "backfill", "daily", "--from", "2024-01-01", "--to", "2024-01-03T12:00", "--dry-run")
    assert ticks == ["2024-01-01T00:00:00+00:00", "2024-01-02T00:00:00+00:00", "2024-01-03T00:00:00+00:00"]
    ids = shared.ok("schedule", "backfill", "daily", "--from", "2024-01-01", "--to", "2024-01-03T12:00").splitlines()
    one = shared.ok("schedule", "run", "daily")
    assert len({*ids, one}) == 4
    waiting = shared.json("queues")[0]
    assert (waiting["name"], waiting["waiting"]) == ("default", 4)
    turned = ("--from", "2024-01-03", "--to", "2024-01-01")
    assert "a time ends after its beginning" in shared.refused("schedule", "backfill", "daily", *turned)
    assert "say from when: --from" in shared.refused("schedule", "backfill", "daily")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "x", "tasks.note"), "say when: --cron '0 7 * * *', --every 30s, --at 2030-01-31T09:00 or --solar sunset"),
        (("add", "x", "tasks.note", "--cron", "* * *"), "'* * *' has 3 fields; cron has five"),
        (("add", "x", "tasks.note", "--every", "5", "--cron", "@daily"), "give one of --cron and --every, not both"),
        (("add", "x", "tasks.noted", "--every", "5"), "did you mean 'tasks.note'?"),
        (("add", "x", "tasks.report", "--every", "5"), "tasks.report"),
        (("edit", "x", "--clear", "jiter"), "did you mean 'jitter'?"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(shared, words, said):
    assert said in shared.refused("schedule", *words)


def test_beat_sends_what_is_due_and_a_worker_runs_it(project):
    (project.folder / "faena.toml").write_text("worker_beat = false\n")
    first = beat(project)
    until(lambda: [each["name"] for each in project.json("schedule")] == ["new-year", "weekdays"])
    facts = {each["name"]: each for each in project.json("schedule")}
    assert (facts["new-year"]["due"], facts["new-year"]["args"]) == ("0 0 1 1 * Europe/Madrid", ["late"])
    assert (facts["weekdays"]["declared_by"], facts["weekdays"]["args"]) == ("shop", ["early"])
    second = beat(project)
    project.ok("schedule", "add", "fast", "tasks.note", "--every", "500ms", "--kwargs", '{"x": 1}')
    with project.worker():
        until(lambda: len(noted(project)) >= 3)
        assert end(first).count("stopped") == 1
        before = len(noted(project))
        until(lambda: len(noted(project)) >= before + 3)
        end(second)
        sent = project.json("schedule", "show", "fast")["sent"]
        until(lambda: len(noted(project)) == sent)
        time.sleep(0.7)  # a worker that took part would have sent one more
        assert project.json("schedule", "show", "fast")["sent"] == sent
    moments = [line.split()[1] for line in noted(project)]
    assert len(set(moments)) == len(moments)
    assert noted(project)[0].startswith("fast ")
    assert noted(project)[0].endswith(" [] {'x': 1}")


def test_a_worker_sends_what_is_due_by_itself(project):
    with project.worker():
        project.ok("schedule", "add", "fast", "tasks.note", "--every", "400ms")
        until(lambda: len(noted(project)) >= 2)


def test_a_schedule_that_makes_no_sense_keeps_workers_and_beat_from_starting(project):
    path = project.folder / "tasks.py"
    path.write_text(
        path.read_text() + 'app.conf.beat_schedule = {"bad": {"task": "tasks.note", "schedule": "61 * * * *"}}\n'
    )
    assert "minute goes from 0 to 59, and '61' is outside" in project.run("worker", "-c", "1").stderr
    assert "minute goes from 0 to 59, and '61' is outside" in project.refused("beat")
    assert json.loads(project.ok("schedule", "--json")) == []
