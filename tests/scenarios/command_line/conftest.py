"""A project in a folder of its own, and the command `faena` run in it as its user would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

FAENA = os.path.join(os.path.dirname(sys.executable), "faena")
DEADLINE_S = 30.0

TASKS = '''\
import time
from pathlib import Path

from faena import Faena

app = Faena("shop", task_default_retry_delay=0)


@app.task
def add(x: int, y: int = 1) -> int:
    return x + y


@app.task
def greet(name: str) -> str:
    return f"hello {name}"


@app.task
def fail(text="no"):
    raise ValueError(text)


@app.task(ignore_result=True)
def quiet():
    pass


@app.task(bind=True)
def steps(self, count: int):
    for number in range(count):
        self.update_state(state="PROGRESS", meta={"current": number + 1, "total": count, "text": "counting"})
        time.sleep(0.15)
    return count


@app.task(queue="slow")
def hold(path: str) -> str:
    """Run until the file is there."""
    Path(path + ".started").touch()
    while not Path(path).exists():
        time.sleep(0.02)
    return "let go"
'''


class Project:
    """A folder with tasks.py, and what its user does there."""

    def __init__(self, folder: Path, text: str = TASKS) -> None:
        self.folder = folder
        (folder / "tasks.py").write_text(text)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FAENA_", "PYTEST_"))}
        return {**kept, "NO_COLOR": "1", **more}

    def run(self, *words: str, stdin: str | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, without a terminal."""
        given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            [FAENA, *words], cwd=self.folder, env=self.environment(**environ), capture_output=True, text=True,
            timeout=DEADLINE_S, **given,
        )  # fmt: skip

    def ok(self, *words: str, **environ: str) -> str:
        """Run the command, which must succeed; return what it printed."""
        done = self.run(*words, **environ)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def json(self, *words: str) -> object:
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words: str, code: int = 2, **environ: str) -> str:
        """Run the command, which must fail with `code`; return what it said."""
        done = self.run(*words, **environ)
        assert (done.returncode, done.stdout) == (code, ""), done
        return done.stderr.rstrip("\n")

    @contextmanager
    def worker(self, *words: str):
        """A worker that is ready; it stops at the end, and must do so with exit code 0."""
        process = subprocess.Popen(
            [FAENA, "worker", "-c", "1", *words], cwd=self.folder, env=self.environment(), text=True,
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if " is ready: " in line:
                    break
            else:
                pytest.fail(f"the worker did not start: {''.join(said)}")
            yield process
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 0
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def until(condition):
    """Wait for something that nobody will tell us of."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def working(tmp_path_factory):
    """A project whose worker runs; its tests leave the queues as they found them."""
    project = Project(tmp_path_factory.mktemp("working"))
    with project.worker("-Q", "default,slow"):
        yield project
