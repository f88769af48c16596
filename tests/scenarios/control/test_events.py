"""Events of real workers, told to programs and to the command line: on SQLite and on Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from .conftest import faena, let_go, present

APP = """
@app.task
def add(x, secret="none"):
    return x + 1

@app.task
async def aadd(x):
    return x + 1

@app.task
def bad():
    raise ValueError("n" + "o" * 10_000)

@app.task(bind=True)
def again(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)

@app.task
def hold(name):
    mark(f"begin {name}")
    while not os.path.exists(f"go-{name}"):
        time.sleep(0.01)

@app.task
def die():
    if once("died"):
        os.kill(os.getpid(), signal.SIGKILL)
"""
NAME = f"faena@{os.uname().nodename}"


def hear(stream, until_fits, within_s=20.0):
    """Collect events up to the first that fits."""
    found, deadline = [], time.monotonic() + within_s
    while time.monotonic() < deadline:
        for event in stream.receive(1.0):
            found.append(event)
            if until_fits(event):
                return found
    raise AssertionError(f"it did not come: {[(each.kind.value, each.task) for each in found]}")


def kinds_of(found, task_id):
    """What was told of a task, in its order: of two processes, each tells in batches of its own."""
    found = sorted(found, key=lambda event: event.at_s)
    return [event.kind.value.removeprefix("task-") for event in found if event.task_id == task_id]


def test_the_life_of_tasks_and_of_their_worker_is_told(any_site, until):
    site = any_site
    site.app(APP)
    with site.client.events() as stream:
        worker = present(site, until, "-E", "-c", "2")
        found = hear(stream, lambda event: event.kind == "worker-heartbeat")
        assert found[0].kind == "worker-online"
        assert sum(event.kind == "process-started" for event in found) == 2
        sent = {
            "add": site.send("add", 1, "a-secret"), "aadd": site.send("aadd", 1), "bad": site.send("bad"),
            "again": site.send("again"),
        }  # fmt: skip
        for name in ("add", "aadd", "again"):
            sent[name].get(timeout=20)
        until(lambda: sent["bad"].state == "FAILURE")
        worker.stop()
        found = hear(stream, lambda event: event.kind == "worker-offline")
        told = {name: kinds_of(found, result.id) for name, result in sent.items()}
        assert told["add"] == told["aadd"] == ["received", "started", "succeeded"]
        assert told["bad"][-3:] == ["received", "started", "failed"]
        assert [each for each in told["again"] if each != "released"] == [
            "received", "started", "retried", "received", "started", "succeeded",
        ]  # fmt: skip
        assert {event.worker for event in found} == {NAME}
        ends = {event.task: event for event in found if event.kind in ("task-succeeded", "task-failed")}
        assert (ends["app.add"].text, ends["app.add"].queue) == ("2", "default")
        assert len(ends["app.bad"].text) <= 500
        assert "ValueError" in ends["app.bad"].traceback
        assert 4000 < len(ends["app.bad"].traceback) < 4010
        assert "a-secret" not in repr(found)
        assert stream.missed == 0
        assert found[-1].about["processes"] == 0


def test_many_tasks_are_told_of_without_missing_one(any_site, until):
    site = any_site
    site.app(APP)
    present(site, until, "-E")
    with site.client.events("succeeded", task="app.add") as stream:
        sent = sorted(result.id for result in site.send_all("add", list(range(3000))))
        told = []
        deadline = time.monotonic() + 40
        while len(told) < len(sent) and time.monotonic() < deadline:
            told += [event.task_id for event in stream.receive(1.0)]
        assert stream.missed == 0
        assert sorted(told) == sent


def test_what_waits_or_runs_among_very_many_that_come_and_go_is_told_of(any_site, until):
    site = any_site
    site.app(APP)
    present(site, until, "-E", "-c", "1")
    with site.client.events() as stream:
        site.send_all("add", list(range(3000)))
        held = site.send("hold", "one")
        found = hear(stream, lambda event: event.kind == "task-started" and event.task_id == held.id)
        assert kinds_of(found, held.id) == ["received", "started"]
        let_go(site, "one")
        found = hear(stream, lambda event: event.task_id == held.id)
        assert kinds_of(found, held.id) == ["succeeded"]


def test_events_are_off_until_they_are_enabled_also_in_processes_that_begin_later(any_site, until):
    site = any_site
    site.app(APP)
    present(site, until, "-c", "1")
    control = site.client.control
    with site.client.events() as stream:
        site.send("add", 1).get(timeout=10)
        assert stream.receive(0.5) == []
        assert control.enable_events() == {NAME: {"ok": "task events are enabled"}}
        assert control.enable_events() == {NAME: {"ok": "task events are enabled already"}}
        result = site.send("add", 1)
        found = hear(stream, lambda event: event.kind == "task-succeeded")
        assert kinds_of(found, result.id) == ["received", "started", "succeeded"]
        site.send("die")
        found = hear(stream, lambda event: event.kind == "task-succeeded" and event.task == "app.die")
        (ended,) = [event for event in found if event.kind == "process-ended"]
        assert (ended.about["how"], ended.about["detail"]) == ("crashed", "killed by SIGKILL")
        done = faena(site, "control", "disable-events")
        assert (done.returncode, done.stdout) == (0, f"{NAME}: task events are disabled\n")
        stream.receive(0.3)
        site.send("add", 1).get(timeout=10)
        assert stream.receive(0.5) == []


class Events:
    """`faena events` that runs."""

    def __init__(self, site, *words, stdout=subprocess.PIPE):
        environ = {key: value for key, value in os.environ.items() if not key.startswith("FAENA_")}
        self.popen = subprocess.Popen(
            [os.path.join(os.path.dirname(sys.executable), "faena"), "-A", "app", "events", *words], cwd=site.folder,
            env={**environ, "NO_COLOR": "1"}, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert "listening" in self.popen.stderr.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.kill()
        self.popen.communicate()


def test_the_command_shows_what_fits_and_ends_with_ctrl_c(any_site, until):
    site = any_site
    site.app(APP)
    present(site, until, "-E", "-c", "1")
    with Events(site, "--json", "--kind", "failed,succeeded", "--task", "app.*") as events:
        result = site.send("add", 1)
        found = json.loads(events.popen.stdout.readline())
        expected = {
            "kind": "task-succeeded", "worker": NAME, "task": "app.add", "task_id": result.id, "queue": "default",
            "text": "2",
        }  # fmt: skip
        assert expected.items() <= found.items()
        site.send("bad")
        assert json.loads(events.popen.stdout.readline())["kind"] == "task-failed"
        events.popen.send_signal(signal.SIGINT)
        rest, said = events.popen.communicate(timeout=10)
        assert (events.popen.returncode, rest, said.strip()) == (0, "", "")
    with Events(site, "--task", "app.add") as events:
        result = site.send("add", 2)
        lines = [events.popen.stdout.readline() for _ in range(3)]
        assert [line.split()[1] for line in lines] == ["task-received", "task-started", "task-succeeded"]
        assert f"app.add[{result.id}]" in lines[2]
        assert lines[2].endswith(": 3\n")


def test_the_command_ends_in_peace_when_nobody_reads_it_any_more(site, until):
    site.app(APP)
    present(site, until, "-E", "-c", "1")
    reading, writing = os.pipe()
    with Events(site, "--json", "--worker", NAME, stdout=writing) as events:
        os.close(writing)
        assert os.read(reading, 1)
        os.close(reading)
        _, said = events.popen.communicate(timeout=20)
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "said"), [(("--kind", "failled"), "did you mean 'task-failed'"), (("--timeout", "x"), "--timeout")]
)
def test_what_cannot_be_is_refused(site, words, said):
    site.app(APP)
    done = faena(site, "events", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_command_ends_when_nothing_has_come_for_the_time(site):
    site.app(APP)
    done = faena(site, "events", "--timeout", "0.2")
    assert (done.returncode, done.stdout) == (0, "")


def test_metrics_say_how_many_events_were_told(site, until):
    site.app(APP)
    worker = present(site, until, "-E", "-c", "1", "--metrics-port", "0")
    port = int(worker.until_logged(r"metrics are at http://127\.0\.0\.1:(\d+)/metrics")[1])
    site.send("add", 1).get(timeout=10)
    script = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"

    def told():
        page = subprocess.run(
            [sys.executable, "-c", script, f"http://127.0.0.1:{port}/metrics"], capture_output=True, text=True, timeout=20
        ).stdout
        return float(page.partition("\nfaena_events_sent_total ")[2].partition("\n")[0])

    until(lambda: told() >= 4)  # three of the task, and those of the worker


def test_a_held_task_that_goes_back_is_told_of(site, until):
    site.app(APP)
    worker = present(site, until, "-E", "-c", "1")
    with site.client.events(task="app.hold") as stream:
        first = site.send("hold", "one")
        site.until_marked("begin one")
        found = hear(stream, lambda event: event.kind == "task-started")
        assert kinds_of(found, first.id) == ["received", "started"]
        worker.signal(signal.SIGTERM)
        let_go(site, "one")
        hear(stream, lambda event: event.kind == "task-succeeded" and event.task_id == first.id)
        assert worker.until_ended() == 0
