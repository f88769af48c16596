"""faena on Redis, through what its users have: an app, its tasks, and the command `faena worker`."""

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

from benchmarks.redis.bodies import COROUTINES, THREADS
from benchmarks.redis.faena_app import app, echo, sleep, sleep_coroutine
from benchmarks.redis.side import WAIT_S, BlockingSide

WORKERS = {
    "plain": (),
    "quiet": ("--loglevel", "warning", "--log-tasks", "none"),
    "a line each": ("--log-tasks", "all"),
    "a line each, as JSON": ("--log-tasks", "all", "--log-format", "json"),
    "observed": ("-E", "--metrics-port"),  # and which one
    "coroutines": ("--coroutines", str(COROUTINES)),
    "threads": ("--threads", str(THREADS)),
    "ten queues": ("-Q", ",".join(f"queue{number}" for number in range(10))),
}


class Side(BlockingSide):
    port = 0

    def send(self, numbers):
        return [echo.delay(number) for number in numbers]

    def send_buffered(self, numbers):
        with app.buffered():
            return [echo.delay(number) for number in numbers]

    def send_bulk(self, numbers, chunk):
        handles = []
        for start in range(0, len(numbers), chunk):
            handles += app.send_many([echo.s(number) for number in numbers[start : start + chunk]])
        return handles

    def send_sleeps(self, kind, count):
        task = sleep_coroutine if kind == "coroutines" else sleep
        return app.send_many([task.s() for _ in range(count)])

    def result(self, handle):
        return handle.get(timeout=WAIT_S)

    def read(self, handles):
        found = app.results_of([handle.id for handle in handles])  # read together
        return [handle.result for handle in found] if found.ready() else [None] * len(handles)

    def commands(self, kind, processes):
        words = [*WORKERS[kind], *([str(self.port)] if kind == "observed" else [])]
        return [self.command(kind, "faena", "worker", "-A", "benchmarks.redis.faena_app", "-c", str(processes), *words)]

    @contextmanager
    def watched(self, kind):
        """Have the worker that is about to start watched, where its kind says so; yield what there is to say at the end."""
        found = {}
        if kind != "observed":
            yield found
            return
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        command = [sys.executable, "-m", "benchmarks.redis.observer", str(self.port)]
        observer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert observer.stdout.readline() == "listening\n"
            yield found
            observer.send_signal(signal.SIGTERM)
            found.update(json.loads(observer.communicate(timeout=WAIT_S)[0]))
        finally:
            observer.kill()
            observer.wait()
