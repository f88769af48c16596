"""Chaos on RabbitMQ with a backend beside it: kill, restart, cut, block and stop, then look at what is left.

Nothing is lost, no success is recorded twice, nothing stays behind in the queues or in the backend but what expires, and
what has run twice is explained: its process was killed while it ran, or the server had lost the connection of who held it
or sent it. The small sizes are for every run of the suite; by hand, the full ones:

    FAENA_TEST_CHAOS=full FAENA_TEST_SEED=7 pytest tests/faults/test_rabbitmq_chaos.py
"""

import asyncio
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from tests.conformance.rabbitmq_places import prepare

from faena._lib.drive import run
from faena._lib.ids import new_id

from .chaos import Witness
from .redis_rest import check_keys
from .trouble import IS_FULL, Trouble

KILLS, RESTARTS, CUTS, ALARMS, STOPS, PARTS = (300, 30, 100, 40, 30, 20) if IS_FULL else (6, 1, 6, 2, 1, 2)
_BEFORE_S = 5.0  # so long what was sent twice may have lain in its queue


class RowWitness:
    """Counts how often the file's table of results gets a success, by a trigger of its own."""

    gaps = 0

    def __init__(self, path):
        self._path = path
        with closing(sqlite3.connect(path)) as file:
            file.execute("CREATE TABLE witness (id TEXT)")
            for event in ("INSERT", "UPDATE"):
                file.execute(
                    f"CREATE TRIGGER witness_{event} AFTER {event} ON results WHEN NEW.state = 'SUCCESS'"
                    " BEGIN INSERT INTO witness VALUES (NEW.id); END"
                )
            file.commit()

    @property
    def written(self):
        with closing(sqlite3.connect(self._path)) as file:
            return Counter(dict(file.execute("SELECT id, count(*) FROM witness GROUP BY id")))

    def close(self):
        pass


@dataclass
class Chaos(Trouble):
    """Trouble with nodes of RabbitMQ."""

    nodes: list = field(default_factory=list)
    prefix: str = ""
    losses: list = field(default_factory=list)  # from when to when connections were lost, unix seconds

    @contextmanager
    def losing(self):
        begun_s = time.time()
        try:
            yield
        finally:
            self.losses.append((begun_s, time.time()))

    def may_be_lost(self, ran, record):
        if super().may_be_lost(ran, record):
            return True
        return any(begun <= record.finished_at_s and ended >= ran.at_s - _BEFORE_S for begun, ended in self.losses)

    def may_repeat(self, key, runs, excused):
        if super().may_repeat(key, runs, excused):
            return True
        runs = sorted(runs, key=lambda each: each.at_s)
        return all(
            first.pid in excused
            or any(begun <= second.at_s and ended >= first.at_s - _BEFORE_S for begun, ended in self.losses)
            for first, second in pairwise(runs)
        )

    def messages(self):
        """Return the messages in each queue of ours, the dead ones apart."""
        found = next(node for node in self.nodes if node.is_running).queues(self.prefix)
        return {name: count for name, count in found.items() if name.startswith(self.prefix) and not name.endswith(".dead")}

    def left_in_queues(self):
        return {name: count for name, count in self.messages().items() if count}

    def is_worked_off(self):
        return not self.left_in_queues()

    def check_left(self):
        declared = {"default", "faena.queues", *(f"faena.delay.{level}" for level in range(25))}
        assert {name.removeprefix(self.prefix) for name in self.messages()} <= declared
        assert self.left_in_queues() == {}
        if self.backend.startswith("redis"):
            check_keys(self.site.client.connection().backend.driver, self.seed)

    def end(self):
        self.witness.close()
        self.load.close()


def beside(backend):
    """Let a test be run beside this backend, and at full size beside each."""
    return pytest.mark.parametrize("chaos", ["redis", "sqlite"] if IS_FULL else [backend], indirect=True)


@pytest.fixture
def chaos(request, site, until):
    """Make chaos on nodes that run, with a backend beside them."""
    made = []

    def start(nodes, lease_s=2, workers=2, urls=None):
        prefix = f"{new_id()[-8:]}."
        if request.param == "redis":
            server = request.getfixturevalue("redis_of")(
                "--appendonly", "yes", "--appendfsync", "always", "--notify-keyspace-events", "K$"
            )
            backend, witness = server.url, Witness(server.port)
        else:
            backend = f"sqlite:///{site.folder}/results.db"
            site.url, site.backend = nodes[0].url, backend
            run(site.client.connection().backend.read([]))
            witness = RowWitness(site.folder / "results.db")
            site.close_client()
        asyncio.run(prepare(nodes[0].url, {"prefix": prefix}, dead=True))
        for node in nodes:
            node.keep_names()
        urls = [f"{url}?prefix={prefix}" for url in urls or [";".join(node.url for node in nodes)] * 2]
        made.append(Chaos(site, until, lease_s, *urls, backend, nodes=nodes, prefix=prefix, witness=witness))
        for _ in range(workers):
            made[0].start_worker()
        for worker in made[0].workers:
            worker.until_ready()
        return made[0]

    yield start
    for each in made:
        each.end()


@pytest.mark.slow
@beside("redis")
def test_restarts_of_the_node_lose_nothing(chaos, rabbit):
    ours = chaos([rabbit])
    for _ in ours.rounds(RESTARTS):
        number = ours.random.choice((signal.SIGKILL, signal.SIGTERM))
        ours.counts[number.name] += 1
        with ours.losing():
            rabbit.stop(number)
            rabbit.start()
    ours.finish()


@pytest.mark.slow
@beside("sqlite")
def test_processes_supervisors_and_workers_that_are_killed_lose_nothing(chaos, rabbit):
    ours = chaos([rabbit], workers=3)
    for _ in ours.rounds(KILLS):
        ours.kill_someone(loses_processes=True)
    ours.finish()


@pytest.mark.slow
@beside("redis")
def test_connections_cut_at_any_byte_lose_nothing(chaos, rabbit, proxy_to):
    proxies = {whose: proxy_to(rabbit.port) for whose in ("workers", "clients")}
    ours = chaos([rabbit], urls=[f"amqp://127.0.0.1:{proxies[whose].port}/" for whose in ("workers", "clients")])
    begun_s = time.time()
    for _ in ours.rounds(CUTS * 3 // 2):  # a cut of those who say little may come in a later round, or not at all
        whose, direction = ours.random.choice(("workers", "clients")), ours.random.choice(("replies", "requests"))
        most = {"workers": 6000, "clients": 6000 if direction == "requests" else 400}[whose]
        proxies[whose].cut_in(direction, ours.random.randrange(most))
    ours.losses.append((begun_s, time.time()))
    for whose, proxy in proxies.items():
        proxy.spare()
        ours.counts[whose] = proxy.cuts
    ours.finish()
    assert sum(proxy.cuts for proxy in proxies.values()) >= CUTS // 2


@pytest.mark.slow
@beside("sqlite")
def test_alarms_of_the_node_and_its_standing_still_lose_nothing_and_run_nothing_twice(chaos, rabbit):
    ours = chaos([rabbit])
    for number in ours.rounds(ALARMS + STOPS):
        if number % 2 == 1 or number >= 2 * STOPS:
            kind = ours.random.choice(("memory", "disk"))
            ours.counts[kind] += 1
            set_alarm = rabbit.set_memory_alarm if kind == "memory" else rabbit.set_disk_alarm
            set_alarm(True)
            ours.until(lambda: rabbit.alarms() != "[]")
            time.sleep(ours.random.uniform(0.0, 1.0))  # so long it stands
            set_alarm(False)
            ours.until(lambda: rabbit.alarms() == "[]")
        else:
            ours.counts["stopped"] += 1
            with ours.losing(), rabbit.suspended():
                time.sleep(ours.random.choice((0.3, 0.3, 6.0 if IS_FULL else 0.5)))  # longer than a call may take, or not
    ours.finish()


@pytest.mark.slow
@beside("redis")
@pytest.mark.skipif(not IS_FULL, reason="three nodes take half a minute: FAENA_TEST_CHAOS=full")
def test_one_node_of_three_that_is_killed_or_parted_loses_nothing(chaos, cluster):
    ours = chaos(cluster.nodes)
    for number in ours.rounds(PARTS):
        node = cluster.nodes[number % 3]
        if number // 3 % 2 == 0:
            ours.counts["killed"] += 1
            with ours.losing():
                node.stop(signal.SIGKILL)
                time.sleep(ours.random.uniform(0.0, 3.0))
                node.start()
        else:
            ours.counts["parted"] += 1
            with ours.losing():
                cluster.part(node)
                time.sleep(ours.random.uniform(0.0, 3.0))
                cluster.heal(node)
                node.until_ready()
    ours.finish()
