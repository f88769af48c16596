"""A Redis of the benchmark's own: on a free port of the loopback, without persistence, in a folder that goes with it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager


class NoServer(Exception):
    """There is no redis-server, or it did not start."""


@contextmanager
def server() -> Iterator[int]:
    """Start it; yield its port; stop it."""
    program = shutil.which("redis-server")
    if program is None:
        raise NoServer("redis-server was not found on the PATH")
    with tempfile.TemporaryDirectory(prefix="faena-bench-redis-") as folder:
        port = _free_port()
        argv = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no",
                "--loglevel", "warning"]  # fmt: skip
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def command(port: int, *words: str) -> bytes:
    """Send one command whose answer is short; return the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(" ".join(words).encode() + b"\r\n")
        return link.recv(4096)


def version(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(b"INFO server\r\n")
        text = link.recv(65536).decode()
    return next(line.partition(":")[2] for line in text.splitlines() if line.startswith("redis_version"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            if command(port, "PING").startswith(b"+PONG"):
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise NoServer("redis-server did not answer within 10 s")
        time.sleep(0.02)
