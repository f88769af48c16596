"""`faena explain`: why a task is not running, asked of real workers, on SQLite and on Redis."""

from __future__ import annotations

import json
import signal

from faena import chain, group

from .conftest import faena, let_go, present

APP = """
@app.task
def hold(name):
    mark(f"begin {name}")
    until = time.monotonic() + 60
    while not os.path.exists(f"go-{name}") and time.monotonic() < until:
        time.sleep(0.01)
    return name

@app.task
def fail(text):
    raise ValueError(text)

@app.task(autoretry_for=(OSError,), max_retries=1, default_retry_delay=3600)
def shaky():
    raise OSError("not now")

@app.task(rate_limit="1/h")
def rare(n):
    return n

@app.task(bind=True)
def waits(self, event):
    mark(f"waits {event}")
    return self.wait_for_event(event)

@app.task
def add(first, second=0):
    return first
"""


def why(site, result):
    """Return why a task is not running, and the reasons in one text."""
    explanation = site.client.explain(result if isinstance(result, str) else result.id)
    return explanation.why, " ".join(explanation.reasons)


def test_before_any_worker_and_with_the_wrong_ones(any_site, until):
    site = any_site
    site.app(APP)
    sent = site.send("add", 1, queue="mail")
    assert why(site, sent) == ("no-worker", "No worker is running.")
    assert why(site, site.send("add", 1, countdown=7200))[0] == "delayed"
    assert why(site, "not-an-id")[0] == "unknown"

    worker = present(site, until, "-c", "1", "-Q", "default")
    assert why(site, sent) == (
        "no-worker-for-queue", "No worker takes from queue 'mail'; those that run take from: default."
    )  # fmt: skip
    site.client.control.add_consumer("mail")
    assert sent.get(timeout=10) == 1
    assert why(site, sent)[0] == "succeeded"

    faena(site, "queues", "pause", "default")
    strange = site.client.send_task("app.other")
    found, text = why(site, strange)
    assert found == "queue-paused"
    assert "No task 'app.other' is known to faena@" in text
    worker.signal(signal.SIGSTOP)
    try:
        assert "What takes from queue 'default' did not answer: faena@" in why(site, strange)[1]
    finally:
        worker.signal(signal.SIGCONT)


def test_what_runs_waits_failed_or_sleeps(any_site, until):
    site = any_site
    site.app(APP)
    present(site, until, "-c", "1", "--prefetch-multiplier", "1")
    dead, again, parked = site.send("fail", "no"), site.send("shaky"), site.send("waits", "paid")
    until(lambda: again.state == "RETRY" and dead.state == "FAILURE" and parked.state == "WAITING")
    assert why(site, dead)[0] == "dead-letter"
    found, text = why(site, again)
    assert (found, text.partition(": until ")[0]) == ("waits-for-retry", "It waits for retry 1 after OSError: not now")
    assert why(site, parked) == (
        "waits-for-event", "It waits for the event 'paid', and holds no place in a worker meanwhile."
    )  # fmt: skip

    running = site.send("hold", "a")
    site.until_marked("begin a")
    behind = [site.send("add", number) for number in range(3)]
    found, text = why(site, running)
    assert (found, text.partition("@")[0]) == ("running", "It has been running on faena")
    until(lambda: why(site, behind[2])[0] == "waits-its-turn")
    assert "1 of 1 process run something." in why(site, behind[2])[1]

    let_go(site, "a")
    assert [each.get(timeout=10) for each in behind] == [0, 1, 2]


def test_what_a_limit_holds_back_names_the_limit(any_site, until):
    site = any_site
    site.app(APP)
    present(site, until, "-c", "2")
    sent = [site.send("rare", 1), site.send("rare", 2)]
    # who sends by name knows of no limit: either process may line up its one first
    until(lambda: any(each.ready() for each in sent))
    begun, held_back = sorted(sent, key=lambda each: not each.ready())
    found, text = why(site, held_back)
    assert (found, text.partition(": the next")[0]) == ("limited", "The rate of the limit task:app.rare is used up")
    assert faena(site, "control", "rate-limit", "app.rare", "none").returncode == 0
    assert sorted([begun.get(timeout=10), held_back.get(timeout=10)]) == [1, 2]


def test_the_steps_of_a_workflow_say_what_they_wait_for(any_site, until):
    site = any_site
    site.app(APP)
    present(site, until, "-c", "2")
    client = site.client
    hold, add = client.signature("app.hold"), client.signature("app.add")
    result = chain(group(hold.clone(("a",)), hold.clone(("b",))), add.clone((1,)).set(task_id="sum")).apply_async()
    site.until_marked("begin a")
    site.until_marked("begin b")
    let_go(site, "a")
    found, text = "", ""

    def waits_for_one():
        nonlocal found, text
        found, text = why(site, "sum")
        return text.count("app.hold") == 1

    until(waits_for_one)
    assert found == "waits-for-tasks"
    assert f"of workflow {result.workflow.id}, and waits for app.hold (sent, {result.workflow.id}.1)." in text
    assert why(site, f"{result.workflow.id}.1")[0] == "running"
    let_go(site, "b")
    result.get(timeout=10)


def test_the_command_line_says_it_in_words_and_as_json(site):
    site.app(APP)
    sent = site.send("add", 1, task_id="order-17")
    done = faena(site, "explain", sent.id)
    assert (done.returncode, done.stdout) == (
        0, "order-17 (app.add): no-worker\nNo worker is running.\n- start one: faena worker -Q default\n"
    )  # fmt: skip
    assert json.loads(faena(site, "explain", sent.id, "--json").stdout) == {
        "id": "order-17", "task": "app.add", "state": "PENDING", "why": "no-worker",
        "reasons": ["No worker is running."], "hints": ["start one: faena worker -Q default"],
    }  # fmt: skip
    nobody = faena(site, "explain", "not-an-id")
    assert (nobody.returncode, nobody.stdout.splitlines()[:2]) == (
        1, ["not-an-id: unknown", f"Nothing is known of not-an-id in {site.url}."]
    )  # fmt: skip
