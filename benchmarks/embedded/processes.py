"""A tree of processes seen from outside: its members, CPU time, memory, and its end. Linux only (/proc)."""

from __future__ import annotations

import os
import signal
import subprocess
import time


def tree(pid):
    """Return `pid` and all its descendants that are alive."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # it ended meanwhile
    members, found = {pid}, True
    while found:
        found = {child for child, parent in parents.items() if parent in members} - members
        members |= found
    return sorted(members)


def cpu_s(pids):
    """Return the CPU seconds that the threads alive now in `pids` have used, to the microsecond."""
    total_ns = 0
    for pid in pids:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as file:
                    total_ns += int(file.read().split()[0])
            except OSError:
                continue
    return total_ns / 1e9


def pss_bytes(pids):
    """Return the proportional set size: private memory, and a fair share of what is shared."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                for line in file:
                    if line.startswith(b"Pss:"):
                        total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


class Worker:
    """A worker of some side, started as a command, with its output kept for the case that it fails."""

    def __init__(self, argv, log, stop_signal=signal.SIGTERM):
        self.log, self.stop_signal = log, stop_signal
        self.started = time.perf_counter()
        with open(log, "wb") as output:
            self.process = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def pids(self):
        return tree(self.process.pid)

    def check(self):
        """Raise when the worker has ended by itself."""
        if self.process.poll() is not None:
            with open(self.log, errors="replace") as file:
                raise RuntimeError(f"the worker ended with {self.process.returncode}:\n{file.read()[-4000:]}")

    def stop(self, timeout_s=15):
        self.check()
        members = self.pids
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the worker did not stop within {timeout_s} s") from None
        finally:
            for pid in members:  # what it left behind
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.process.wait()
