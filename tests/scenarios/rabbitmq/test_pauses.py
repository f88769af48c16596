"""Queues of a broker that cannot pause any: the backend keeps it in mind, and every worker obeys."""

from __future__ import annotations

import json
import time

from tests.faults.conftest import Proxy

from faena import Faena
from faena._lib.drive import run as run_coroutine
from faena.model.control import Order, OrderKind

from .conftest import run

APP = """
@app.task
def note(name):
    mark(name)

@app.task
def hold(name):
    mark(f"begin {name}")
    until = time.monotonic() + 60
    while not os.path.exists(f"go-{name}") and time.monotonic() < until:
        time.sleep(0.01)
    mark(f"end {name}")
"""


def state_of(site, queue):
    (found,) = [each for each in json.loads(run(site, "queues", "--json").stdout) if each["name"] == queue]
    return found["paused"], found["waiting"]


def test_a_paused_queue_is_left_alone_by_workers_that_run_and_by_those_that_start_later(rabbit_site, until):
    site = rabbit_site
    site.app(APP)
    worker = site.worker("-c", "1", "-Q", "default,other")
    site.send("hold", "runs")
    site.until_marked("begin runs")
    for number in range(3):
        site.send("note", f"before {number}")
    done = run(site, "queues", "pause", "default")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "queue 'default' is paused; go on with: faena queues resume default\n"
    (site.folder / "go-runs").touch()
    site.until_marked("end runs")  # what runs goes on
    site.send("note", "meanwhile")
    site.send("note", "open", queue="other")
    site.until_marked("open")
    until(lambda: state_of(site, "default") == (True, 4))  # what was held and had not begun is there again, too
    assert "paused" in run(site, "queues").stdout
    (order,) = run(site, "inspect", "orders").stdout.splitlines()[1:]
    assert order.startswith("pause  default  faena queues resume default  ")
    worker.stop()

    site.worker("-c", "1", "-Q", "default,other")
    site.send("note", "open again", queue="other")
    site.until_marked("open again")
    assert state_of(site, "default") == (True, 4)
    assert {"before 0", "meanwhile"} & set(site.marks()) == set()
    assert "'default' is paused" in run(site, "doctor").stdout

    assert run(site, "queues", "resume", "default").stderr == "queue 'default' is running\n"
    for name in ("before 0", "before 1", "before 2", "meanwhile"):
        site.until_marked(name)
    assert state_of(site, "default") == (False, 0)


def test_it_is_paused_from_a_program_and_a_worker_that_takes_from_nothing_else_waits(rabbit_site, until):
    site = rabbit_site
    site.app(APP)
    control = site.client.control
    control.pause_queue("default", "other")
    assert [(each.kind, each.name) for each in control.orders()] == [("pause", "default"), ("pause", "other")]
    site.worker("-c", "2")
    site.send("note", "waits")
    until(lambda: state_of(site, "default") == (True, 1))
    assert site.marks() == {}
    control.resume_queue("default")
    site.until_marked("waits")
    assert state_of(site, "other") == (True, 0)


def test_what_was_ordered_while_a_worker_could_not_reach_the_backend_is_obeyed_afterwards(bare_site, redis_of):
    """No command tells of it: commands are kept for a minute, and a cut may last for longer."""
    site, direct = bare_site, redis_of()
    proxy = Proxy(direct.port)
    try:
        site.app(APP, f"backend='{proxy.url}?timeout_s=1&connect_timeout_s=0.5'")
        site._client = Faena("client", broker=site.url, backend=direct.url, set_as_current=False)
        worker = site.worker("-c", "2", "-Q", "default,other")
        proxy.refuses = True
        proxy.cut()
        worker.until_logged("waiting for commands: ")
        run_coroutine(site.client.connection().backend.orders.give([Order(OrderKind.PAUSE, "default", {}, time.time())]))
        proxy.refuses = False
        for process in range(2):
            worker.until_logged(rf"\[{process}\] queues that are paused: default", 30)
        site.send("note", "waits")
        site.send("note", "open", queue="other")
        site.until_marked("open")
        assert set(site.marks()) == {"open"}
    finally:
        proxy.close()


def test_without_a_backend_it_is_refused_with_what_is_lacking(bare_site):
    bare_site.app(APP)
    for verb in ("pause", "resume"):
        done = run(bare_site, "queues", verb, "default")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("faena: no backend for pausing queues of a broker that cannot do it itself: amqp://")
        assert done.stderr.endswith("set `result_backend`, such as redis://localhost or sqlite:///results.db\n")
