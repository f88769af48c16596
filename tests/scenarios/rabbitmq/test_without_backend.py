"""RabbitMQ keeps no results: without a backend tasks run, and everything else says what is lacking."""

from __future__ import annotations

import pytest

from faena import chain, group
from faena.errors import NoBackend

from .conftest import run

APP = """
from faena import chain

@app.task
def note(name):
    mark(name)
    return name

@app.task(acks_late=False)
def once_at_most(name):
    mark(name)

@app.task(bind=True)
def waits(self, name):
    mark(f"begin {name}")
    return self.wait_for_event("paid")

@app.task(bind=True)
def steps(self, name):
    mark(f"begin {name}")
    self.step("one", lambda: 1)

@app.task(bind=True)
def replaces(self, name):
    mark(f"begin {name}")
    return self.replace(chain(note.si("first"), note.si("second")))

@app.task(bind=True, max_retries=2, default_retry_delay=0.01)
def again(self, name):
    if self.request.retries < 1:
        raise self.retry()
    mark(name)
"""

ADVICE = "; set `result_backend`, such as redis://localhost or sqlite:///results.db"


@pytest.fixture
def site(bare_site):
    bare_site.app(APP)
    return bare_site


def test_what_needs_a_backend_says_what_and_what_to_set(site):
    app = site.client
    note = app.signature("app.note", ("x",))
    sent = site.send("note", "x")

    @app.task(unique=True)
    def unique():
        pass

    needs = {
        "results of tasks": [lambda: sent.get(timeout=5), lambda: sent.state, lambda: sent.forget()],
        "workflows": [lambda: chain(note, note).delay(), lambda: group([note, note]).delay()],
        "revoking tasks": [lambda: app.control.revoke(sent.id)],
        "orders that stand for every worker": [
            lambda: app.control.revoke_by(task="x"),
            lambda: app.control.time_limit("x", soft=1),
            lambda: app.control.orders(),
        ],
        "remote control": [
            lambda: app.control.inspect().active(),
            lambda: app.control.ping(),
            lambda: app.control.workers(),
            lambda: app.control.shutdown(),
        ],
        "unique tasks": [lambda: unique.delay()],
        "schedules": [lambda: app.schedules.add("s", "app.note", 5, args=["x"]), lambda: list(app.schedules.list())],
        "events that tasks wait for, and steps that they remember": [lambda: app.signal_event("paid")],
    }
    for what, calls in needs.items():
        for call in calls:
            with pytest.raises(NoBackend) as caught:
                call()
            shown = site.url.partition("?")[0].replace("guest:guest", "guest:***")
            assert str(caught.value) == (f"no backend for {what}: {shown} carries messages, and keeps nothing else{ADVICE}")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("result", "x"), "results of tasks"),
        (("call", "app.note", "x", "--wait"), "results of tasks"),
        (("inspect", "active"), "remote control"),
        (("inspect", "workers"), "remote control"),
        (("inspect", "revoked"), "revoking tasks"),
        (("inspect", "orders"), "orders that stand for every worker"),
        (("control", "shutdown"), "remote control"),
        (("control", "revoke", "x"), "revoking tasks"),
        (("workflow",), "workflows"),
        (("schedule",), "schedules"),
        (("explain", "x"), "results of tasks"),
    ],
)
def test_so_do_the_commands(site, words, what):
    done = run(site, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"no backend for {what}: " in done.stderr
    assert ADVICE in done.stderr


def test_a_worker_says_it_once_and_goes_on_whatever_needs_one(site, until):
    worker = site.worker("-c", "1")
    said = (
        "no result_backend is set, and the broker keeps no results: they are dropped, and what needs a backend is refused "
        "(.get(), workflows, revoking, remote control, pauses, unique tasks, schedules)"
    )
    for name in ("once_at_most", "waits", "steps", "replaces", "again"):
        site.send(name, name)
    for mark in ("once_at_most", "begin waits", "begin steps", "begin replaces", "again"):
        site.until_marked(mark)
    site.send("note", "the last")
    site.until_marked("the last")
    assert worker.text().count(said) == 1
    assert "is started again" not in worker.text()  # no process has ended by it
    worker.until_logged("the outcome of a task cannot be kept: no backend for workflows: ")
    for task in ("waits", "steps"):
        worker.until_logged(rf"app\.{task}\[\w+\] .*NoBackend")
    assert set(site.marks().values()) == {1}
    assert run(site, "queues").stdout.splitlines()[1].split()[-2:] == ["?", "?"]
    doctor = run(site, "doctor").stdout
    assert "none is running" not in doctor
    assert "no result_backend is set" in doctor
