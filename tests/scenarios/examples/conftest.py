"""A copy of an example, with a real worker beside it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
FAENA = os.path.join(sysconfig.get_path("scripts"), "faena")
STOP_WITHIN_S = 40


class Project:
    """One example in a folder of its own, with an embedded database of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / name
        shutil.copytree(EXAMPLES / name, self.folder)
        (self.folder / "faena.toml").write_text("")  # the project ends here, whatever stands further up
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith("FAENA_") and name != "PYTHONPATH"
        }
        self._workers: list[tuple[subprocess.Popen[bytes], Path]] = []

    def start_worker(self, *options: str) -> None:
        log = self.folder / f"worker-{len(self._workers)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [FAENA, "worker", *options], cwd=self.folder, env=self.environ, stdout=output, stderr=output
            )
        self._workers.append((process, log))

    def run(self, *words: str, code: int = 0, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder: `python ...` or `faena ...`."""
        program = {"python": sys.executable, "faena": FAENA}[words[0]]
        done = subprocess.run(
            [program, *words[1:]], cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=timeout_s
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done

    def stop_workers(self) -> None:
        for process, _ in self._workers:
            process.send_signal(signal.SIGTERM)
        codes = []
        for process, _ in self._workers:
            try:
                codes.append(process.wait(STOP_WITHIN_S))
            except subprocess.TimeoutExpired:
                process.kill()
                codes.append(process.wait())
        assert codes == [0] * len(codes), self.logs()

    def logs(self) -> str:
        """Return what the workers have written."""
        return "\n".join(f"{log.name}:\n{log.read_text()}" for _, log in self._workers)


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """Copy the example that the test module is named after: test_examples_<name>.py."""
    found = Project(request.module.__name__.rpartition("test_examples_")[2], tmp_path)
    yield found
    found.stop_workers()


@pytest.fixture
def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
