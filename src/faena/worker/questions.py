"""What a process answers when remote control asks."""

from __future__ import annotations

import os
import resource
from typing import Any

import msgspec

from faena._lib.plain import plain
from faena.errors import FaenaError, did_you_mean
from faena.model.control import Order
from faena.worker.core import Core


def answer(core: Core, name: str, arguments: dict[str, Any]) -> Any:
    """Return the answer of this process. Raises FaenaError: the question is unknown."""
    match name:
        case "active":
            return core.active()
        case "reserved":
            return core.reserved()
        case "held":
            return len(core.held())
        case "registered":
            return sorted(core.app.tasks)
        case "conf":
            return {row.name: plain(row.value) for row in core.app.conf.explain()}
        case "stats":
            used = resource.getrusage(resource.RUSAGE_SELF)
            return {
                "pid": os.getpid(),
                "done": core.done_count,
                "failed": core.failed_count,
                "cpu_s": round(used.ru_utime + used.ru_stime, 3),
                "max_rss_kib": used.ru_maxrss,
            }
        case "knows":
            return arguments["task"] in core.app.tasks
        case "commands":
            return [command.describe() for command in core.app.control.commands.values()]
        case "consume":
            return core.consume(arguments["queues"])
        case "order":
            return core.obey(msgspec.convert(arguments["order"], Order))
        case "limits":
            return core.look_at_limits()
        case "withdraw":
            return core.withdraw(str(arguments["kind"]), [str(name) for name in arguments["names"]])
    known = ("active", "reserved", "registered", "conf", "stats")
    raise FaenaError(f"unknown question '{name}'{did_you_mean(name, known)}; arguments: {sorted(arguments)}")
