"""Metrics of a worker: what its processes have counted, those that are gone included, served to Prometheus.

Counters never go backwards: what a process has said last is kept when it has ended. Each says it a second after something
has happened, and once more at its end, so that one that is killed takes a second's worth along.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from faena.app.links import Link
from faena.app.pausing import statuses
from faena.errors import BackendError, BrokerError, StorageError
from faena.model.delivery import QueueStatus
from faena.telemetry.metrics import Tally
from faena.worker.endpoint import Endpoint, Page
from faena.worker.handle import ENDS_OF_PROCESSES, ProcessHandle, ProcessState
from faena.worker.wire import Counted, Hello

log = logging.getLogger("faena.worker")

_ANSWER_WITHIN_S = 0.5  # processes, and the broker: a page that lacks a number is worth more than one that comes too late
_CLOSED_WITHIN_S = 1.0
_TRY_AGAIN_S = 5.0
_BROKEN = (BrokerError, BackendError, StorageError, OSError)


class Measured(Protocol):
    """What is measured: the supervisor."""

    name: str
    processes: list[ProcessHandle]
    started_at_s: float
    hello: Hello | None

    @property
    def link(self) -> Link: ...
    @property
    def queues(self) -> tuple[str, ...]: ...
    def wanted_processes(self) -> int: ...
    @property
    def events_told(self) -> tuple[int, int]: ...
    def health(self) -> tuple[bool, dict[str, Any]]: ...


class Measuring:
    """The metrics of one worker."""

    def __init__(self, worker: Measured) -> None:
        self._worker = worker
        self._said: dict[ProcessHandle, Counted] = {}  # of processes that live
        self._before = Tally()  # of those that have ended
        self._events_before = (0, 0)  # likewise: sent and dropped
        self._starts = 0
        self._ends: Counter[str] = Counter(dict.fromkeys(ENDS_OF_PROCESSES, 0))
        self._looking: asyncio.Task[Sequence[QueueStatus] | None] | None = None

    # -- what happens to processes -------------------------------------------------------------------------

    def started(self) -> None:
        self._starts += 1

    def counted(self, handle: ProcessHandle, counted: Counted) -> None:
        """Take what a process has counted since it began."""
        self._said[handle] = counted

    def ended(self, how: str) -> None:
        self._ends[how] += 1

    async def close(self, handle: ProcessHandle) -> None:
        """Let go of a process that has ended, as soon as its last words are heard."""
        try:
            async with asyncio.timeout(_CLOSED_WITHIN_S):  # what it has forked may hold the other end open
                await handle.is_silent.wait()
        except TimeoutError:
            pass
        finally:
            said = self._said.pop(handle, Counted(()))
            self._before.add(said.rows)
            self._events_before = _sum([self._events_before, said.events])
            handle.close()

    # -- serving -------------------------------------------------------------------------------------------

    async def serve_forever(self, settings: Mapping[str, Any]) -> None:
        """Answer scrapes where a port is set. One that is taken is tried again: its worker may be about to leave."""
        host, port = settings["worker_metrics_host"], settings["worker_metrics_port"]
        if port is None:
            return
        shown = f"[{host}]" if ":" in host else host
        told = ""
        while True:
            try:
                await Endpoint(host, port, self._page).serve_forever(
                    lambda bound: log.info("metrics are at http://%s:%d/metrics", shown, bound)
                )
            except OSError as error:
                if str(error) != told:
                    told = str(error)
                    log.error(
                        "no metrics at %s:%d: %s. Give each worker of a machine a port of its own: --metrics-port N, or 0 "
                        "for any that is free. It is tried again every %.0f s", shown, port, told, _TRY_AGAIN_S,
                    )  # fmt: skip
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _page(self, path: bytes, headers: Mapping[bytes, bytes]) -> Page:
        if path != b"/metrics":
            return Page("404 Not Found", "text/plain; charset=utf-8", b"metrics are at /metrics\n")
        from faena.telemetry.exposition import exposed  # a few MiB, for those who serve metrics only

        figures = await self._figures()
        content, body = exposed(figures, headers.get(b"accept", b"").decode("latin-1"))
        return Page("200 OK", content, body)

    async def _figures(self) -> Any:
        from faena.telemetry.exposition import Figures, ProcessFigures

        worker = self._worker
        assert worker.hello is not None
        handles = [each for each in worker.processes if each.state is not ProcessState.STARTING]
        queues, answers = await asyncio.gather(
            self._queues(), asyncio.gather(*(each.ask("held", {}, _ANSWER_WITHIN_S) for each in handles))
        )
        held = {handle: None if answer is None else answer.value for handle, answer in zip(handles, answers, strict=True)}
        total = Tally()
        total.add(self._before.rows())
        for said in self._said.values():
            total.add(said.rows)
        coroutines = int(worker.hello.settings["worker_coroutines"])
        return Figures(
            worker=worker.name,
            app=worker.hello.app,
            host=os.uname().nodename,
            version=_version(),
            started_at_s=worker.started_at_s,
            now_s=time.time(),
            ready=worker.health()[0],
            wanted=worker.wanted_processes(),
            functions=worker.hello.slots - coroutines,
            coroutines=coroutines,
            rows=total.rows(),
            processes=[
                ProcessFigures(each.index, each.state.value, each.slots.header()[3], held.get(each), each.rss_kib() * 1024)
                for each in worker.processes
            ],
            starts=self._starts,
            ends=dict(self._ends),
            queues=queues,
            events=_sum([self._events_before, worker.events_told, *(said.events for said in self._said.values())]),
        )

    async def _queues(self) -> Sequence[QueueStatus] | None:
        """Return what there is in the queues that this worker takes from, if the broker says so in time."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
        looking = self._looking  # shared by scrapes at once, and never broken off: others use the connection
        await asyncio.wait({looking}, timeout=_ANSWER_WITHIN_S)
        if not looking.done():
            return None
        if self._looking is looking:
            self._looking = None
        return looking.result()

    async def _look(self) -> Sequence[QueueStatus] | None:
        taken_from = set(self._worker.queues)
        try:
            return [each for each in await statuses(self._worker.link) if each.name in taken_from]
        except _BROKEN as error:
            log.debug("asking for the queues, for a page of metrics: %s", error)
            return None


def _sum(pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(one for one, _ in pairs), sum(two for _, two in pairs)


@cache
def _version() -> str:
    from importlib.metadata import version  # slow, and for those who serve metrics only

    return version("faena")
