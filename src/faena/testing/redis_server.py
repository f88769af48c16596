"""A Redis (or Valkey) server of a test's own, on a free port of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_S = 20.0
_SERVERS = ("redis-server", "valkey-server")
SERVER_VARIABLE = "FAENA_TEST_REDIS_SERVER"  # path of the server to test with, instead of the one on the PATH


def redis_server_binary() -> str | None:
    """Return the path of a server on this machine, first the one that FAENA_TEST_REDIS_SERVER names. None: none."""
    if named := os.environ.get(SERVER_VARIABLE):
        return named
    return next((found for name in _SERVERS if (found := shutil.which(name))), None)


class RedisServer:
    """One server process. Data and log lie in `folder`; `options` are those of its command line."""

    def __init__(self, folder: str | os.PathLike[str], *options: str, binary: str | None = None, port: int = 0) -> None:
        found = binary or redis_server_binary()
        if found is None:
            raise FileNotFoundError(f"none of {', '.join(_SERVERS)} is on the PATH")
        self.folder, self.options, self._binary = os.fspath(folder), options, found
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, loaded: bool = True) -> RedisServer:
        """Start it; return when it takes connections, and has loaded its data, unless that is not to be waited for."""
        log = os.path.join(self.folder, "redis.log")
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--logfile", log]
        if "--save" not in self.options:
            command += ["--save", ""]
        self._process = subprocess.Popen([*command, *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _PATIENCE_S
        while not self._listens(loaded=loaded):
            if self._process.poll() is not None or time.monotonic() > deadline:
                with open(log, encoding="utf-8", errors="replace") as file:
                    raise RuntimeError(f"the server did not start:\n{file.read()[-2000:]}")
            time.sleep(0.01)
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; SIGKILL leaves it no time to save."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            process.wait(_PATIENCE_S)

    def restart(self, number: int = signal.SIGTERM, *, loaded: bool = True) -> None:
        self.stop(number)
        self.start(loaded=loaded)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Let it stand still: connections stay open, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def _listens(self, *, loaded: bool) -> bool:
        port = self.port
        if "--port" in self.options:
            port = int(self.options[self.options.index("--port") + 1]) or int(
                self.options[self.options.index("--tls-port") + 1]
            )
        with socket.socket() as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(("127.0.0.1", port))
                # Whatever it says to that, as "no TLS": it is at work then, and listens on its other sockets, too.
                probe.sendall(b"PING\r\n")
                said = probe.recv(64)
                return not (loaded and said.startswith(b"-LOADING"))
            except (ConnectionRefusedError, TimeoutError):
                return False
            except ConnectionError:
                return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
