"""What the chaos suite is made of: an app whose tasks note what they do, a load with what must come of it, and a witness.

Nothing here asks faena what has happened. Each execution of a task is a line in a file, with the process that it ran in;
and the server itself tells the witness whenever a result is written.
"""

import os
import random
import re
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import hiredis

from faena import Faena
from faena.errors import BackendUnavailable
from faena.tasks.canvas import Chain, Chord, Group

APP = """
import secrets
from faena import group

def noted(key):
    token = secrets.token_hex(6)
    mark(f"{key} {os.getpid()} {token} {time.time():.4f}")
    return token

@app.task
def work(n):
    token = noted(f"t{n}")
    time.sleep(n % 9 / 500)
    return [n * n, token]

@app.task
async def await_work(n):
    token = noted(f"t{n}")
    await asyncio.sleep(n % 9 / 500)
    return [n * n, token]

@app.task(acks_late=False)
def once(n):
    token = noted(f"o{n}")
    time.sleep(n % 9 / 500)
    return [n * n, token]

@app.task
def inc(n, key):
    noted(key)
    time.sleep(n % 5 / 500)
    return n + 1

@app.task
async def ainc(n, key):
    noted(key)
    await asyncio.sleep(n % 5 / 500)
    return n + 1

@app.task
def total(numbers, key):
    noted(key)
    return sum(numbers)

@app.task(bind=True)
def split(self, n, key):
    noted(key)
    raise self.replace(group(inc.s(n + i, key=f"{key}/{i}") for i in range(3)) | total.s(key=f"{key}/sum"))

@app.task(bind=True, max_retries=5)
def flaky(self, n, key):
    noted(f"{key}#{self.request.retries}")
    if self.request.retries < 2:
        raise self.retry(countdown=0.05 * self.request.retries)
    return n + 1

@app.task
def boom(n, key):
    noted(key)
    raise ValueError(f"boom {n}")
"""


ONE_IN_ONCE = 40  # for so many tasks there is one that runs once at most


class Run(NamedTuple):
    """One execution of a task."""

    pid: int
    token: str
    at_s: float


class Marks:
    """What the tasks have noted themselves, read as it grows: key -> its executions."""

    def __init__(self, path):
        self._path, self._at, self._rest, self._lock = path, 0, b"", threading.Lock()
        self.found = defaultdict(list)
        self._tasks = 0

    def read(self):
        with self._lock:
            if self._path.exists():
                with open(self._path, "rb") as file:
                    file.seek(self._at)
                    data = file.read()
                self._at += len(data)
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    key, pid, token, at_s = line.decode().split()
                    self._tasks += key[0] == "t" and key not in self.found
                    self.found[key].append(Run(int(pid), token, float(at_s)))
            return self.found

    def tasks(self):
        """Return how many tasks (outside of workflows) have run at least once."""
        self.read()
        return self._tasks


@dataclass
class Expected:
    """A workflow that was sent: what must come of it, and which executions it is made of."""

    handle: object = None
    value: object = None
    keys: list = field(default_factory=list)
    bodies: list = field(default_factory=list)


class Shapes:
    """Random workflows, with their value as plain Python computes it."""

    def __init__(self, client, random_):
        self._client, self._random = client, random_

    def draw(self, number):
        """Return the canvas and what is expected of it."""
        found = Expected()
        first = self._s("inc", found, f"w{number}", number)
        kind = self._random.choice(("chain", "group", "chord", "nested", "nested", "nested", "skipping"))
        if kind in ("group", "skipping"):
            parts = [self._part(found, f"w{number}.{at}", 1) for at in range(self._random.randint(2, 5))]
            members, found.value = [make() for make, _ in parts], [of(number + 1) for _, of in parts]
            if kind == "skipping":
                members.insert(1, self._s("boom", found, f"w{number}.boom").if_fails("skip"))
            return first | Group(members), found
        depth = 3 if kind == "nested" else 1
        make, of = getattr(self, f"_{'chain' if kind == 'nested' else kind}")(found, f"w{number}.0", depth)
        found.value = of(number + 1)
        return first | make(), found

    def _s(self, name, found, key, *args):
        if name == "flaky":
            found.keys += [f"{key}#{retries}" for retries in range(3)]
        else:
            found.keys.append(key)
        return self._client.signature(f"app.{name}", args, {"key": key})

    def _part(self, found, key, depth):
        """Return how to make something that takes a number and gives one, and what that is in plain Python."""
        kinds = ["inc", "ainc", "inc", "ainc", "flaky", "split"]
        if depth > 0:
            kinds += ["chain", "chord"] * 2
        kind = self._random.choice(kinds)
        if kind in ("chain", "chord"):
            return getattr(self, f"_{kind}")(found, key, depth)
        if kind == "split":
            found.keys += [f"{key}/{at}" for at in range(3)]
            found.keys.append(f"{key}/sum")
            found.bodies.append(f"{key}/sum")
            return partial(self._s, kind, found, key), lambda n: sum(n + at + 1 for at in range(3))
        return partial(self._s, kind, found, key), lambda n: n + 1

    def _chain(self, found, key, depth):
        parts = [self._part(found, f"{key}.{at}", depth - 1) for at in range(self._random.randint(2, 4))]

        def of(n):
            for _, each in parts:
                n = each(n)
            return n

        return lambda: Chain([make() for make, _ in parts]), of

    def _chord(self, found, key, depth):
        parts = [self._part(found, f"{key}.{at}", depth - 1) for at in range(self._random.randint(1, 6))]
        found.bodies.append(f"{key}.sum")

        def make():
            return Chord([each() for each, _ in parts], self._s("total", found, f"{key}.sum"))

        return make, lambda n: sum(of(n) for _, of in parts)


class Load:
    """Clients that send all the time, as far as they are allowed to: one of tasks, one of workflows, and one that waits."""

    def __init__(self, url, tasks, workflows, seed, backend=None):
        self.total, self.total_workflows = tasks, workflows
        self.results = []  # of tasks, in their order
        self.once = []  # of tasks that run once at most: some beside the others
        self.workflows = []  # Expected
        self._allowed = 0.0  # the share that may be sent
        self._changed = threading.Condition()
        self._failed = []
        self.client = Faena("chaos", broker=url, backend=backend, task_publish_timeout=60.0, set_as_current=False)
        self._waited = 0
        self._random = random.Random(seed)
        self._shapes = Shapes(self.client, random.Random(seed + 1))
        runs = (self._send_tasks, self._send_workflows, self._wait_for_results)
        self._threads = [threading.Thread(target=self._run, args=(run,), daemon=True) for run in runs]
        for thread in self._threads:
            thread.start()

    def allow(self, share):
        """Let this share of all be sent; share 1 ends the clients when they are done."""
        with self._changed:
            self._allowed = share
            self._changed.notify_all()
        self.check()

    def check(self):
        if self._failed:
            raise self._failed[0]

    def join(self, within_s):
        deadline = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            self.check()
            assert not thread.is_alive(), f"a client has not ended: {len(self.results)} sent, {self._waited} waited for"

    def _run(self, work):
        try:
            work()
        except BaseException as error:
            self._failed.append(error)

    def _until_allowed(self, done, total):
        """Wait until more may be sent; return how much in all."""
        with self._changed:
            while (upto := int(total * self._allowed)) <= done and self._allowed < 1:
                self._changed.wait(30.0)
            return upto

    def _send_tasks(self):
        while len(self.results) < self.total:
            upto = self._until_allowed(len(self.results), self.total)
            while (first := len(self.results)) < upto:
                if len(self.once) * ONE_IN_ONCE <= first:
                    self.once.append(self.client.send_task("app.once", (len(self.once),)))
                name = "app." + self._random.choice(("work", "await_work"))
                if self._random.random() < 0.3:
                    self.results.append(self.client.send_task(name, (first,)))
                else:
                    last = min(upto, first + self._random.randint(2, 60))
                    self.results += self.client.send_many([self.client.signature(name, (n,)) for n in range(first, last)])

    def _send_workflows(self):
        while (number := len(self.workflows)) < self.total_workflows:
            self._until_allowed(number, self.total_workflows)
            canvas, expected = self._shapes.draw(number)
            expected.handle = canvas.apply_async()
            self.workflows.append(expected)

    def _wait_for_results(self):
        """Wait for results as they come, the latest first: through every trouble."""
        while self._waited < self.total:
            with self._changed:
                while len(self.results) <= self._waited:
                    self._changed.wait(0.2)
            self._waited = len(self.results)
            deadline = time.monotonic() + 120.0
            while True:
                try:
                    number = self._waited - 1
                    assert self.results[number].get(timeout=max(1.0, deadline - time.monotonic()))[0] == number**2
                    break
                except BackendUnavailable:
                    if time.monotonic() > deadline:
                        raise

    def close(self):
        self.client.close()


class Witness:
    """Counts how often the server writes each result, as the server tells it (`notify-keyspace-events K$`, and MONITOR)."""

    def __init__(self, port, prefix="{faena}:"):
        self._port, self._own, self._together = port, f"__keyspace@0__:{prefix}r:", f' lua] "HSET" "{prefix}rm:'.encode()
        self.written = defaultdict(int)
        self.together = 0  # how many of them in a batch
        self.gaps = 0  # how often it may have missed something
        self._is_closed = False
        looks = (f"PSUBSCRIBE {self._own}*", self._see_own), ("MONITOR", self._see_together)
        self._sockets = [None for _ in looks]
        self._connected = [threading.Event() for _ in looks]
        self._threads = [threading.Thread(target=self._run, args=(at, *look), daemon=True) for at, look in enumerate(looks)]
        for thread, connected in zip(self._threads, self._connected, strict=True):
            thread.start()
            assert connected.wait(10.0)

    def close(self):
        self._is_closed = True
        for each in self._sockets:
            if each is not None:
                each.close()
        for thread in self._threads:
            thread.join(5.0)

    def _run(self, at, command, see):
        while not self._is_closed:
            try:
                self._watch(at, command, see)
            except OSError:
                self.gaps += 1
                time.sleep(0.01)

    def _watch(self, at, command, see):
        reader = hiredis.Reader()
        with socket.create_connection(("127.0.0.1", self._port), timeout=5.0) as own:
            self._sockets[at] = own
            # while a server loads its data, it tells of everything once more
            while not own.sendall(b"PING\r\n") and not (answer := own.recv(65536)).startswith(b"+"):
                if not answer:
                    raise ConnectionResetError
            own.sendall(f"{command}\r\n".encode())
            own.settimeout(0.5)
            while not self._is_closed:
                try:
                    data = own.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    raise ConnectionResetError
                reader.feed(data)
                while (news := reader.gets()) is not False:
                    self._connected[at].set()  # the first is the answer to the command
                    see(news)

    def _see_own(self, news):
        if news[3:] == [b"set"]:
            self.written[news[2].decode().removeprefix(self._own)] += 1

    def _see_together(self, line):
        if self._together in line:
            ids = re.findall(rb'"((?:[^"\\]|\\.)*)"', line)[2::2]
            self.together += len(ids)
            for task_id in ids:
                self.written[task_id.decode()] += 1


def kill(pid, number):
    """Send a signal; whether somebody was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
