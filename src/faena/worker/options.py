"""What a worker is told by its command line, and each of its processes."""

from __future__ import annotations

import os
import socket
from typing import Any

from msgspec import Struct

from faena.model.turns import USUAL, Taking


class WorkerOptions(Struct, frozen=True):
    """`overrides` are settings by name, said on the command line; they go before what the app says."""

    app: str | None = None  # as of -A
    workdir: str = "."
    queues: tuple[str, ...] = ()
    exclude_queues: tuple[str, ...] = ()
    hostname: str | None = None  # may hold %h (host), %n (host's first part) and %i (a number)
    overrides: dict[str, Any] = {}
    reload: bool = False
    spawn: bool = False  # every process is an interpreter of its own, not a fork of the template
    pidfile: str | None = None

    def name(self) -> str:
        """Return the worker's name, such as `faena@host`."""
        host = socket.gethostname()
        pattern = self.hostname or "faena@%h"
        if "@" not in pattern:
            pattern += "@%h"
        return pattern.replace("%h", host).replace("%n", host.partition(".")[0]).replace("%i", str(os.getpid()))


class CoreOptions(Struct, frozen=True):
    """What one process needs to know, resolved."""

    holder: str
    queues: tuple[str, ...]
    hostname: str
    threads: int = 1
    coroutines: int = 100
    prefetch: int | None = None
    max_tasks: int | None = None
    crash_limit: int = 3
    acks_late: bool = True
    track_started: bool = False
    soft_time_limit_s: float | None = None
    time_limit_s: float | None = None
    schedules: bool = True  # takes part in holding the scheduler's lease
    taking: Taking = USUAL
