"""faena on SQLite, through what its users have: an app, its task, and the command `faena worker`."""

from __future__ import annotations

import signal
import sys
from os.path import dirname, join

from benchmarks.embedded.faena_app import app, echo
from benchmarks.embedded.side import main


class FaenaSide:
    stop_signal = signal.SIGTERM

    def send(self, numbers):
        return [echo.delay(number) for number in numbers]

    def send_bulk(self, numbers, chunk):
        handles = []
        for start in range(0, len(numbers), chunk):
            handles += app.send_many([echo.s(number) for number in numbers[start : start + chunk]])
        return handles

    def result(self, handle):
        return handle.get(timeout=60)

    def read(self, handles):
        return [handle.result if handle.state == "SUCCESS" else None for handle in handles]

    def worker_argv(self, processes):
        faena = join(dirname(sys.executable), "faena")
        return [faena, "worker", "-A", "benchmarks.embedded.faena_app", "-c", str(processes)]


if __name__ == "__main__":
    main(FaenaSide())
