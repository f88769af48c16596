"""huey on SQLite, in an environment of its own: its consumer with worker processes, its results waited for by polling.

With BENCH_HUEY_POLL_S the consumer looks for tasks that often instead of backing off from 0.1 s up, its default.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from os.path import dirname, join

from benchmarks.embedded.huey_app import echo, huey
from benchmarks.embedded.side import main


class HueySide:
    stop_signal = signal.SIGINT  # huey's graceful stop

    def send(self, numbers):
        return [echo(number) for number in numbers]

    def send_bulk(self, numbers, chunk):
        return None  # SqliteHuey has no call that stores several tasks at once

    def result(self, handle):
        # huey's own blocking get sleeps 0.1 s first; and without `preserve` each look takes the worker's lock
        pause_s = 0.0005
        while (value := handle.get(preserve=True)) is None:
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.05, 0.005)
        return value

    def read(self, handles):
        return [handle.get(preserve=True) for handle in handles]

    def worker_argv(self, processes):
        poll_s = os.environ.get("BENCH_HUEY_POLL_S")
        polling = ["-d", poll_s, "-m", poll_s, "-b", "1"] if poll_s else []
        consumer = join(dirname(sys.executable), "huey_consumer")
        return [
            sys.executable,
            consumer,
            "benchmarks.embedded.huey_app.huey",
            "-k", "process", "-w", str(processes), "--no-periodic", "-q",
            *polling,
        ]  # fmt: skip


if __name__ == "__main__":
    assert huey.results
    main(HueySide())
