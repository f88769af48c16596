"""Copies of broadcasts for workers that are gone: they end when their time is over, so that nobody waits for them for ever.

A worker that is there lets its own expire. One that has come back under its name runs what has not expired.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from faena.app.links import Link
from faena.broker import opened_home
from faena.engine.attempt import Ended
from faena.engine.completion import Completer, FourSteps
from faena.engine.outcome import Revoked
from faena.model.delivery import Delivery, Malformed, Release
from faena.model.queue import COPY_MARK, broadcasts_in

if TYPE_CHECKING:
    from faena.app.app import Faena

_EVERY_S = 30.0
_LEASE_S = 30.0
_AT_ONCE = 100


class Copies:
    """Looks after the copies of an app's broadcasts. Costs nothing where it declares none."""

    def __init__(self, app: Faena, *, every_s: float = _EVERY_S) -> None:
        self._app, self._every_s, self._next_s = app, every_s, 0.0

    async def sweep(self, link: Link) -> int:
        """End what has expired and waits for nobody, unless that was done a moment ago; return how many ended."""
        broadcasts = broadcasts_in(self._app.queues)
        if not broadcasts or time.monotonic() < self._next_s:
            return 0
        self._next_s = time.monotonic() + self._every_s
        present = {info.name for info in await link.backend.mailbox.workers()}
        ended = 0
        for status in await link.broker.queues.status():
            queue, mark, worker = status.name.partition(COPY_MARK)
            if mark and queue in broadcasts and worker not in present and status.waiting:
                ended += await self._end(link, status.name)
        return ended

    async def _end(self, link: Link, queue: str) -> int:
        app, now_s = self._app, self._app.clock()
        home = await opened_home(link.broker, queue)
        holder = await home.leases.open_holder("scheduler", _LEASE_S)
        consumer = home.consumer(holder, [queue])
        try:
            batch: Sequence[Delivery | Malformed] = await consumer.receive(_AT_ONCE, 0.0)
            over = [item for item in batch if isinstance(item, Delivery) and _is_over(item, now_s)]
            completer = Completer(app.codecs, app.sender, app.rules(), app.tasks, clock=app.clock)
            outcome = Revoked("expired before it began: its worker is gone")
            completions = [
                completer.complete(Ended(item, outcome, app.tasks.get(item.message.task)), outcome)[0] for item in over
            ]
            settler = link.backend.joint(link.broker, holder) or FourSteps(link.broker, consumer, link.backend)
            if completions:
                await settler.complete(completions)
            await consumer.settle([Release(item) for item in batch if isinstance(item, Delivery) and item not in over])
            return len(over)
        finally:
            await consumer.close()
            await home.leases.recover(holder, {})


def _is_over(item: Delivery, now_s: float) -> bool:
    return item.message.expires_at_s is not None and item.message.expires_at_s <= now_s
