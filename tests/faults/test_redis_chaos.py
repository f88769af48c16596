"""Chaos on Redis: kill, stop, cut and restart while tasks and workflows run, then look at what is left.

Nothing is lost, nothing succeeds twice, no body of a chord runs twice but where its process was hit, and nothing stays
behind in the server but what expires. The small sizes are for every run of the suite; by hand, the full ones:

    FAENA_TEST_CHAOS=full FAENA_TEST_SEED=7 pytest tests/faults/test_redis_chaos.py
"""

import os
import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from faena._lib.drive import run

from .chaos import APP, Load, Marks, Witness, kill

IS_FULL = os.environ.get("FAENA_TEST_CHAOS") == "full"
SEED = int(os.environ.get("FAENA_TEST_SEED", "7"))
TASKS, WORKFLOWS = (20_000, 200) if IS_FULL else (600, 12)
KILLS, RESTARTS, CUTS, STOPS = (500, 100, 100, 100) if IS_FULL else (8, 3, 8, 3)
PATIENCE_S = 300.0 if IS_FULL else 60.0

# A key of one of these kinds goes with what it holds, and nothing is held any more.
EMPTY_AT_REST = (
    "q:", "d:", "m", "h:", "leases", "x", "tombs", "paused", "parked", "pe:", "pd", "pw", "wu:", "wfu", "wb:", "cw:", "c:",
)  # fmt: skip


@dataclass
class Chaos:
    """A server, workers and clients in trouble, and what must be true in the end."""

    site: object
    server: object
    until: object
    seed: int
    lease_s: float
    url: str  # of workers
    client_url: str
    workers: list = field(default_factory=list)
    hit: set = field(default_factory=set)  # processes that were killed or stopped: what they ran may run again
    counts: Counter = field(default_factory=Counter)

    def __post_init__(self):
        self.random = random.Random(self.seed)
        self.site.url = self.url
        self.site.app(APP, "task_crash_limit=1_000_000")
        self.marks = Marks(self.site.folder / "marks")
        self.witness = Witness(self.server.port)
        self.load = Load(self.client_url, TASKS, WORKFLOWS, self.seed)
        self.began_s = time.monotonic()

    # -- workers -------------------------------------------------------------------------------------------

    def start_worker(self):
        settings = {"FAENA_WORKER_LEASE": str(self.lease_s), "FAENA_WORKER_LOG_TASKS": "none"}
        worker = self.site.worker("-n", f"w{len(self.site.workers)}", ready=False, **settings)
        self.workers.append(worker)
        return worker

    def processes(self):
        """Return the processes of all workers, those included that others are forked from."""
        return [pid for worker in self.workers for pid in (*worker.processes(), *worker.templates())]

    # -- trouble -------------------------------------------------------------------------------------------

    def rounds(self, count):
        """Give a number at each moment for trouble: the share of tasks before it has run, the next is under way."""
        for number in range(count):
            self.load.allow((number + 1) / (count + 1))
            least = int(TASKS * number / (count + 1))
            self.until(lambda least=least: self.marks.tasks() >= least, PATIENCE_S, self.told)
            time.sleep(self.random.uniform(0.0, 0.08))  # the moment is what is random here
            yield number
            self.load.check()
        self.load.allow(1)

    def told(self):
        executed = self.marks.tasks()
        return f"seed {self.seed}: {executed} of {TASKS} have run, {dict(self.counts)}\n{self.site.logs()}"

    # -- the end -------------------------------------------------------------------------------------------

    def finish(self):
        self.load.join(PATIENCE_S)
        client = self.site.client
        self.until(lambda: self.site.unfinished() == 0, PATIENCE_S, lambda: f"{self.left_in_queues()}\n{self.told()}")

        def moving():
            return [status for status in client.workflows.latest(WORKFLOWS + 10) if status.active]

        self.until(lambda: not moving(), PATIENCE_S, lambda: f"{moving()}\n{self.told()}")
        took_s = time.monotonic() - self.began_s
        self.check_results()
        self.check_once()
        repeated = self.check_executions()
        self.check_writes()
        alive = 2 * len(self.workers)
        self.until(lambda: self.command("ZCARD", "{faena}:leases") == alive, 60, lambda: self.told())
        assert {letter.message.task for letter in self.site.dead()} <= {"app.boom", "app.once"}
        assert [worker.stop() for worker in self.workers] == [0] * len(self.workers)
        self.check_keys()
        print(
            f"{TASKS} tasks, {WORKFLOWS} workflows, {dict(self.counts)} in {took_s:.0f} s; repeated executions {repeated}"
        )

    def left_in_queues(self):
        return run(self.site.client.connection().broker.queues.status())

    def check_results(self):
        backend = self.site.client.connection().backend
        marks = self.marks.read()
        wrong = []
        ids = [result.id for result in self.load.results]
        assert len(ids) == TASKS
        for number, record in enumerate(run(backend.read(ids))):
            value = (
                None
                if record is None or record.state != "SUCCESS"
                else self.site.client.codecs.decode(record.content, record.value)
            )
            if value is None or value[0] != number**2 or value[1] not in [token for _, token in marks[f"t{number}"]]:
                wrong.append((number, record))
        assert wrong == [], f"seed {self.seed}: {len(wrong)} tasks are lost or wrong"
        found = [(at, each.handle.get(timeout=30)) for at, each in enumerate(self.load.workflows)]
        assert found == [(at, each.value) for at, each in enumerate(self.load.workflows)], f"seed {self.seed}"
        assert len(found) == WORKFLOWS

    def check_once(self):
        """What was to run once at most has done so; where it has no value, its process was hit."""
        backend, decode = self.site.client.connection().backend, self.site.client.codecs.decode
        marks = self.marks.read()
        for number, record in enumerate(run(backend.read([result.id for result in self.load.once]))):
            runs = marks.pop(f"o{number}", [])
            about = f"seed {self.seed}: {number}, {runs}, {record}"
            assert record is not None, about
            assert len(runs) <= 1, about
            if record.state == "SUCCESS":
                assert decode(record.content, record.value) == [number**2, runs[0][1]], about
            else:
                assert (record.state, record.failure.type_name) == ("FAILURE", "WorkerLostError"), about
                assert not runs or runs[0][0] in self.hit | self.lost_their_lease(), about
                self.counts["lost"] += 1

    def check_executions(self):
        """Each that is expected ran, no other did, and none twice but where a process was hit that ran it."""
        marks = {key: runs for key, runs in self.marks.read().items() if runs}
        expected = {f"t{number}" for number in range(TASKS)}.union(*(each.keys for each in self.load.workflows))
        assert expected - marks.keys() == set(), f"seed {self.seed}: never ran"
        assert marks.keys() - expected == set(), f"seed {self.seed}: nobody has sent these"
        excused = self.hit | self.lost_their_lease()
        twice = {key: runs for key, runs in marks.items() if sum(pid not in excused for pid, _ in runs) > 1}
        bodies = {body for each in self.load.workflows for body in each.bodies}
        assert twice == {}, (
            f"seed {self.seed}: ran twice without trouble, {len(twice.keys() & bodies)} of them bodies of chords"
        )
        return sum(len(runs) - 1 for runs in marks.values())

    def lost_their_lease(self):
        """Return the processes that their worker ended because others had been given what they held."""
        found = set()
        for worker in self.site.workers:
            found |= {int(pid) for pid in re.findall(r"\(pid (\d+)\)[^\n]*lease lost", worker.text())}
        self.counts["leases lost"] = len(found - self.hit)
        return found

    def check_writes(self):
        """No result was written a second time, but while a task was being retried."""
        again = [task_id for task_id, count in self.witness.written.items() if count > 1]
        backend = self.site.client.connection().backend
        tasks = Counter(record.task for record in run(backend.read(again)) if record is not None)
        assert set(tasks) <= {"app.flaky"}, f"seed {self.seed}: {tasks}"
        if not self.witness.gaps:
            assert {result.id for result in self.load.results} <= self.witness.written.keys()

    def check_keys(self):
        """Nothing is held, and whatever is there has an end."""
        keys = [key.decode() for key in self.command("KEYS", "*")]
        names = {key.removeprefix("{faena}:") for key in keys}
        assert len(names) == len(keys)
        assert {key for key in keys if not key.startswith("{faena}:")} == set()
        held = {
            name for name in names for kind in EMPTY_AT_REST if name == kind or (kind[-1] == ":" and name.startswith(kind))
        }
        assert held == set(), f"seed {self.seed}"
        assert {key for key in keys if self.command("PTTL", key) == -1} == set(), f"seed {self.seed}: without an end"

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
        made.append(Chaos(site, server, until, SEED, lease_s, *urls))
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
        victim = ours.random.choices(("process", "supervisor", "worker"), (76, 12, 12))[0]
        ours.counts[victim] += 1
        if victim == "process":
            pid = ours.random.choice(ours.until(ours.processes))
            ours.hit.add(pid)
            kill(pid, signal.SIGKILL)
            continue
        worker = ours.random.choice(ours.workers)
        pids = [worker.pid] if victim == "supervisor" else worker.session()
        ours.hit.update(pids)
        for pid in pids:
            kill(pid, signal.SIGKILL)
        worker.popen.wait()
        ours.workers.remove(worker)
        ours.start_worker()
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
