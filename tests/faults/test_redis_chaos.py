"""Chaos on Redis: kill, stop, cut and restart while tasks and workflows run, then look at what is left.

Nothing is lost, nothing succeeds twice, no body of a chord runs twice but where its process was hit, and nothing stays
behind in the server but what expires. The small sizes are for every run of the suite; by hand, the full ones:

    FAENA_TEST_CHAOS=full FAENA_TEST_SEED=7 pytest tests/faults/test_redis_chaos.py
"""

import signal
import time
from dataclasses import dataclass

import pytest

from faena._lib.drive import run

from .chaos import Witness, kill
from .redis_rest import check_keys
from .trouble import IS_FULL, Trouble

KILLS, RESTARTS, CUTS, STOPS = (500, 100, 100, 100) if IS_FULL else (8, 3, 8, 3)


@dataclass
class Chaos(Trouble):
    """Trouble with a server of Redis, which itself tells of what is written, and keeps what it has acknowledged."""

    server: object = None

    def __post_init__(self):
        self.witness = Witness(self.server.port)
        super().__post_init__()

    def are_leases_gone(self):
        return self.command("ZCARD", "{faena}:leases") == 2 * len(self.workers)

    def check_left(self):
        check_keys(self.site.client.connection().broker.driver, self.seed)

    def command(self, *words):
        return run(self.site.client.connection().broker.driver.command(*words))

    def end(self):
        self.witness.close()
        self.load.close()


@pytest.fixture
def chaos(site, redis_of, until):
    """Make chaos on a server that keeps what it has acknowledged."""
    made = []

    def start(lease_s, workers, before=None):
        server = redis_of("--appendonly", "yes", "--appendfsync", "always", "--notify-keyspace-events", "K$")
        urls = before(server) if before is not None else [server.url] * 2
        made.append(Chaos(site, until, lease_s, *urls, server=server))
        for _ in range(workers):
            made[0].start_worker()
        for worker in made[0].workers:
            worker.until_ready()  # one that finds no server when it starts says so, and ends
        return made[0]

    yield start
    for each in made:
        each.end()


@pytest.mark.slow
def test_processes_supervisors_and_workers_that_are_killed_lose_nothing(chaos):
    ours = chaos(lease_s=2, workers=3)
    for _ in ours.rounds(KILLS):
        ours.kill_someone(loses_processes=False)
    ours.finish()


@pytest.mark.slow
def test_restarts_of_the_server_with_its_data_lose_nothing(chaos):
    ours = chaos(lease_s=30, workers=2)
    for _ in ours.rounds(RESTARTS):
        number = ours.random.choice((signal.SIGKILL, signal.SIGTERM))
        ours.counts[number.name] += 1
        ours.server.stop(number)
        time.sleep(ours.random.choice((0.0, ours.random.uniform(0.0, 0.5))))  # so long it is not there
        ours.server.start()
    ours.finish()
    assert (ours.counts["leases lost"], ours.counts["lost"]) == (0, 0)


@pytest.mark.slow
def test_connections_cut_at_any_byte_lose_nothing(chaos, proxy_to):
    proxies = {}

    def before(server):
        proxies.update(workers=proxy_to(server.port), clients=proxy_to(server.port))
        return [proxies[whose].url for whose in ("workers", "clients")]

    ours = chaos(lease_s=30, workers=2, before=before)
    for _ in ours.rounds(CUTS * 3 // 2):  # a cut of those who say little may come in a later round, or not at all
        whose, direction = ours.random.choice(("workers", "clients")), ours.random.choice(("replies", "requests"))
        most = {"workers": 3000, "clients": 600 if direction == "requests" else 12}[whose]
        proxies[whose].cut_in(direction, ours.random.randrange(most))
    for whose, proxy in proxies.items():
        proxy.spare()
        ours.counts[whose] = proxy.cuts
    ours.finish()
    assert (ours.counts["leases lost"], ours.counts["lost"]) == (0, 0)
    assert sum(proxy.cuts for proxy in proxies.values()) >= CUTS


@pytest.mark.slow
def test_what_stands_still_for_longer_than_its_lease_loses_nothing(chaos):
    ours = chaos(lease_s=2, workers=4)
    standing = []  # (until when, worker, processes)

    def go_on(now_s=float("inf")):
        for each in [each for each in standing if each[0] <= now_s]:
            standing.remove(each)
            time.sleep(max(0.0, each[0] - time.monotonic()))
            for pid in each[2]:
                kill(pid, signal.SIGCONT)

    for _ in ours.rounds(STOPS):
        go_on(time.monotonic())
        if len(standing) == 3:
            go_on(standing[0][0])
        worker = ours.random.choice([each for each in ours.workers if each not in [other for _, other, _ in standing]])
        victim = ours.random.choice(("process", "supervisor", "worker"))
        ours.counts[victim] += 1
        if victim == "process":
            pids = [ours.random.choice([*ours.until(worker.processes), *worker.templates()])]
        else:
            pids = [worker.pid] if victim == "supervisor" else worker.session()
        # what a supervisor no longer renews is given to others while its processes go on
        ours.hit.update(pids, worker.processes() if victim == "supervisor" else ())
        for pid in pids:
            kill(pid, signal.SIGSTOP)
        standing.append((time.monotonic() + 2 * ours.lease_s, worker, pids))
    go_on()
    ours.finish()
