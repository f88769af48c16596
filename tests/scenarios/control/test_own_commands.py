"""Commands of remote control that an app declares itself."""

from __future__ import annotations

import os

import pytest

from faena.errors import InvalidTask

from .conftest import faena, let_go, present

APP = """
from datetime import date

@app.task
def hold(name):
    mark(f"begin {name}")
    until = time.monotonic() + 60
    while not os.path.exists(f"go-{name}") and time.monotonic() < until:
        time.sleep(0.01)
    return name

@app.control.command
def tell(what: str, times: int = 1, day: date | None = None) -> dict:
    "Say it again."
    return {"said": [what] * times, "thread": threading.current_thread().name, "day": day}

@app.control.command(name="pids", everywhere=True)
async def all_pids():
    return os.getpid()

@app.control.command
def sleeps(seconds: float):
    time.sleep(seconds)

@app.control.command
def leaves():
    raise SystemExit("enough")

@app.control.command(everywhere=True)
def fails():
    raise ValueError("no")
"""
NAME = f"faena@{os.uname().nodename}"


def test_an_app_declares_commands_that_workers_run_beside_their_tasks(site, until):
    site.app(APP)
    worker = present(site, until, "-c", "2")
    control = site.client.control
    busy = [site.send("hold", name) for name in "ab"]
    for name in "ab":
        site.until_marked(f"begin {name}")
    said = {"said": ["hi", "hi"], "thread": "faena-command", "day": None}
    assert control.broadcast("tell", {"what": "hi", "times": 2}, reply=True) == [{NAME: said}]
    (pids,) = control.tell("pids").values()
    assert sorted(each["value"] for each in pids) == sorted(worker.processes())
    assert control.tell("leaves") == {NAME: {"error": "SystemExit: enough"}}
    (refused,) = control.tell("tell", {"times": "x", "what": "y"}).values()
    assert refused["error"].startswith("task 'tell': argument 'times': Expected `int`")
    (silent,) = control.tell("sleeps", {"seconds": 60}, timeout=1.0).values()
    assert silent["error"].endswith("gave no answer within 0.8 s")
    assert control.tell("sleeps", {"seconds": 1.1}, timeout=10.0) == {NAME: None}
    assert control.tell("teel") == {NAME: {"error": "unknown command 'teel'; did you mean 'tell'?"}}
    let_go(site, "a", "b")
    assert [each.get(timeout=10) for each in busy] == ["a", "b"]
    assert worker.stop() == 0  # in spite of the command that still sleeps


def test_the_command_line_calls_them_by_name_and_knows_which_there_are(site, until):
    site.app(APP)
    nobody = faena(site, "control", "tell", "what=x")
    assert (nobody.returncode, nobody.stderr) == (1, "faena: no worker is running\n")
    done = faena(site, "control", "tel", "what=x")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2, "faena: no command 'tel' of `faena control`, nor one that app 'site' declares; did you mean 'tell'?"
    )  # fmt: skip
    assert "did you mean 'pool-grow'?" in faena(site, "control", "pool-grwo").stderr
    done = faena(site, "control", "tell", "what=x", "times=many")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2, "faena: task 'tell': argument 'times': Expected `int`, got `str` (given 'many')"
    )  # fmt: skip
    present(site, until, "-c", "1")
    done = faena(site, "control", "tell", "what=42", "times=2", "day=2030-01-31")
    assert done.stdout == (
        f'{NAME}: {{"said":["42","42"],"thread":"faena-command","day":"2030-01-31"}}\n'
    )  # fmt: skip
    done = faena(site, "control", "fails")
    assert (done.returncode, "ValueError: no" in done.stdout) == (1, True)
    rows = [line.split() for line in faena(site, "inspect", "commands").stdout.splitlines()]
    assert [row[1] for row in rows] == ["COMMAND", "tell", "pids", "sleeps", "leaves", "fails"]
    assert " ".join(rows[1][-3:]) == "Say it again."


def test_a_name_of_faenas_own_is_refused():
    from faena import Faena

    app = Faena("own", set_as_current=False)
    with pytest.raises(InvalidTask, match="a command cannot be called 'ping'"):

        @app.control.command
        def ping():
            pass

    @app.control.command
    def other(x):
        return x

    assert other(3) == 3
