"""Long tasks on brokers that lend a message for a bounded time only (`Capabilities.longest_lease_s`).

A delivery that has been held for half of that time is taken into custody: its message is kept in the backend, parked there
until a moment that is put off again and again, and acknowledged to the broker, which forgets it.

    held ──half of the time──▶ parked in the backend, then acknowledged ──ends──▶ settled in nobody's hand, unparked
                                   │
                                   └─ nobody puts the moment off: its worker is gone ──▶ published again by the scheduler

The supervisor puts the moment off, which no task can hold up. A crash between parking and acknowledging leaves the message
in both places: it is delivered twice then. Without a backend nothing can be done, and the log says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from faena.app.links import Link
from faena.backend import Completion, has_backend
from faena.broker import Consumer
from faena.engine.notes import RETURNED
from faena.errors import NotSupported
from faena.model.delivery import Ack, Delivery, Malformed
from faena.model.journal import Parked

log = logging.getLogger("faena.worker")

_LEASES = 4  # of the worker's: so long the moment is put off each time
_EVENT = "\0custody/"  # no event is called so


class Custody:
    """What one process holds of a broker that lends for a bounded time."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Delivery, float]] = {}  # since when, monotonic
        self._kept: set[str] = set()

    def took(self, batch: Iterable[Delivery | Malformed]) -> None:
        now_s = time.monotonic()
        for item in batch:
            if isinstance(item, Delivery):
                self._held[item.message.id] = (item, now_s)

    def lost_connection(self) -> None:
        """Forget what the broker has given to others; what is in custody is ours still."""
        self._held.clear()

    def acknowledged(self, deliveries: Iterable[Delivery]) -> None:
        """Take in what the broker has forgotten already, and nobody else keeps."""
        for delivery in deliveries:
            self._held.pop(delivery.message.id, None)
            self._kept.add(delivery.message.id)

    def prepared(self, completion: Completion) -> Completion:
        """Return the completion of what may be in custody: its delivery is in nobody's hand then."""
        settlement = completion.settlement
        delivery = settlement.delivery
        if not isinstance(delivery, Delivery) or delivery.message.id not in self._kept:
            return completion
        return replace(completion, settlement=replace(settlement, delivery=replace(delivery, grip=None)))

    async def ended(self, link: Link, completions: Sequence[Completion]) -> None:
        """Let go of what has ended."""
        ids = [
            item.settlement.delivery.message.id for item in completions if isinstance(item.settlement.delivery, Delivery)
        ]
        kept = [task_id for task_id in ids if task_id in self._kept]
        if kept and has_backend(link.backend):
            await link.backend.journal.unpark(kept)
        self._kept.difference_update(kept)
        for task_id in ids:
            self._held.pop(task_id, None)

    async def look(self, link: Link, consumer: Consumer, lease_s: float) -> None:
        """Take into custody what the broker would take back before long."""
        longest_s = link.broker.capabilities.longest_lease_s
        if longest_s is None:
            return
        now_s = time.monotonic()
        for task_id, (delivery, since_s) in list(self._held.items()):
            if now_s - since_s < longest_s / 2:
                break  # they came in this order
            del self._held[task_id]
            await self._keep(link, consumer, delivery, lease_s)

    async def _keep(self, link: Link, consumer: Consumer, delivery: Delivery, lease_s: float) -> None:
        message = delivery.message
        headers = {**(message.headers or {}), RETURNED: True}  # for who runs it again
        back = replace(message, headers=headers, expires_at_s=None)  # it has begun in time
        parked = Parked(back, _EVENT + message.id, time.time() + _LEASES * lease_s)
        try:
            (is_kept,) = await link.backend.journal.park([parked])
        except NotSupported:
            log.warning(
                "task %s runs for so long that its broker will give it to others; a result backend would keep it",
                message.id,
            )
            return
        if not is_kept:  # it is revoked, or nobody wants it any more
            return
        (is_ours,) = await consumer.settle([Ack(delivery)])
        if is_ours:
            self._kept.add(message.id)
        else:  # the broker has taken it back meanwhile
            await link.backend.journal.unpark([message.id])


async def put_off(link: Link, task_ids: Sequence[str], lease_s: float) -> None:
    """Put off the moment of those that are in custody among these, which run."""
    if task_ids and link.broker.capabilities.longest_lease_s is not None:
        try:
            await link.backend.journal.postpone(task_ids, time.time() + _LEASES * lease_s)
        except NotSupported:  # there is no backend
            return
