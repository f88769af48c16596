"""The main thread of a process that fetches for itself: one at a time, and not in the way of what else there is to do."""

import time

import pytest

from faena._lib.drive import run

APP = """
@app.task
def add(a, b=1):
    return a + b

@app.task
def long(key):
    mark(key)
    time.sleep(30)

@app.task(soft_time_limit=0.3)
def limited():
    time.sleep(30)

@app.task
async def there(key):
    mark(key)
    return key
"""


@pytest.fixture
def lone(site):
    """A site whose worker is one process, which has been given one function after the other."""
    site.app(APP)
    site.worker("-c", "1")
    for number in range(3):
        assert site.send("add", number, 1).get(timeout=10) == number + 1
    return site


def test_one_of_the_two_threads_fetches_and_never_both(site, redis_of, until):
    server = redis_of()
    site.url = server.url
    site.app(APP, "worker_beat=False")  # nobody who comes to wait for schedules is counted
    site.worker("-c", "1")
    driver = site.client.connection().broker.driver

    def parked():
        return run(driver.command("CLIENT", "LIST")).count(b" cmd=blpop ")

    assert site.send("there", "first").get(timeout=10) == "first"  # fetched by the I/O thread, which goes on waiting
    until(lambda: len({parked() for _ in range(300)} - {0}) == 1, 10)
    count = parked()  # with those who wait for other things
    for number in range(20):
        assert site.send("add", number, 1).get(timeout=10) == number + 1
        until(lambda: parked() == count, 5)
    assert site.send("there", "x").get(timeout=10) == "x"  # fetched by the main thread, and not for it
    until(lambda: parked() == count, 5)
    assert [each.get(timeout=10) for each in site.send_all("there", range(20))] == list(range(20))
    until(lambda: parked() == count, 5)


def test_coroutines_are_found_while_a_function_that_came_alone_runs_long(lone, until):
    site = lone
    site.send("long", "long")
    until(lambda: "long" in site.marks(), 5)
    assert site.send("there", "there").get(timeout=10) == "there"


def test_limits_reach_a_function_that_came_alone(lone):
    site = lone
    began_s = time.monotonic()
    with pytest.raises(Exception, match="soft time limit"):
        site.send("limited").get(timeout=10)
    assert time.monotonic() - began_s < 5
    assert site.send("add", 1, 1).get(timeout=10) == 2


def values(site, results):
    """Wait for all of them together."""
    return site.client.results_of([each.id for each in results]).join(timeout=20)


@pytest.fixture
def swift(site):
    """Return a function that lets a site's worker get used to many swift functions, so that it takes them in batches."""

    def start(*words):
        site.app(APP)
        worker = site.worker(*words)
        assert values(site, site.send_all("add", range(2000))) == list(range(1, 2001))
        return worker

    return start


def test_what_has_ended_is_kept_while_another_of_its_batch_runs_long(swift, site, until):
    swift("-c", "1")
    results = site.send_all("add", range(200))
    site.send("long", "long")
    after = site.send("add", 1, 1)
    until(lambda: "long" in site.marks(), 10)
    began_s = time.monotonic()
    assert values(site, results) == list(range(1, 201))
    assert time.monotonic() - began_s < 5
    assert after.state == "PENDING"


def test_what_has_not_begun_in_a_batch_goes_to_others_when_one_runs_long(swift, site, until):
    swift("-c", "2")
    site.send("long", "long")
    results = site.send_all("add", range(300))
    until(lambda: "long" in site.marks(), 10)
    assert values(site, results) == list(range(1, 301))


def test_coroutines_among_a_batch_run_beside_it(swift, site):
    swift("-c", "1")
    names = [f"n{number}" for number in range(50)]
    mixed = [site.send("there", name) if number % 2 else site.send("add", number, 1) for number, name in enumerate(names)]
    assert values(site, mixed) == [name if n % 2 else n + 1 for n, name in enumerate(names)]


def test_a_worker_that_stops_in_a_batch_keeps_what_has_ended_and_hands_the_rest_back(swift, site):
    worker = swift("-c", "1")
    results = site.send_all("add", range(3000))
    results[10].get(timeout=10)
    assert worker.stop() == 0
    left = site.queue().waiting
    assert site.queue().held == 0 and left + sum(each.ready() for each in results) == 3000
    assert site.worker("-c", "1")
    assert values(site, results) == list(range(1, 3001))
