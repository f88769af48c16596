"""Remote control of real workers, through the API as a user of Celery calls it, and through the command line."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from .conftest import faena, let_go, present

APP = """
@app.task
def hold(name):
    mark(f"begin {name}")
    until = time.monotonic() + 60
    while not os.path.exists(f"go-{name}") and time.monotonic() < until:
        time.sleep(0.01)
    mark(f"end {name}")
    return name

@app.task
def quick(n):
    return os.getpid()
"""


@pytest.fixture
def app(site):
    site.app(APP)


def working(site):
    (stats,) = site.client.control.inspect(timeout=5).stats().values()
    return sum(each["state"] == "working" for each in stats["processes"]), len(stats["processes"])


def test_the_pool_grows_and_shrinks_and_what_is_taken_away_finishes_first(site, app, until):
    present(site, until, "-c", "1")
    control = site.client.control
    ((name, answer),) = control.pool_grow(2, reply=True).items()
    assert (name, answer) == (f"faena@{os.uname().nodename}", {"ok": "3 processes instead of 1"})
    held = [site.send("hold", each) for each in "abc"]
    for each in "abc":
        site.until_marked(f"begin {each}")
    assert control.pool_shrink(2) == {name: {"ok": "1 process instead of 3"}}
    assert working(site) == (1, 3)
    let_go(site, "a", "b", "c")
    assert [each.get(timeout=10) for each in held] == list("abc")
    until(lambda: working(site) == (1, 1))
    assert control.pool_shrink(5) == {name: {"ok": "1 process, as before"}}
    assert site.marks() == {f"{what} {each}": 1 for what in ("begin", "end") for each in "abc"}
    assert control.pool_grow(0) == {name: {"error": "'n' is a number from 1 on, not 0"}}


def test_consumers_are_added_and_cancelled_in_every_process_and_in_those_that_come_later(site, app, until):
    present(site, until, "-c", "1", "-Q", "default")
    control = site.client.control
    waits = site.send("quick", 1, queue="extra")
    assert list(control.add_consumer("extra", reply=True).values()) == [{"ok": "takes from queue 'extra', too"}]
    assert waits.get(timeout=10)
    assert list(control.add_consumer("extra").values()) == [{"ok": "takes from queue 'extra' already"}]
    (queues,) = control.inspect().active_queues().values()
    assert queues == [{"name": "default"}, {"name": "extra"}]
    until(lambda: [each.queues for each in control.workers()] == [("default", "extra")], 5)

    site.send("hold", "first", queue="extra")
    site.until_marked("begin first")
    control.pool_grow()
    site.send("hold", "second", queue="extra")  # for the process that has come later
    site.until_marked("begin second")
    behind = site.send("quick", 2, queue="extra")
    assert list(control.cancel_consumer("extra").values()) == [{"ok": "takes nothing more from queue 'extra'"}]
    let_go(site, "first", "second")
    site.until_marked("end second")
    assert site.send("quick", 3).get(timeout=10)
    assert (behind.state, site.queue("extra").waiting) == ("PENDING", 1)
    (refusal,) = control.cancel_consumer("default").values()
    assert refusal["error"].startswith("queue 'default' is the only one that this worker takes from; pause it")


def test_what_workers_have_in_hand_is_told_in_celerys_shape(site, app, until):
    present(site, until, "-c", "1")
    inspect = site.client.control.inspect()
    running, later = site.send("hold", "a"), site.send("quick", 1, countdown=3600)
    site.until_marked("begin a")
    ((name, (task,)),) = inspect.active().items()
    assert (task["id"], task["name"], task["type"], task["args"]) == (running.id, "app.hold", "app.hold", "('a',)")
    assert task["time_start"] == pytest.approx(time.time(), abs=30)
    assert (task["delivery_info"]["routing_key"], task["worker_pid"]) == ("default", site.workers[0].processes()[0])
    ((state, found),) = inspect.query_task([running.id, "other"])[name].values()
    assert (state, found["id"]) == ("active", running.id)
    assert [each["request"]["id"] for each in inspect.scheduled()["broker"]] == [later.id]
    assert inspect.registered()[name] == ["app.hold", "app.quick"]
    assert inspect.reserved() == {name: []}
    assert inspect.conf()[name]["worker_lease"] == 30.0
    assert inspect.ping() == {name: {"ok": "pong"}}
    assert site.client.control.broadcast("ping", reply=True) == [{name: {"ok": "pong"}}]
    assert site.client.control.broadcast("ping") is None
    site.client.control.revoke(later.id)
    assert inspect.revoked() == {"backend": [later.id]}
    let_go(site, "a")


def test_a_worker_that_does_not_answer_is_named_within_a_second_and_the_others_are_heard(site, app, until):
    present(site, until, "-c", "1", "-n", "well")
    stuck = present(site, until, "-c", "1", "-n", "stuck")
    host = os.uname().nodename
    stuck.signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        answers = site.client.control.inspect().ping()
        assert time.monotonic() - begun < 2.0
        assert (answers, answers.missing) == ({f"well@{host}": {"ok": "pong"}}, (f"stuck@{host}",))
        done = faena(site, "control", "pool-grow", "--timeout", "1")
        assert (done.returncode, done.stdout) == (
            1, f"well@{host}: 2 processes instead of 1\nstuck@{host}: no answer in time\n",
        )  # fmt: skip
        done = faena(site, "inspect", "ping", "--json")
        assert done.returncode == 1
        assert json.loads(done.stdout) == {f"well@{host}": {"ok": "pong"}, f"stuck@{host}": None}
        assert done.stderr == f"no answer in time from stuck@{host}\n"
    finally:
        stuck.signal(signal.SIGCONT)


def test_a_pool_of_one_process_refuses_to_grow_and_says_why(site, app, until):
    present(site, until, "-P", "threads", "-c", "2")
    done = faena(site, "control", "pool-grow")
    why = "the pool of this worker is 'threads', which is one process; start it with --pool processes"
    assert (done.returncode, done.stdout) == (1, f"faena@{os.uname().nodename}: refused: {why}\n")


def test_every_call_of_a_batch_that_runs_is_told_of_and_those_that_wait_go_back_with_their_queue(site, until):
    site.app("""
    @app.task(batch=(3, 60), queue="bulk")
    def many(calls):
        mark("begin")
        until = time.monotonic() + 60
        while not os.path.exists("go-all") and time.monotonic() < until:
            time.sleep(0.01)
        return [call.args[0] for call in calls]
    """)
    present(site, until, "-c", "1", "-Q", "default,bulk")
    control = site.client.control
    together = [site.send("many", number, queue="bulk") for number in range(3)]
    site.until_marked("begin")
    ((_, active),) = control.inspect().active().items()
    assert sorted((each["id"], each["args"]) for each in active) == sorted(
        (sent.id, f"({number},)") for number, sent in enumerate(together)
    )
    let_go(site, "all")
    assert [each.get(timeout=10) for each in together] == [0, 1, 2]
    alone = site.send("many", 9, queue="bulk")
    until(lambda: site.queue("bulk").held == 1)
    control.cancel_consumer("bulk")
    until(lambda: (site.queue("bulk").held, site.queue("bulk").waiting) == (0, 1))
    assert alone.state == "PENDING"
