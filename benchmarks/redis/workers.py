"""The workers of a side as their machine sees them, and its server: memory, CPU, end. Standard library only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager

from benchmarks.embedded.processes import cpu_s, pss_bytes, tree

__all__ = ["Workers", "cpu_s", "monitor", "pss_bytes", "server_stat"]


class Workers:
    """The commands that make up one worker, with their output kept for the case that it fails."""

    def __init__(self, commands, stop_signal=signal.SIGTERM, log="worker.log"):
        self.log, self.stop_signal = log, stop_signal
        self.started = time.perf_counter()
        with open(log, "wb") as output:
            self.processes = [
                subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, start_new_session=True) for argv in commands
            ]

    @property
    def pids(self):
        return sorted({pid for process in self.processes for pid in tree(process.pid)})

    def check(self):
        """Raise when one of them has ended by itself."""
        for process in self.processes:
            if process.poll() is not None:
                with open(self.log, errors="replace") as file:
                    raise RuntimeError(f"the worker ended with {process.returncode}:\n{file.read()[-4000:]}")

    def stop(self, timeout_s=15):
        """Stop it in peace; what has not ended in time is ended by force, and what it left behind, too."""
        members = self.pids
        deadline = time.monotonic() + timeout_s
        for process in self.processes:
            process.send_signal(self.stop_signal)
        try:
            for process in self.processes:
                process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            for pid in members:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            for process in self.processes:
                process.wait()


def server_stat(port):
    """Return the CPU seconds that the server has used, and the broker beside it, where there is one."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.sendall(b"*1\r\n$4\r\nINFO\r\n")
        data = b""
        while b"\r\n" not in data or len(data) < int(data[1 : data.index(b"\r\n")]):
            data += link.recv(65536)
    facts = dict(line.split(":", 1) for line in data.decode().splitlines() if ":" in line)
    broker = [int(pid) for pid in os.environ.get("BENCH_BROKER_PID", "").split()]
    return {"cpu_s": float(facts["used_cpu_user"]) + float(facts["used_cpu_sys"]) + cpu_s(broker)}


@contextmanager
def monitor(port):
    """Watch what the server does; the function that is yielded counts commands of clients, and those inside scripts."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.sendall(b"*1\r\n$7\r\nMONITOR\r\n")
        link.recv(5)  # +OK

        def counts():
            link.setblocking(False)
            data = b""
            try:
                while part := link.recv(1 << 20):
                    data += part
            except BlockingIOError:
                pass
            lines = [line for line in data.split(b"\r\n") if line.startswith(b"+")]
            inside = sum(b" lua]" in line for line in lines)
            return len(lines) - inside, inside

        yield counts
