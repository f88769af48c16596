"""A process that only holds the scheduler's lease, for those who want one: `faena beat`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING

from faena.scheduler.loop import Scheduler

if TYPE_CHECKING:
    from faena.app.app import Faena

log = logging.getLogger("faena.scheduler")


def run_beat(app: Faena) -> int:
    """Take part in the scheduler until SIGTERM or Ctrl-C; return the exit code."""
    asyncio.run(_serve(app))
    return 0


async def _serve(app: Faena) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    scheduler = Scheduler(f"beat@{socket.gethostname()}:{os.getpid()}", app.links.asyncio, app=app)
    running = asyncio.create_task(scheduler.run_forever())
    log.info("beat is ready: %d schedules declared by app '%s'", len(app.declared.schedules()), app.main or "faena")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    stopping.cancel()
    ends = await asyncio.gather(running, stopping, return_exceptions=True)
    await app.aclose()
    if isinstance(ends[0], Exception):
        raise ends[0]
    log.info("beat has stopped")
