"""Limits that are changed, and tasks that are paused, while a worker runs: through the command line."""

import json

from faena._lib.drive import run
from faena.model.delivery import Place

from .conftest import faena, present

APP = """
@app.task(rate_limit="1/h", fair_key="key")
def seldom(key):
    mark(f"seldom {key}")

@app.task
def plain(number):
    mark(f"plain {number}")
"""


def place_of(site, result):
    return run(site.client.connection().broker.locate([result.id]))[0]


def out_of(finished):
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_a_rate_is_changed_and_a_task_that_waits_says_why(any_site, until):
    site = any_site
    site.app(APP)
    present(site, until)
    results = [site.send("seldom", key) for key in ("a", "b")]

    def left():  # by name, two processes bring them under the limit: either may come first
        waits = [result for result in results if place_of(site, result) is Place.LIMITED]
        return waits if len(waits) == 1 and site.marks().total() == 1 else None

    (second,) = until(left)
    (standing,) = json.loads(out_of(faena(site, "limits", "--json")))
    assert (standing["name"], standing["waiting"], standing["declared"]) == ("task:app.seldom", 1, True)
    assert "task:app.seldom lets the next begin in" in out_of(faena(site, "limits", "why", second.id))
    assert json.loads(out_of(faena(site, "queues", "--json")))[0]["limited"] == 1
    changed = faena(site, "limits", "set", "app.seldom", "--rate", "10/s", "--concurrency", "4")
    assert "task:app.seldom: rate 10/s, concurrency 4" in changed.stderr
    second.get(timeout=10)
    assert "rate 1/h, concurrency none" in faena(site, "limits", "reset", "app.seldom").stderr
    refused = faena(site, "limits", "set", "app.seldom", "--rate", "10/x")
    assert refused.returncode != 0 and "a rate is a number of tasks per second" in refused.stderr


def test_a_task_without_limits_is_paused_everywhere_and_goes_on(any_site, until):
    site = any_site
    site.app(APP)
    present(site, until)
    site.send("plain", 0).get(timeout=10)
    assert "task:app.plain is paused" in faena(site, "limits", "pause", "app.plain").stderr
    sent = []

    def is_held_back():  # the processes are told; one that has not heard of it yet may still run some
        if not sent or sent[-1].ready():
            sent.append(site.send("plain", len(sent) + 1))
        return place_of(site, sent[-1]) is Place.LIMITED

    until(is_held_back)
    assert out_of(faena(site, "limits", "why", sent[-1].id)) == "task:app.plain is paused\n"
    assert "is running" in faena(site, "limits", "resume", "app.plain").stderr
    for result in sent:
        result.get(timeout=10)
    missing = faena(site, "limits", "why", sent[-1].id)
    assert missing.returncode != 0 and "waits under no limit" in missing.stderr
