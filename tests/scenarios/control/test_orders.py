"""Orders that stand: revocations by header and by what a task is, time limits that are changed while workers run."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from faena.errors import InvalidArguments, TaskRevokedError, TimeLimitExceeded

from .conftest import faena, let_go, present

APP = """
from faena.errors import SoftTimeLimitExceeded

@app.task
def hold(name):
    mark(f"begin {name}")
    until = time.monotonic() + 60
    while not os.path.exists(f"go-{name}") and time.monotonic() < until:
        time.sleep(0.01)
    return name

@app.task
async def ahold(name):
    mark(f"begin {name}")
    await asyncio.sleep(60)

@app.task(bind=True)
def waits(self, event):
    return self.wait_for_event(event)

@app.task
def slow(name):
    mark(f"begin {name}")
    try:
        time.sleep(30)
    except SoftTimeLimitExceeded:
        return "in time"
"""


def check_revoked(*results):
    for each in results:
        with pytest.raises(TaskRevokedError):
            each.get(timeout=10)


def test_what_has_a_header_is_revoked_wherever_it_is_and_by_workers_that_start_later(any_site, until):
    site = any_site
    site.app(APP)
    control = site.client.control
    ours = [site.send("hold", 1, headers={"tenant": "7"}), site.send("hold", 2, headers={"tenant": 7}, countdown=3600)]
    parked = site.send("waits", "paid", headers={"tenant": "7"}, queue="events")
    worker = present(site, until, "-c", "1", "-Q", "events")
    until(lambda: parked.state == "WAITING")
    worker.stop()
    other = site.send("hold", "other", headers={"tenant": "8"})
    let_go(site, "other", "again")
    assert control.revoke_by_header({"tenant": "7"}) == 3
    check_revoked(*ours, parked)  # without any worker
    (order,) = control.orders()
    assert (order.name, order.value["headers"]) == ("any task with header tenant=7", {"tenant": "7"})

    present(site, until, "-c", "1")
    assert other.get(timeout=10) == "other"
    check_revoked(site.send("hold", 3, headers={"tenant": "7"}))
    assert control.withdraw("any task with header tenant=7") == 1
    assert site.send("hold", "again", headers={"tenant": "7"}).get(timeout=10) == "again"
    assert control.withdraw("any task with header tenant=7") == 0
    assert not {"begin 1", "begin 2", "begin 3"} & set(site.marks())


def test_what_runs_is_ended_by_name_on_request_and_only_what_was_sent_before(site, until):
    site.app(APP)
    present(site, until, "-c", "2")
    running = [site.send("hold", "a"), site.send("ahold", "b")]
    spared = site.send("slow", "spared")
    for name in "ab":
        site.until_marked(f"begin {name}")
    site.until_marked("begin spared")
    moment = datetime.now(UTC).isoformat()
    done = faena(site, "control", "revoke", "--task", "app.*hold", "--sent-before", moment, "--terminate")
    assert (done.returncode, done.stderr) == (
        0, "0 waiting tasks revoked; others that fit, and those sent later, do not begin\n"
    )  # fmt: skip
    check_revoked(*running)
    let_go(site, "later")
    assert site.send("hold", "later").get(timeout=10) == "later"  # it was sent after that moment
    assert spared.state == "PENDING"
    site.client.control.revoke(spared.id, terminate=True)
    names = [each.name for each in site.client.control.orders()]
    assert faena(site, "inspect", "orders").stdout.splitlines()[1].startswith(f"revoke  {names[0]}")
    assert faena(site, "control", "withdraw", *names).returncode == 0
    said = faena(site, "control", "withdraw", "task app.hold").stderr
    assert said == "faena: no such order stands: 'task app.hold'; list: faena inspect orders\n"


def test_time_limits_are_changed_for_running_workers_and_for_those_that_start_later(any_site, until):
    site = any_site
    site.app(APP)
    worker = present(site, until, "-c", "1")
    control = site.client.control
    answers = control.time_limit("app.slow", soft=0.2)
    assert list(answers.values()) == [{"ok": "it stands"}]
    assert site.send("slow", 1).get(timeout=10) == "in time"
    worker.stop()

    present(site, until, "-c", "1")
    assert site.send("slow", 2).get(timeout=10) == "in time"
    done = faena(site, "control", "time-limit", "app.slow", "--soft", "0", "--hard", "0.3s")
    assert (done.returncode, done.stderr) == (0, "it stands, until it is changed or: --declared\n")
    with pytest.raises(TimeLimitExceeded):
        site.send("slow", 3).get(timeout=10)
    assert "hard 0.3 s" in faena(site, "inspect", "orders").stdout
    assert faena(site, "control", "time-limit", "app.slow", "--declared").returncode == 0
    assert list(control.orders()) == []
    result = site.send("slow", 4)
    site.until_marked("begin 4")
    begun = time.monotonic()
    until(lambda: time.monotonic() - begun > 0.5 and result.state == "PENDING")
    control.revoke(result.id, terminate=True)


def test_a_rule_about_everything_is_refused(site):
    site.app(APP)
    with pytest.raises(InvalidArguments, match="say what it is about"):
        site.client.control.revoke_by()
    done = faena(site, "control", "revoke")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2, "faena: name ids of tasks, or say which: --task, --queue, --header, --sent-before"
    )  # fmt: skip
    assert faena(site, "control", "time-limit", "app.slo", "--soft", "1").stderr.startswith(
        "faena: no task 'app.slo' in app 'site'; did you mean 'app.slow'?"
    )
