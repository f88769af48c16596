"""A folder with an app, and workers of it started from the command line as a user would."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from faena.testing.redis_server import RedisServer, redis_server_binary

# The same examples in each run, however slow the machine is; FAENA_TEST_CHAOS=full looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("searching", derandomize=False, deadline=None)
settings.load_profile("searching" if os.environ.get("FAENA_TEST_CHAOS") == "full" else "repeatable")

HEADER = """
import asyncio, os, signal, socket, sys, threading, time
from faena import Faena

app = Faena("site", {settings})

def mark(text):
    descriptor = os.open({marks!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, (str(text) + "\\n").encode())  # at once: lines of several processes do not mix
    os.close(descriptor)

def once(name):
    "Whether this is the first call with that name, in whatever process."
    try:
        os.close(os.open(os.path.join({folder!r}, "once-" + name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
"""


def wait_until(condition: Callable[[], Any], within_s: float = 15.0, what: Any = "") -> Any:
    """Return the first true answer of `condition`; fail when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what() if callable(what) else what or condition}")
        time.sleep(0.01)


def name_of(pid: int) -> str:
    """Return the name that `ps` shows for a process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class WorkerProcess:
    """One `faena worker`, with what it has logged."""

    def __init__(self, site: Site, words: Sequence[str], environ: dict[str, str]) -> None:
        self.log = site.folder / f"worker-{len(site.workers)}.log"
        self.started_s = time.monotonic()
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                [os.path.join(os.path.dirname(sys.executable), "faena"), "-A", "app", "worker", *words],
                cwd=site.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def until_logged(self, pattern: str, within_s: float = 15.0) -> re.Match[str]:
        found: re.Match[str] = wait_until(
            lambda: re.search(pattern, self.text()), within_s, lambda: f"{pattern}\n{self.text()}"
        )
        return found

    def until_ready(self) -> WorkerProcess:
        self.until_logged("is ready")
        return self

    def processes(self) -> list[int]:
        """Return the pids of the processes that the supervisor has now."""
        return [pid for pid in self._children() if pid not in self.templates()]

    def templates(self) -> list[int]:
        """Return the pid of the process that the others are forked from, if there is one."""
        return [pid for pid in self._children() if name_of(pid) == "faena:template"]

    def _children(self) -> list[int]:
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except OSError:
            return []

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def stop(self, within_s: float = 30.0) -> int:
        """Ask it to stop; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.until_ended(within_s)

    def until_ended(self, within_s: float = 30.0) -> int:
        try:
            return self.popen.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not end within {within_s:g} s:\n{self.text()}") from None

    def session(self) -> list[int]:
        """Return every process that has come from this worker and is still there."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self.pid and fields[0] != "Z":
                    found.append(int(entry))
        return found

    def end(self) -> None:
        """Leave nothing of it behind, whatever has happened."""
        deadline = time.monotonic() + 10.0
        while (pids := self.session()) and time.monotonic() < deadline:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.popen.poll()
        self.popen.wait(10.0)


class Site:
    """A folder with `app.py` on a SQLite file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "site.db"
        self.url = f"sqlite:///{self.database}"
        self.backend: str | None = None  # where it is another one than the broker
        self.workers: list[WorkerProcess] = []
        self._client: Any = None

    def app(self, source: str, settings: str = "") -> None:
        """Write the app: `app`, `mark(text)` and `once(name)` are there already."""
        backend = f"backend={self.backend!r}, " if self.backend is not None else ""
        head = HEADER.format(
            settings=f"broker={self.url!r}, {backend}{settings}",
            marks=str(self.folder / "marks"),
            folder=str(self.folder),
        )
        # bytecode counts as fresh by size and whole second: of one app soon after another of the same length the old one
        shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)
        (self.folder / "app.py").write_text(head + textwrap.dedent(source))

    @property
    def client(self) -> Any:
        """An app of the test's own on the same file; it sends by name."""
        if self._client is None:
            from faena import Faena

            self._client = Faena("client", broker=self.url, backend=self.backend, set_as_current=False)
        return self._client

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        return self.client.send_task(f"app.{name}", args, **options)

    def send_all(self, name: str, arguments: Sequence[Any], **options: Any) -> list[Any]:
        """Send a call for each argument, in one go for a thousand."""
        client, sent = self.client, []
        for at in range(0, len(arguments), 1000):
            part = [client.signature(f"app.{name}", (argument,), **options) for argument in arguments[at : at + 1000]]
            sent += list(client.send_many(part))
        return sent

    def worker(self, *words: str, ready: bool = True, **environ: str) -> WorkerProcess:
        """Start a worker; two processes, unless told otherwise."""
        pools = {"-c", "-P", "--pool", "--concurrency"}
        given = words if pools.intersection(words) else ("-c", "2", *words)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FAENA_")}
        worker = WorkerProcess(self, given, {**kept, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", **environ})
        self.workers.append(worker)
        return worker.until_ready() if ready else worker

    def marks(self) -> Counter[str]:
        """Return how often each line was written with `mark`."""
        try:
            return Counter((self.folder / "marks").read_text().splitlines())
        except FileNotFoundError:
            return Counter()

    def until_marked(self, text: str, within_s: float = 15.0, count: int = 1) -> None:
        wait_until(lambda: self.marks()[text] >= count, within_s, lambda: f"mark {text}: {self.marks()}\n{self.logs()}")

    def logs(self) -> str:
        return "\n".join(f"-- {worker.log.name}\n{worker.text()[-6000:]}" for worker in self.workers)

    def queue(self, name: str = "default") -> Any:
        """Return the numbers of one queue."""
        from faena._lib.drive import run

        found = {status.name: status for status in run(self.client.connection().broker.queues.status())}
        return found.get(name)

    def unfinished(self) -> int:
        """Return how many messages are waiting, under limits, delayed or held."""
        from faena._lib.drive import run

        statuses = run(self.client.connection().broker.queues.status())
        return sum(status.waiting + status.limited + status.delayed + status.held for status in statuses)

    def dead(self) -> list[Any]:
        from faena._lib.drive import run

        return list(run(self.client.connection().broker.dead_letters.list(None, 1000)))

    def until_drained(self, within_s: float = 30.0) -> None:
        wait_until(lambda: self.unfinished() == 0, within_s, lambda: f"{self.unfinished()} left\n{self.logs()}")

    def end(self) -> None:
        for worker in self.workers:
            worker.end()
        self.close_client()

    def close_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.end()


@pytest.fixture
def redis_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RedisServer]]:
    """Start a server with these options; it ends with the test."""
    if redis_server_binary() is None:
        pytest.skip("no redis-server or valkey-server on this machine")
    servers: list[RedisServer] = []

    def start(*options: str) -> RedisServer:
        servers.append(RedisServer(tmp_path_factory.mktemp("redis"), *options).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(params=["sqlite", "redis"])
def site_anywhere(request: pytest.FixtureRequest, site: Site) -> Site:
    """A site on each broker."""
    if request.param == "redis":
        site.url = request.getfixturevalue("redis_of")().url
    return site


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait for a condition, with a deadline."""
    return wait_until
