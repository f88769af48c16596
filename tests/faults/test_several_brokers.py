"""Redis, RabbitMQ and a file in one app: work goes over all of them, and one that is away stops its own queues only."""

import asyncio
import os
import signal
import socket
import time

import pytest
from tests.conformance.rabbitmq_places import remove_all

from faena import Faena, Queue, chain, chord, group
from faena._lib.ids import new_id
from faena.drivers.rabbitmq.location import locate
from faena.errors import BrokerUnavailable

RABBITMQ = os.environ.get("FAENA_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")

APP = """
from faena import Queue

app.conf.update(
    broker_url=None,
    result_backend={backend!r},
    brokers={brokers!r},
    task_queues=["default", *(Queue(name, broker=name) for name in {brokers!r} if name != "file")],
    worker_lease=6,
)

@app.task
def add(a, b):
    return a + b

@app.task
def times(a, b):
    return a * b

@app.task
def total(numbers):
    return sum(numbers)

@app.task
def note(n, seconds=0.0):
    time.sleep(seconds)
    mark(f"note {{n}}")
    return n

@app.task
def follow(n, given=0):
    mark(f"follow {{n}}")
    return n
"""


class Shop:
    """An app on several brokers, one of them a Redis server of its own that can be killed."""

    def __init__(self, site, redis, brokers, backend):
        self.site, self.redis = site, redis
        site.app(APP.format(brokers=brokers, backend=backend))
        queues = ["default", *(Queue(name, broker=name) for name in brokers if name != "file")]
        self.client = Faena("app", brokers=brokers, backend=backend, task_queues=queues, set_as_current=False)
        site._client = self.client

    def sig(self, name, *args, queue="default", immutable=False):
        return self.client.signature(f"app.{name}", args, queue=queue, immutable=immutable)

    def send(self, name, *args, **options):
        return self.client.send_task(f"app.{name}", args, **options)


@pytest.fixture
def shop_of(site, redis_of):
    """Make a shop on the brokers that are named: file, redis, rabbit."""
    options = {"prefix": f"several-{new_id()[-12:]}."}
    used = []

    def make(*names):
        redis = redis_of("--appendonly", "yes", "--appendfsync", "always")
        urls = {"file": site.url, "redis": redis.url, "rabbit": f"{RABBITMQ}?prefix={options['prefix']}"}
        if "rabbit" in names:
            node = locate(RABBITMQ, {}).nodes[0]
            try:
                socket.create_connection((node.host, node.port), 2).close()
            except OSError as error:
                pytest.skip(f"no RabbitMQ at {node.host}:{node.port} ({error}); FAENA_TEST_RABBITMQ_URL names another")
            used.append(options)
        return Shop(site, redis, {name: urls[name] for name in names}, site.url)

    yield make
    site.end()
    for each in used:
        asyncio.run(remove_all(RABBITMQ, each))


def test_work_goes_over_three_brokers(shop_of):
    shop = shop_of("file", "redis", "rabbit")
    shop.site.worker()
    sig = shop.sig
    whole = chain(
        sig("add", 1, 2, queue="redis"),
        sig("times", 10, queue="rabbit"),
        chord([sig("add", 1), sig("add", 2, queue="redis"), sig("add", 3, queue="rabbit")], sig("total", queue="rabbit")),
    )
    assert whole.delay().get(timeout=60) == 96
    nested = group(sig("add", n, n, queue=queue) for n in range(20) for queue in ("default", "redis", "rabbit"))
    assert sum(nested.delay().get(timeout=60)) == 3 * 2 * sum(range(20))
    calls = [sig("note", n, queue=("default", "redis", "rabbit")[n % 3]) for n in range(300)]
    assert [each.get(timeout=60) for each in shop.client.send_many(calls)] == list(range(300))
    linked = [shop.send("note", n, queue="redis", link=sig("follow", n, queue="rabbit")) for n in range(300, 320)]
    assert [each.get(timeout=30) for each in linked] == list(range(300, 320))
    for n in range(300, 320):
        shop.site.until_marked(f"follow {n}", 30)
    assert set(shop.site.marks().values()) == {1}
    shop.site.workers[0].stop()


def test_one_that_is_killed_stops_its_own_queues_and_comes_back(shop_of, until):
    """Two workers of two processes each; a part of the work is done while Redis is gone, and all of it in the end, once."""
    shop = shop_of("file", "redis")
    site = shop.site
    for n in range(2):
        site.worker("-n", f"w{n}")
    before = [shop.send("note", f"before {n}", queue="redis") for n in range(20)]
    assert [each.get(timeout=30) for each in before] == [f"before {n}" for n in range(20)]
    sent = [shop.send("note", f"held {n}", 0.05, queue="redis") for n in range(200)]
    until(lambda: sum(mark.startswith("note held") for mark in site.marks()) > 20, 30)
    shop.redis.stop(signal.SIGKILL)

    began_s = time.monotonic()
    here = [shop.send("note", f"here {n}") for n in range(100)]
    assert time.monotonic() - began_s < 2.0, "a client's call to a healthy broker does not wait for a sick one"
    assert len([each.get(timeout=30) for each in here]) == 100
    with pytest.raises(BrokerUnavailable):
        shop.send("note", "nowhere", queue="redis", retry=False)
    # what follows from tasks here, and goes there, blocks nobody and is not lost
    linked = [shop.send("note", f"linked {n}", link=shop.sig("follow", f"linked {n}", queue="redis")) for n in range(20)]
    there = shop.sig("follow", "step 2", queue="redis", immutable=True)
    flow = chain(shop.sig("note", "step 1"), there, shop.sig("follow", "step 3", immutable=True)).delay()
    for n in range(20):
        site.until_marked(f"note linked {n}", 30)
    site.until_marked("note step 1", 30)
    more = [shop.send("note", f"more {n}") for n in range(100)]
    assert len([each.get(timeout=30) for each in more]) == 100
    site.workers[0].until_logged("broker 'redis': ")
    assert not any(mark.startswith("follow") for mark in site.marks())

    shop.redis.start()
    assert len([each.get(timeout=60) for each in sent]) == 200
    assert len([each.get(timeout=60) for each in linked]) == 20
    for n in range(20):
        site.until_marked(f"follow linked {n}", 60)
    site.until_marked("follow step 3", 60)
    flow.get(timeout=30)
    again = [shop.send("note", f"again {n}", queue="redis") for n in range(20)]
    assert len([each.get(timeout=30) for each in again]) == 20
    site.until_drained()
    marks = site.marks()
    twice = {mark: count for mark, count in marks.items() if count > 1 and not mark.startswith("note held")}
    assert not twice, "what had not begun when the server was killed runs once"
    assert sum(count - 1 for mark, count in marks.items()) <= 8, "and of what ran no more than that may run twice"
    for worker in site.workers:
        assert worker.stop() == 0


def test_one_that_is_away_from_the_start_keeps_nobody_from_working(shop_of):
    shop = shop_of("file", "redis")
    shop.redis.stop()
    worker = shop.site.worker()
    assert shop.send("note", 1).get(timeout=30) == 1
    worker.until_logged("broker 'redis': ")
    shop.redis.start()
    assert shop.send("note", 2, queue="redis").get(timeout=30) == 2
    assert worker.stop() == 0


def test_a_process_that_dies_gives_back_what_it_held_on_each(shop_of, until):
    shop = shop_of("file", "redis")
    worker = shop.site.worker("-c", "1")
    sent = [shop.send("note", n, 0.2, queue=queue) for n, queue in enumerate(("default", "redis") * 4)]
    until(lambda: len(shop.site.marks()) >= 2, 30)
    os.kill(worker.processes()[0], signal.SIGKILL)
    assert [each.get(timeout=30) for each in sent] == list(range(8))
    assert worker.stop() == 0


def test_a_worker_is_stopped_while_one_is_away(shop_of, until):
    """What has ended, and is followed by what goes there, runs again: nothing is lost."""
    shop = shop_of("file", "redis")
    worker = shop.site.worker("-c", "1", FAENA_WORKER_SHUTDOWN_TIMEOUT="3")
    assert shop.send("note", "first", queue="redis").get(timeout=30) == "first"
    shop.redis.stop(signal.SIGKILL)
    linked = shop.send("note", "linked", link=shop.sig("follow", "linked", queue="redis"))
    shop.site.until_marked("note linked", 30)
    worker.signal(signal.SIGINT)
    worker.until_ended(20)
    shop.redis.start()
    shop.site.worker("-c", "1")
    assert linked.get(timeout=30) == "linked"
    shop.site.until_marked("follow linked", 30)
    assert shop.site.marks()["follow linked"] == 1
