"""Results, for those who wait: pushed by the backend, never polled."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from faena._lib.drive import run
from faena.app.links import Link, Links
from faena.app.workflows import AppWorkflows
from faena.backend import Watch
from faena.codecs.registry import Codecs
from faena.model.result import ResultRecord
from faena.model.workflow import UNENDED_STATES
from faena.tasks.dispatcher import Workflows

if TYPE_CHECKING:
    from faena.app.control import Control


class AppResults:
    """Reads results through the links of one app. See `faena.tasks.dispatcher.Results`."""

    def __init__(self, links: Links, codecs: Codecs, control: Callable[[], Control], workflows: AppWorkflows) -> None:
        self._links, self._control = links, control
        self.workflows: Workflows = workflows
        self.decode: Callable[[str, bytes], Any] = codecs.decode

    def read(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]:
        return run(self._links.blocking().backend.read(ids))

    async def aread(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]:
        return await (await self._links.asyncio()).backend.read(ids)

    def is_known(self, task_id: str) -> bool | None:
        return run(_is_known(self._links.blocking(), task_id))

    async def ais_known(self, task_id: str) -> bool | None:
        return await _is_known(await self._links.asyncio(), task_id)

    def soon(self, task_id: str, timeout_s: float) -> ResultRecord | None:
        held = self._links.local.held
        if held is None or not held.link.idle_watches:
            return None
        watches = held.link.idle_watches
        watch: Any = watches.pop()
        try:
            record: ResultRecord | None = watch.soon(task_id, timeout_s) if hasattr(watch, "soon") else None
        finally:
            watches.append(watch)
        return record

    def wait(self, ids: Iterable[str], timeout_s: float | None) -> Iterator[ResultRecord]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        link = self._links.blocking()
        watch = link.idle_watches.pop() if link.idle_watches else link.backend.watch()
        pending = set(ids)
        try:
            records = run(watch.add(list(pending)))
            while True:
                yield from _seen(records, pending)
                if not pending:
                    return
                changed = run(watch.changed(_left_s(deadline)))
                if not changed and deadline is not None and time.monotonic() >= deadline:
                    return
                records = run(link.backend.read(changed)) if changed else ()
        finally:
            run(_leave(watch, pending))
            link.idle_watches.append(watch)

    async def await_(self, ids: Iterable[str], timeout_s: float | None) -> AsyncIterator[ResultRecord]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        link = await self._links.asyncio()
        watch = link.idle_watches.pop() if link.idle_watches else link.backend.watch()
        pending = set(ids)
        try:
            records = await watch.add(list(pending))
            while True:
                for record in _seen(records, pending):
                    yield record
                if not pending:
                    break
                changed = await watch.changed(_left_s(deadline))
                if not changed and deadline is not None and time.monotonic() >= deadline:
                    break
                records = await link.backend.read(changed) if changed else ()
        except BaseException:
            await watch.close()  # cancelled in the middle: what it was waiting for is not known
            raise
        await _leave(watch, pending)
        link.idle_watches.append(watch)

    def forget(self, ids: Sequence[str]) -> int:
        return run(self._links.blocking().backend.forget(ids))

    async def aforget(self, ids: Sequence[str]) -> int:
        return await (await self._links.asyncio()).backend.forget(ids)

    def revoke(self, ids: Sequence[str], *, terminate: bool, signal: str) -> None:
        self._control().revoke(ids, terminate=terminate, signal=signal)

    async def arevoke(self, ids: Sequence[str], *, terminate: bool, signal: str) -> None:
        await self._control().arevoke(ids, terminate=terminate, signal=signal)


async def _is_known(link: Link, task_id: str) -> bool | None:
    can = link.broker.capabilities
    if not can.locates:
        return None
    if (await link.broker.locate([task_id]))[0] is not None:
        return True
    workflow, _, number = task_id.rpartition(".")  # of a node that waits for others, no message stands anywhere
    unknown = False if can.finds_all else None
    if not workflow or not number.isdigit():
        return unknown
    nodes = await link.backend.workflows.nodes(workflow, [int(number)])
    if not nodes:
        return unknown
    return nodes[0].standing.state in UNENDED_STATES  # of one that has ended, the result was forgotten


def _seen(records: Iterable[ResultRecord | None], pending: set[str]) -> Iterator[ResultRecord]:
    for record in records:
        if record is not None and record.id in pending:
            if record.is_terminal:
                pending.discard(record.id)
            yield record


def _left_s(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


async def _leave(watch: Watch, pending: set[str]) -> None:
    if pending:
        await watch.remove(list(pending))
