"""Trouble: workers and clients in it, and what must be true when it is over. What servers are asked, each suite adds."""

import os
import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

from faena._lib.drive import run

from .chaos import APP, Load, Marks, kill

IS_FULL = os.environ.get("FAENA_TEST_CHAOS") == "full"
SEED = int(os.environ.get("FAENA_TEST_SEED", "7"))
TASKS, WORKFLOWS = (20_000, 200) if IS_FULL else (600, 12)
PATIENCE_S = 300.0 if IS_FULL else 60.0


@dataclass
class Trouble:
    """Workers and clients in trouble, and what must be true in the end."""

    site: object
    until: object
    lease_s: float
    url: str  # of workers
    client_url: str
    backend: str | None = None
    seed: int = SEED
    tasks: int = TASKS
    workflows: int = WORKFLOWS
    workers: list = field(default_factory=list)
    hit: set = field(default_factory=set)  # processes that were killed or stopped: what they ran may run again
    counts: Counter = field(default_factory=Counter)
    witness: object = None  # counts how often each result is written

    def __post_init__(self):
        self.random = random.Random(self.seed)
        self.site.url, self.site.backend = self.url, self.backend
        self.site.app(APP, "task_crash_limit=1_000_000")
        self.marks = Marks(self.site.folder / "marks")
        self.load = Load(self.client_url, self.tasks, self.workflows, self.seed, self.backend)
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
            least = int(self.tasks * number / (count + 1))
            self.until(lambda least=least: self.marks.tasks() >= least, PATIENCE_S, self.told)
            time.sleep(self.random.uniform(0.0, 0.08))  # the moment is what is random here
            yield number
            self.load.check()
        self.load.allow(1)

    def told(self):
        executed = self.marks.tasks()
        return f"seed {self.seed}: {executed} of {self.tasks} have run, {dict(self.counts)}\n{self.site.logs()}"

    def kill_someone(self, *, loses_processes):
        """Kill a process, a supervisor or a whole worker. `loses_processes`: with a supervisor end those it had, too."""
        victim = self.random.choices(("process", "supervisor", "worker"), (76, 12, 12))[0]
        self.counts[victim] += 1
        if victim == "process":
            pid = self.random.choice(self.until(self.processes))
            self.hit.add(pid)
            kill(pid, signal.SIGKILL)
            return
        worker = self.random.choice(self.workers)
        pids = [worker.pid] if victim == "supervisor" else worker.session()
        self.hit.update(worker.session() if loses_processes else pids)
        for pid in pids:
            kill(pid, signal.SIGKILL)
        worker.popen.wait()
        self.workers.remove(worker)
        self.start_worker()

    # -- the end -------------------------------------------------------------------------------------------

    def finish(self):
        self.load.join(PATIENCE_S)
        client = self.site.client
        self.until(self.is_worked_off, PATIENCE_S, lambda: f"{self.left_in_queues()}\n{self.told()}")

        def moving():
            return [status for status in client.workflows.latest(self.workflows + 10) if status.active]

        self.until(lambda: not moving(), PATIENCE_S, lambda: f"{moving()}\n{self.told()}")
        took_s = time.monotonic() - self.began_s
        self.check_results()
        self.check_once()
        repeated = self.check_executions()
        self.check_writes()
        self.until(self.are_leases_gone, 60, self.told)
        assert {letter.message.task for letter in self.site.dead()} <= {"app.boom", "app.once"}
        assert [worker.stop() for worker in self.workers] == [0] * len(self.workers)
        self.check_left()
        print(f"{self.tasks} tasks, {self.workflows} workflows, {dict(self.counts)} in {took_s:.0f} s; repeated {repeated}")

    def left_in_queues(self):
        return run(self.site.client.connection().broker.queues.status())

    def is_worked_off(self):
        return self.site.unfinished() == 0

    def are_leases_gone(self):
        return True

    def check_writes(self):
        """No result was written a second time, but while a task was being retried."""
        again = [task_id for task_id, count in self.witness.written.items() if count > 1]
        backend = self.site.client.connection().backend
        tasks = Counter(record.task for record in run(backend.read(again)) if record is not None)
        assert set(tasks) <= {"app.flaky"}, f"seed {self.seed}: {tasks}"
        if not self.witness.gaps:
            assert {result.id for result in self.load.results} <= self.witness.written.keys()

    def check_left(self):
        """Nothing is left on the servers but what has an end, or was declared."""
        raise NotImplementedError

    def check_results(self):
        backend = self.site.client.connection().backend
        marks = self.marks.read()
        wrong = []
        ids = [result.id for result in self.load.results]
        assert len(ids) == self.tasks
        for number, record in enumerate(run(backend.read(ids))):
            value = (
                None
                if record is None or record.state != "SUCCESS"
                else self.site.client.codecs.decode(record.content, record.value)
            )
            if value is None or value[0] != number**2 or value[1] not in [each.token for each in marks[f"t{number}"]]:
                wrong.append((number, record))
        assert wrong == [], f"seed {self.seed}: {len(wrong)} tasks are lost or wrong"
        found = [(at, each.handle.get(timeout=30)) for at, each in enumerate(self.load.workflows)]
        assert found == [(at, each.value) for at, each in enumerate(self.load.workflows)], f"seed {self.seed}"
        assert len(found) == self.workflows

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
                assert decode(record.content, record.value) == [number**2, runs[0].token], about
            else:
                assert (record.state, record.failure.type_name) == ("FAILURE", "WorkerLostError"), about
                assert not runs or self.may_be_lost(runs[0], record), about
                self.counts["lost"] += 1

    def check_executions(self):
        """Each that is expected ran, no other did, and none twice but where a process was hit that ran it."""
        marks = {key: runs for key, runs in self.marks.read().items() if runs}
        expected = {f"t{number}" for number in range(self.tasks)}.union(*(each.keys for each in self.load.workflows))
        assert expected - marks.keys() == set(), f"seed {self.seed}: never ran"
        assert marks.keys() - expected == set(), f"seed {self.seed}: nobody has sent these"
        excused = self.hit | self.lost_their_lease()
        twice = {key: runs for key, runs in marks.items() if len(runs) > 1 and not self.may_repeat(key, runs, excused)}
        bodies = {body for each in self.load.workflows for body in each.bodies}
        assert twice == {}, (
            f"seed {self.seed}: ran twice without trouble, {len(twice.keys() & bodies)} of them bodies of chords"
        )
        self.counts["bodies repeated"] = sum(len(marks[body]) - 1 for body in bodies)
        return sum(len(runs) - 1 for runs in marks.values())

    def may_be_lost(self, ran, record):
        """Whether trouble explains that nobody knows how this execution has ended."""
        return ran.pid in self.hit | self.lost_their_lease()

    def may_repeat(self, key, runs, excused):
        """Whether these executions of one task are explained by trouble."""
        return sum(each.pid not in excused for each in runs) <= 1

    def lost_their_lease(self):
        """Return the processes that their worker ended because others had been given what they held."""
        found = set()
        for worker in self.site.workers:
            found |= {int(pid) for pid in re.findall(r"\(pid (\d+)\)[^\n]*lease lost", worker.text())}
        self.counts["leases lost"] = len(found - self.hit)
        return found
