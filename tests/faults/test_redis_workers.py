"""Workers on Redis: killed, cut off, idle; nothing is lost, and nothing is left behind but what expires."""

import os
import signal
import time

import pytest

from faena.errors import ChordError
from faena.tasks.canvas import Chord

TASKS = """
@app.task
def note(n):
    mark(n)

@app.task
def slow(n):
    time.sleep(0.02)
    mark(n)

@app.task
def add(a, b):
    return a + b

@app.task
def total(numbers):
    return sum(numbers)

@app.task(bind=True)
def steps(self, n):
    first = self.step("first", lambda: n + 1)
    return first + self.wait_for_event("go", timeout=600)
"""


@pytest.fixture
def redis_site(site, redis_of):
    """A site on a server of its own."""

    def make(*options, settings=""):
        server = redis_of(*options)
        site.url = server.url
        site.app(TASKS, settings)
        return site, server

    return make


def driver_of(site):
    return site.client.connection().broker.driver


def command(site, *words):
    from faena._lib.drive import run

    return run(driver_of(site).command(*words))


def stats(site, name):
    lines = command(site, "INFO", "stats").decode().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).partition(":")[2])


def test_killed_processes_lose_nothing(redis_site, until):
    site, _ = redis_site()
    sent = [str(number) for number in range(400)]
    worker = site.worker("-c", "2")
    site.send_all("slow", sent)
    for at in (40, 120, 200, 280):
        until(lambda at=at: len(site.marks()) >= at, 30.0)
        os.kill(worker.processes()[0], signal.SIGKILL)
    site.until_drained(60.0)
    assert set(site.marks()) == set(sent)
    assert worker.stop() == 0


def test_a_killed_worker_hands_over_when_its_lease_ends(redis_site, until):
    site, _ = redis_site(settings="worker_lease=2.0")
    site.send_all("slow", [str(number) for number in range(200)])
    first = site.worker("-c", "1")
    until(lambda: len(site.marks()) > 20)
    first.end()
    site.worker("-c", "1")
    site.until_drained(60.0)
    assert set(site.marks()) == {str(number) for number in range(200)}


@pytest.mark.parametrize("data", ["kept", "lost"])
def test_a_worker_goes_on_after_the_server_was_restarted(redis_site, until, data):
    options = ("--appendonly", "yes", "--appendfsync", "always") if data == "kept" else ()
    site, server = redis_site(*options)
    worker = site.worker("-c", "2")
    site.send_all("slow", [f"before-{number}" for number in range(100)])
    until(lambda: len(site.marks()) > 10)
    server.restart(signal.SIGKILL)
    site.send_all("note", [f"after-{number}" for number in range(20)])
    for number in range(20):
        site.until_marked(f"after-{number}", 40.0)
    if data == "kept":
        site.until_drained(60.0)
        assert {f"before-{number}" for number in range(100)} <= set(site.marks())
    assert worker.stop() == 0


def test_a_result_is_waited_for_through_a_restart(redis_site):
    site, server = redis_site("--appendonly", "yes")
    result = site.send("add", 1, 2)
    import threading

    timer = threading.Timer(0.3, server.restart)
    timer.start()
    later = threading.Timer(2.0, site.worker, kwargs={"ready": False})
    later.start()
    assert result.get(timeout=30) == 3
    timer.join()
    later.join()


@pytest.mark.slow
def test_an_idle_worker_on_ten_queues_costs_the_server_next_to_nothing(redis_site):
    site, _ = redis_site()
    queues = [f"queue-{number}" for number in range(10)]
    site.worker("-c", "2", "-Q", ",".join(queues))
    client = site.client
    client.send_task("app.note", ("warm",), queue="queue-3")
    site.until_marked("warm")
    time.sleep(10.0)  # of the start: the first fetch that comes to nothing ends after 8 s, and may be taken over
    before, begun = stats(site, "total_commands_processed"), time.monotonic()  # those within scripts included
    time.sleep(14.0)  # twice the time between two words of its presence
    rate = (stats(site, "total_commands_processed") - before) / (time.monotonic() - begun)
    print(f"{rate:.1f} commands per second")
    assert rate < 7.0


def test_nothing_is_left_behind_but_what_expires(redis_site, until):
    site, _ = redis_site()
    client = site.client
    worker = site.worker("-c", "2")
    assert client.send_task("app.add", (1, 2)).get(timeout=20) == 3
    client.send_task("app.add", (1, 2), countdown=0.2).get(timeout=20)
    with pytest.raises(TypeError):
        client.send_task("app.add", (1, "x")).get(timeout=20)
    client.send_task("app.add", (1, 2), countdown=600).revoke()
    client.control.ping()
    chord = Chord([client.signature("app.add", (n, n)) for n in range(5)], client.signature("app.total"))
    assert chord.apply_async().get(timeout=20) == 20
    broken = Chord([client.signature("app.add", (1, "x"))], client.signature("app.total"))
    with pytest.raises(ChordError):
        broken.apply_async().get(timeout=20)
    waiting = client.send_task("app.steps", (1,))
    until(lambda: client.AsyncResult(waiting.id).state == "WAITING", 20.0)
    client.signal_event("go", 5)
    assert waiting.get(timeout=20) == 7
    for number in range(50):
        client.send_task("app.note", (number,))
    site.until_drained()
    assert worker.stop() == 0
    assert {letter.message.task for letter in site.dead()} == {"app.add"}  # has an end, too
    prefix = driver_of(site).prefix
    keys = [key.decode() for key in command(site, "KEYS", "*")]
    assert all(key.startswith(prefix) for key in keys)
    assert {key for key in keys if command(site, "PTTL", key) < 0} == set()
