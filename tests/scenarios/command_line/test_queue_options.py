"""Queues with options, as the command line and its workers have them."""

from __future__ import annotations

import json

import pytest

from .conftest import until

TASKS = """\
from faena import Faena, Queue

app = Faena(
    "shop",
    task_queues=[Queue("mail", weight=3), Queue("bulk", ageing="1h"), Queue("tenant:7")],
    task_routes={"tasks.bulk_*": "bulk"},
    worker_prefetch_multiplier=1,
)


@app.task(queue="mail")
def mail(number: int) -> None:
    note("m", number)


@app.task
def bulk_mail(number: int) -> None:
    note("b", number)


@app.task(queue="tenant:7")
def other(number: int) -> None:
    note("t", number)


def note(kind, number):
    with open("order", "a") as file:
        file.write(kind)
"""


@pytest.fixture
def shop(project):
    (project.folder / "tasks.py").write_text(TASKS)
    return project


def order_of(project, count, *words):
    """Start a worker for what waits already; return which task ran when."""
    path = project.folder / "order"
    with project.worker(*words):
        until(lambda: path.exists() and len(path.read_text()) >= count)
    return path.read_text()


def sent(project, names, count):
    script = (
        "import tasks, json, sys\n"
        f"for name in {names!r}:\n"
        f"    tasks.app.send_many([getattr(tasks, name).s(n) for n in range({count})])\n"
    )
    (project.folder / "send.py").write_text(script)
    import subprocess
    import sys

    subprocess.run([sys.executable, "send.py"], cwd=project.folder, env=project.environment(), check=True, timeout=30)


def test_in_strict_order_a_worker_empties_its_queues_one_after_the_other(shop):
    sent(shop, ["bulk_mail", "mail", "other"], 10)
    assert order_of(shop, 30, "-Q", "mail,tenant:7,bulk", "--queue-order", "strict") == "m" * 10 + "t" * 10 + "b" * 10


def test_in_weighted_order_a_worker_takes_shares(shop):
    sent(shop, ["bulk_mail", "mail"], 120)
    found = order_of(shop, 240, "-Q", "mail,bulk", "--queue-order", "weighted")
    assert 87 <= found[:120].count("m") <= 93  # three quarters
    (shop.folder / "order").unlink()
    sent(shop, ["bulk_mail", "other"], 120)
    found = order_of(shop, 240, "-Q", "tenant:7,bulk:4", "--queue-order", "weighted")
    assert 93 <= found[:120].count("b") <= 99  # four fifths; the name of a declared queue holds no weight


def test_every_worker_runs_a_broadcast_once_and_the_sender_gets_all_results(shop):
    (shop.folder / "tasks.py").write_text(
        "from faena import Faena, Queue\n"
        'app = Faena("shop", task_queues=["default", Queue("reload", broadcast=True)])\n'
        '@app.task(queue="reload", bind=True)\n'
        "def reload(self): return self.request.hostname\n"
    )
    with shop.worker("-n", "one@here", "-c", "2"), shop.worker("-n", "two@here"), shop.worker("-n", "x@y", "-Q", "default"):
        assert json.loads(shop.ok("call", "tasks.reload", "--wait", "--json"))["result"] == ["one@here", "two@here"]
        names = [each["name"] for each in shop.json("queues")]
        assert names == ["default", "reload", "reload/one@here", "reload/two@here"]
    assert [each["name"] for each in shop.json("queues")] == ["default", "reload"]


def test_queues_show_what_is_declared_of_them(shop):
    sent(shop, ["mail", "bulk_mail"], 1)
    table = shop.ok("queues")
    assert "weight 3" in table
    assert "rises every 60 min" in table
    found = {each["name"]: each["options"] for each in shop.json("queues", "status", "mail", "other")}
    assert (found["mail"]["weight"], found["other"]) == (3, None)


def test_doctor_knows_a_queue_that_nobody_takes_from_and_which_was_meant(shop):
    shop.ok("call", "tasks.mail", "1", "--queue", "mial")
    with shop.worker("-Q", "mail,bulk"):
        said = shop.run("doctor").stdout
    assert "'mial' has 1 waiting, and no worker" in said
    assert "did you mean 'mail' where it is sent?" in said


def test_a_weight_that_is_none_is_refused(shop):
    assert "-Q mail:lots: a weight is a whole number from 1 to 1000, as in high:3,low:1" in shop.run(
        "worker", "-Q", "mail:lots", "--queue-order", "weighted"
    ).stderr  # fmt: skip


def test_a_slip_in_a_queue_is_remarked_on_or_refused(shop):
    assert "no queue is left to take from: bulk, mail, tenant:7 excluded" in (
        shop.run("worker", "-X", "bulk,mail,tenant:7").stderr
    )
    done = shop.run("worker", "-Q", "mial", FAENA_TASK_CREATE_MISSING_QUEUES="false")
    assert done.returncode == 1
    assert "queue 'mial' is not declared; did you mean 'mail'? (task_create_missing_queues is off" in done.stderr


def test_settings_show_declared_queues(shop):
    found = json.loads(shop.ok("config", "task_queues", "--json"))
    assert "ageing_s" in json.dumps(found)
    assert "reports" not in json.dumps(found)
