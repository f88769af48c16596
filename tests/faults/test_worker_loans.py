"""The main thread of a process that fetches for itself: one at a time, and not in the way of what else there is to do."""

import time

import pytest

from faena._lib.drive import run

APP = """
@app.task
def add(a, b):
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
