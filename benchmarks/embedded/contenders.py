"""Who is measured: how each is started, how much work it gets, and what it guarantees."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Contender:
    """One side in one configuration. The counts make a measurement last about a second each."""

    name: str
    module: str
    guarantees: str
    enqueue: int
    bulk: int | None  # None: it has no bulk call
    drain: int
    live: int  # tasks run between the two readings of memory
    environment: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable
    is_peer: bool = False


FLOOR = Contender(
    "floor",
    "benchmarks.embedded.floor",
    "Results kept. Acknowledged after the run, in one transaction with the result. kill -9 loses nothing. WAL, "
    "synchronous=NORMAL. No retries, limits, routing, revocation, log or leases: what a dead process held goes back "
    "when a worker starts.",
    enqueue=12_000,
    bulk=60_000,
    drain=40_000,
    live=20_000,
)
FAENA = Contender(
    "faena",
    "benchmarks.embedded.faena_side",
    "Results kept. Acknowledged after the run, in one transaction with the result. kill -9 loses nothing, and what a "
    "dead process held goes back at once (its supervisor sees it) or when the lease ends. WAL, synchronous=NORMAL. "
    "Default settings, started by `faena worker`.",
    enqueue=10_000,
    bulk=40_000,
    drain=30_000,
    live=20_000,
)
_HUEY = (
    "Results kept until read once. Acknowledged BEFORE the run: the task is deleted when it is taken, so kill -9 loses "
    "what is running. "
)


def huey_contenders(python: str) -> tuple[Contender, ...]:
    def huey(name: str, text: str, **environment: str) -> Contender:
        counts = {"enqueue": 1_000, "bulk": None, "drain": 1_000, "live": 500}
        return Contender(
            name,
            "benchmarks.embedded.huey_side",
            _HUEY + text,
            **counts,
            environment=environment,
            python=python,
            is_peer=True,
        )

    return (
        huey("huey", "As it is installed: WAL, synchronous=FULL, polling from 0.1 s up.", BENCH_HUEY_FSYNC="default"),
        huey(
            "huey, tuned",
            "With fsync=False (synchronous=OFF: less safe than NORMAL when the machine stops) and polling each 1 ms.",
            BENCH_HUEY_FSYNC="off",
            BENCH_HUEY_POLL_S="0.001",
        ),
    )


def peers_python() -> str:
    """Return the interpreter of the peers' own environment, made with the group `bench` when it is not there."""
    folder = Path(sys.prefix) / "peers"
    python, stamp = folder / "bin" / "python", folder / "installed"
    group = (ROOT / "pyproject.toml").read_text()
    if not stamp.exists() or stamp.read_text() != group:
        print("setting up huey in an environment of its own ...", file=sys.stderr)
        venv.create(folder, symlinks=True, clear=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--group", "bench"], cwd=ROOT, check=True)
        stamp.write_text(group)
    return str(python)


def environment_of(contender: Contender) -> dict[str, str]:
    """Return the environment its processes get: nothing of ours may configure it by accident."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **contender.environment}
