"""What a task sees of its call, and what its callers see of it, through real processes."""

import re
import time
from itertools import pairwise

import pytest

APP = """
from faena import Faena
from faena.signals import Retry

@app.task
def add(a, b=0):
    return a + b

@app.task(bind=True)
def look(self, n):
    request = self.request
    add.delay(n, 1)
    return {
        "id": request.id, "task": request.task, "retries": request.retries, "headers": request.headers,
        "queue": request.queue, "root": request.root_id, "parent": request.parent_id, "args": list(request.args),
        "kwargs": request.kwargs, "hostname": request.hostname, "direct": request.called_directly,
        "eager": request.is_eager, "info": request.delivery_info, "limits": list(request.timelimit),
    }

@app.task(bind=True)
def steps(self):
    self.update_state(state="HALF", meta={"done": 1})
    while not once("seen"):
        break
    deadline = time.monotonic() + 10
    while not os.path.exists("go") and time.monotonic() < deadline:
        time.sleep(0.01)
    self.progress(3, 4, "nearly")
    return "done"

@app.task(bind=True)
async def await_steps(self):
    await self.aupdate_state(state="HALF", meta={"done": 1})
    deadline = time.monotonic() + 10
    while not os.path.exists("go") and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    await self.aprogress(3, 4, "nearly")
    return "done"

@app.task(bind=True)
def spreads(self, n):
    return [add.delay(n, number).id for number in range(3)]

@app.task(bind=True)
async def await_spreads(self, n):
    return [(await add.adelay(n, number)).id for number in range(3)]

@app.task
async def await_result():
    return await (await add.adelay(20, 22)).aget(timeout=5, disable_sync_subtasks=False)

@app.task
def note(value):
    mark(f"note {value}")

@app.task
def note_error(task_id):
    mark(f"error of {task_id}")

@app.task
def fail():
    raise ValueError("wanted")

@app.task
def crash():
    os._exit(9)

@app.task(bind=True, max_retries=3)
def again(self, n):
    mark(f"{self.request.id} {n} {self.request.retries}")
    if self.request.retries < 2:
        raise self.retry(args=(n + 1,), countdown=0.05)
    return n

@app.task(bind=True, max_retries=2)
def gives_up(self):
    mark("try")
    try:
        raise ValueError("for good")
    except ValueError as error:
        raise self.retry(exc=error, countdown=0)

@app.task(autoretry_for=(ValueError,), retry_backoff=0.2, retry_jitter=False, max_retries=3)
def backs_off():
    mark(f"at {time.time()}")
    raise ValueError("still")

@app.task(bind=True, queue="default")
def moves(self):
    if self.request.retries == 0:
        raise self.retry(queue="other", priority=9, countdown=0)
    return [self.request.queue, self.request.message.priority]

@app.task(track_started=True)
def tracked():
    mark("tracked")
    time.sleep(1.5)
"""


@pytest.fixture
def worker(site):
    site.app(APP)
    return site.worker("-Q", "default,other")


def test_a_task_sees_its_own_call(site, worker):
    result = site.send("look", 3, headers={"tenant": "x"}, time_limit=50, soft_time_limit=40, priority=7)
    seen = result.get(timeout=10)
    assert seen == {
        "id": result.id, "task": "app.look", "retries": 0, "headers": {"tenant": "x"}, "queue": "default",
        "root": result.id, "parent": None, "args": [3], "kwargs": {}, "hostname": seen["hostname"], "direct": False,
        "eager": False, "limits": [50, 40],
        "info": {"routing_key": "default", "priority": 7, "redelivered": False, "is_eager": False},
    }  # fmt: skip
    assert seen["hostname"].startswith("faena@")
    [child] = result.record.children
    record = site.client.AsyncResult(child)
    assert record.get(timeout=5) == 4
    assert (record.record.parent_id, record.record.root_id) == (result.id, result.id)


@pytest.mark.parametrize("name", ["steps", "await_steps"])
def test_progress_is_seen_while_a_task_runs(site, worker, until, name):
    result = site.send(name)
    until(lambda: result.state == "HALF")
    assert result.info == {"done": 1}
    (site.folder / "go").touch()
    assert result.get(timeout=5) == "done"
    assert result.state == "SUCCESS"


@pytest.mark.parametrize("name", ["spreads", "await_spreads"])
def test_tasks_send_tasks(site, worker, name):
    result = site.send(name, 10)
    ids = result.get(timeout=10)
    assert list(result.record.children) == ids
    assert [site.client.AsyncResult(task_id).get(timeout=5) for task_id in ids] == [10, 11, 12]


def test_a_coroutine_may_await_the_result_of_another_task_or_is_told_why_not(site, worker):
    value = site.send("await_result").get(timeout=10, propagate=False)
    assert value == 42 or isinstance(value, RuntimeError)


def test_links_follow_successes_and_error_links_failures_also_of_crashes(site, worker):
    note, note_error = (site.client.signature(f"app.{name}") for name in ("note", "note_error"))
    site.send("add", 1, 2, link=note)
    failed, crashed = site.send("fail", link_error=note_error), site.send("crash", link_error=note_error)
    site.until_marked("note 3")
    site.until_marked(f"error of {failed.id}")
    site.until_marked(f"error of {crashed.id}")
    site.until_drained()
    assert site.marks().total() == 3


def test_a_retry_keeps_the_id_and_takes_new_arguments(site, worker):
    result = site.send("again", 5)
    assert result.get(timeout=10) == 7
    assert list(site.marks()) == [f"{result.id} 5 0", f"{result.id} 6 1", f"{result.id} 7 2"]
    assert result.retries == 2


def test_a_task_that_has_used_up_its_retries_fails_with_its_own_error(site, worker):
    with pytest.raises(ValueError, match="for good"):
        site.send("gives_up").get(timeout=10)
    assert site.marks() == {"try": 3}


def test_back_off_grows(site, worker):
    with pytest.raises(ValueError, match="still"):
        site.send("backs_off").get(timeout=15)
    times = sorted(float(line.split()[1]) for line in site.marks())
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) == 3
    assert [0.2 <= gaps[0] < 0.7, 0.4 <= gaps[1] < 0.9, 0.8 <= gaps[2] < 1.3] == [True] * 3, gaps


def test_a_retry_may_move_to_another_queue(site, worker):
    assert site.send("moves").get(timeout=10) == ["other", 9]


def test_a_started_task_is_seen_as_started(site, worker, until):
    result = site.send("tracked")
    site.until_marked("tracked")
    until(lambda: result.state == "STARTED", 1)
    assert result.get(timeout=5) is None


def test_control_tells_what_runs_and_what_waits_here(site, until):
    site.app("@app.task\ndef sleep(n):\n    mark(n)\n    time.sleep(3)\n")
    running, held = site.send("sleep", 1), site.send("sleep", 2)
    worker = site.worker("-c", "1", "--prefetch-multiplier", "2")
    site.until_marked("1")
    control = site.client.control
    [(name, active)] = until(lambda: control.ask("active").items())
    assert [task["id"] for task in active] == [running.id]
    assert [task["id"] for task in control.ask("reserved")[name]] == [held.id]
    assert control.ping() == {name: {"ok": "pong"}}
    assert control.ask("registered")[name] == ["app.sleep"]
    control.shutdown()
    began_s = time.monotonic()
    assert worker.until_ended(10) == 0
    assert time.monotonic() - began_s < 6
    assert site.queue().waiting == 1


SLOW_AMONG_FAST = """
@app.task
def fast(n):
    return n

@app.task
def slow():
    deadline = time.monotonic() + 20
    while not os.path.exists("go") and time.monotonic() < deadline:
        time.sleep(0.01)

@app.task
async def nap(seconds):
    await asyncio.sleep(seconds)
"""


def test_a_process_that_is_busy_does_not_take_functions_in_advance_again_and_again(site):
    site.app(SLOW_AMONG_FAST)
    site.worker("-c", "1", "-Q", "default")
    site.worker("-c", "1", "-Q", "naps")
    for number in range(5):  # the average of its tasks is small
        assert site.send("fast", number).get(timeout=10) == number
    slow = site.send("slow")
    waiting = [site.send("fast", number) for number in range(2)]
    site.send("nap", 1.5, queue="naps").get(timeout=10)
    handed_out = [int(count) for each in waiting for count in re.findall(r"handed out (\d+) times", said_of(site, each))]
    assert all(count <= 4 for count in handed_out)
    (site.folder / "go").touch()
    slow.get(timeout=10)
    assert [each.get(timeout=10) for each in waiting] == [0, 1]


def said_of(site, result):
    return " ".join(site.client.explain(result.id).reasons)
