"""A RabbitMQ of the benchmark's own: one node on free ports of the loopback, in a folder that goes with it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PROGRAMS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")  # Debian's wrapper changes the user
_STARTING_S, _STOPPING_S = 60, 20


class NoServer(Exception):
    """There is no rabbitmq-server, or it did not start."""


@dataclass(frozen=True)
class Server:
    url: str
    pid: int
    version: str


@contextmanager
def server() -> Iterator[Server]:
    """Start it; yield where it is; stop it."""
    program = next((found for found in map(shutil.which, _PROGRAMS) if found), None)
    if program is None:
        raise NoServer("rabbitmq-server was not found")
    with tempfile.TemporaryDirectory(prefix="faena-bench-rabbitmq-") as folder:
        port, other = _free_ports(2)
        pid_file = Path(folder) / "pid"
        log = Path(folder) / "out"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program], env=_environment(folder, port, other), cwd=folder, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        try:
            url = f"amqp://guest:guest@127.0.0.1:{port}/"
            version = _wait_for(process, url, log)
            yield Server(url, int(pid_file.read_text()), version)
        finally:
            _stop(process, pid_file)


def empty(url: str, queues: Sequence[str]) -> None:
    """Delete queues, with what is in them."""
    asyncio.run(_delete(url, queues))


async def _delete(url: str, queues: Sequence[str]) -> None:
    import aiormq

    connection = await aiormq.connect(url)
    channel = await connection.channel()
    for queue in queues:
        await channel.queue_delete(queue)
    await connection.close()


def _environment(folder: str, port: int, other: int) -> dict[str, str]:
    Path(folder, "plugins").write_text("[].\n")
    Path(folder, "rabbitmq.conf").write_text("\n")
    return {
        "PATH": os.environ["PATH"],
        "HOME": folder,
        "RABBITMQ_NODENAME": f"faena-bench-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(other),
        "RABBITMQ_MNESIA_BASE": f"{folder}/data",
        "RABBITMQ_LOG_BASE": f"{folder}/log",
        "RABBITMQ_PID_FILE": f"{folder}/pid",
        "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
        "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> str:
    """Return its version once it answers."""
    deadline = time.monotonic() + _STARTING_S
    while True:
        try:
            return asyncio.run(_version(url))
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoServer(f"rabbitmq-server did not start: {log.read_text(errors='replace')[-500:]}") from None
        time.sleep(0.2)


async def _version(url: str) -> str:
    import aiormq

    connection = await aiormq.connect(url)
    version = connection.server_properties["version"]  # type: ignore[attr-defined]
    await connection.close()
    return str(version)


def _stop(process: subprocess.Popen[bytes], pid_file: Path) -> None:
    """Let the node stop in peace; what has not ended in time is ended by force."""
    with suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
    try:
        process.wait(_STOPPING_S)
    except subprocess.TimeoutExpired:
        pass
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
