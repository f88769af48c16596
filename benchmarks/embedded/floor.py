"""The floor: the least code that keeps results, acknowledges after the run and loses nothing by kill -9, on SQLite.

A worker's cycle is one transaction: delete what is done, keep its results, take up to 128 more. A `flock` around every
transaction keeps writers from starving one another (SQLite's own busy handler sleeps). Each process holds what it takes
under its pid; what a dead pid held goes back when a worker starts, so a killed worker loses nothing. An idle worker
waits on a FIFO.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from os.path import dirname, join

import msgspec

from benchmarks.embedded.side import main

DATABASE, LOCK, WAKE, ANSWER = "floor.db", "floor.lock", "floor.wake", "floor.answer"
BATCH = 128
RESULT_TTL_S = 3600.0

INSERT = "INSERT INTO tasks (queue, rank, body) VALUES ('default', 5, ?)"
CLAIM = """
UPDATE tasks SET holder = ? WHERE seq IN (
    SELECT seq FROM tasks WHERE queue = 'default' AND holder IS NULL ORDER BY rank, seq LIMIT ?
) RETURNING seq, body"""
DONE = "DELETE FROM tasks WHERE seq = ? AND holder = ?"
KEEP = "INSERT OR REPLACE INTO results (id, expires_at, value) VALUES (?, ?, ?)"


class Call(msgspec.Struct, frozen=True, array_like=True):
    id: bytes
    task: str
    arguments: bytes
    sent_at: float


def echo(number):
    return number


TASKS = {"floor.echo": echo}


class Database:
    """One connection, and the lock that goes around its transactions."""

    def __init__(self):
        self.lock = os.open(LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        self.connection = sqlite3.connect(DATABASE, isolation_level=None, cached_statements=64)
        self.execute = self.connection.execute
        self.execute("PRAGMA journal_mode = WAL")
        self.execute("PRAGMA synchronous = NORMAL")
        self.execute("PRAGMA mmap_size = 268435456")
        self.execute("PRAGMA wal_autocheckpoint = 4000")
        with open(join(dirname(__file__), "floor.sql"), encoding="utf-8") as file:
            self.connection.executescript(file.read())

    def __enter__(self):
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, kind, *_):
        self.execute("COMMIT" if kind is None else "ROLLBACK")
        fcntl.flock(self.lock, fcntl.LOCK_UN)


class Fifo:
    """A named pipe that wakes one waiting reader per byte. It never blocks a writer."""

    def __init__(self, path):
        if not os.path.exists(path):
            os.mkfifo(path, 0o600)
        self.handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.poll = select.poll()
        self.poll.register(self.handle, select.POLLIN)

    def wake(self):
        try:
            os.write(self.handle, b"1")
        except BlockingIOError:
            pass

    def wait(self, timeout_s):
        if self.poll.poll(timeout_s * 1000):
            try:
                os.read(self.handle, 1)
            except BlockingIOError:
                pass


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def recover(database):
    """Give back what processes hold that are no more."""
    with database:
        for (holder,) in database.execute("SELECT DISTINCT holder FROM tasks WHERE holder IS NOT NULL").fetchall():
            if not is_alive(holder):
                database.execute("UPDATE tasks SET holder = NULL WHERE holder = ?", (holder,))


def run_worker():
    """Take, run and settle in batches until SIGTERM."""
    database, wake, answer = Database(), Fifo(WAKE), Fifo(ANSWER)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: (stopping.append(True), wake.wake()))
    recover(database)
    holder, decode, decode_json, encode = (
        os.getpid(),
        msgspec.msgpack.Decoder(Call).decode,
        msgspec.json.Decoder().decode,
        msgspec.msgpack.Encoder().encode,
    )
    done, results = [], []
    while not stopping or done:
        with database:
            if done:
                database.connection.executemany(DONE, done)
                database.connection.executemany(KEEP, results)
            batch = [] if stopping else database.execute(CLAIM, (holder, BATCH)).fetchall()
        if done:
            answer.wake()
        done, results = [], []
        if not batch:
            wake.wait(1.0)
            continue
        for seq, body in sorted(batch):
            call = decode(body)
            value = TASKS[call.task](*decode_json(call.arguments))
            done.append((seq, holder))
            results.append((call.id, time.time() + RESULT_TTL_S, encode([call.task, "SUCCESS", value, time.time()])))


def run_supervisor(processes):
    """Start the worker processes, and pass SIGTERM on to them."""
    workers = [subprocess.Popen([sys.executable, "-m", __spec__.name, "worker"]) for _ in range(processes)]
    signal.signal(signal.SIGTERM, lambda *_: [worker.terminate() for worker in workers])
    sys.exit(max(worker.wait() for worker in workers))


class FloorSide:
    stop_signal = signal.SIGTERM

    def __init__(self):
        self.database, self.wake, self.answer = Database(), Fifo(WAKE), Fifo(ANSWER)
        self.encode = msgspec.msgpack.Encoder().encode
        self.encode_json = msgspec.json.Encoder().encode

    def call(self, number):
        # Ordered by time, as in UUID version 7: random keys would cost the results' tree a random page each.
        identity = (time.time_ns() // 1_000_000).to_bytes(6) + os.urandom(10)
        return identity, self.encode(Call(identity, "floor.echo", self.encode_json((number,)), time.time()))

    def send(self, numbers):
        handles = []
        for number in numbers:
            identity, body = self.call(number)
            with self.database:
                self.database.execute(INSERT, (body,))
            self.wake.wake()
            handles.append(identity)
        return handles

    def send_bulk(self, numbers, chunk):
        handles = []
        for start in range(0, len(numbers), chunk):
            calls = [self.call(number) for number in numbers[start : start + chunk]]
            with self.database:
                self.database.connection.executemany(INSERT, [(body,) for _, body in calls])
            self.wake.wake()
            handles += [identity for identity, _ in calls]
        return handles

    def result(self, handle):
        while True:
            row = self.database.execute("SELECT value FROM results WHERE id = ?", (handle,)).fetchone()
            if row is not None:
                return msgspec.msgpack.decode(row[0])[2]
            self.answer.wait(1.0)

    def read(self, handles):
        kept = dict(self.database.execute("SELECT id, value FROM results"))
        return [msgspec.msgpack.decode(kept[handle])[2] if handle in kept else None for handle in handles]

    def worker_argv(self, processes):
        return [sys.executable, "-m", "benchmarks.embedded.floor", "workers", str(processes)]


if __name__ == "__main__":
    match sys.argv[1]:
        case "worker":
            run_worker()
        case "workers":
            run_supervisor(int(sys.argv[2]))
        case _:
            main(FloorSide())
