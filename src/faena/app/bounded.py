"""Sending to queues that have a bound: what becomes of a message for which there is no room.

    reject        QueueFull; of several calls none was sent
    block         tried again, with a growing pause, within `task_publish_timeout`
    drop-oldest   what has waited longest is taken out and ends as REVOKED, then this one is sent
    spill         it goes to another queue, under the rules of that

A message is dropped as a worker would drop it: it is handed to a holder of ours, and its end is recorded in the step that
lets go of it. So a sender that dies on the way loses nothing: the message goes back when the lease ends.

Only who sends minds a bound. What workers send on (retries, the steps of workflows, links) is never refused.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from faena._lib.deadline import deadline
from faena._lib.drive import run
from faena.app.links import Link
from faena.app.publishing import check_size, patience_s, timeout_s
from faena.broker import home_of, opened_home
from faena.errors import BrokerUnavailable, NotSupported, PublishedInPart, QueueFull
from faena.model.delivery import Bury, DeadReason, Delivery
from faena.model.message import Message
from faena.model.queue import Queue

if TYPE_CHECKING:
    from faena.app.app import Faena

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.25
_LEASE_S = 30.0
_IN_VAIN = 10  # workers took what was to be dropped, and others the room that made; or limits hold it back, which stays


def publish_bounded(app: Faena, messages: Sequence[Message], options: Mapping[str, Any]) -> None:
    """Send messages, some of which go to queues that have a bound.

    Raises QueueFull: nothing was sent; PublishedInPart; BrokerUnavailable.
    """

    async def link() -> Link:
        return app.links.blocking()

    async def pause(pause_s: float) -> None:
        time.sleep(pause_s)  # noqa: ASYNC251 - the caller blocks, and drives this by hand

    run(_Sending(app, messages, options, link, pause).send())


async def apublish_bounded(app: Faena, messages: Sequence[Message], options: Mapping[str, Any]) -> None:
    """Do as `publish_bounded`, without blocking the event loop."""
    import asyncio  # 50 ms that synchronous programs do not pay

    await _Sending(app, messages, options, app.links.asyncio, asyncio.sleep).send()


class _Sending:
    """One call's messages on their way."""

    def __init__(
        self,
        app: Faena,
        messages: Sequence[Message],
        options: Mapping[str, Any],
        link: Callable[[], Awaitable[Link]],
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._app, self._options, self._link, self._pause = app, options, link, pause
        self._queues: Mapping[str, Queue] = app.queues
        self._chosen = options.get("when_full")  # for the queues that the call names, not for those it spills to
        self._total = len(messages)
        self._messages = messages
        self._taken: set[str] = set()
        self._began_s = time.monotonic()

    async def send(self) -> None:
        # what may be refused goes first, together with what no bound concerns, so that a refusal finds nothing sent
        first = [each for each in self._messages if self._choice(each.queue, self._chosen) in (None, "reject")]
        if first:
            refused = await self._offer(first, whole=True)
            if refused:
                raise self._full(refused[0].queue)
        rest = [each for each in self._messages if self._choice(each.queue, self._chosen) not in (None, "reject")]
        await self._place(rest, self._chosen)

    def _choice(self, name: str, chosen: Any) -> Any:
        queue = self._queues.get(name)
        if queue is None or queue.max_length is None:
            return None
        return chosen or queue.when_full

    async def _place(self, messages: Sequence[Message], chosen: Any) -> None:
        """Send messages of queues, each of which has an answer to being full."""
        pause_s, in_vain = _FIRST_PAUSE_S, 0
        while messages:
            refused = await self._offer(messages, whole=False)
            spilled: list[Message] = []
            again: list[Message] = []
            is_waiting = False
            for message in refused:
                match self._choice(message.queue, chosen):
                    case "spill":
                        spilled.append(replace(message, queue=self._queues[message.queue].spill_to or message.queue))
                    case "drop-oldest":
                        again.append(message)
                    case "block":
                        again.append(message)
                        is_waiting = True
                    case _:
                        raise self._full(message.queue)
            if spilled:
                await self._place(spilled, None)
            for name in dict.fromkeys(each.queue for each in again if self._choice(each.queue, chosen) == "drop-oldest"):
                wanted = sum(each.queue == name for each in again)
                dropped = await self._drop(name, min(wanted, self._queues[name].max_length or 1))
                in_vain = 0 if dropped else in_vain + 1
                if in_vain > _IN_VAIN:
                    raise self._full(name)
            messages = again
            if is_waiting:
                if time.monotonic() + pause_s >= self._began_s + patience_s(self._app.conf, self._options):
                    raise self._full(next(each.queue for each in again if self._choice(each.queue, chosen) == "block"))
                await self._pause(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _offer(self, messages: Sequence[Message], *, whole: bool) -> list[Message]:
        """Offer messages to the broker, which may be away for a while; return those for which there is no room."""
        bounds = {
            each.queue: queue.max_length
            for each in messages
            if (queue := self._queues.get(each.queue)) is not None and queue.max_length is not None
        }
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                with deadline(self._began_s + (timeout_s(self._app.conf, self._options) or inf)):
                    broker = (await self._link()).broker
                    for name in bounds:
                        if not (home := home_of(broker, name)).capabilities.bounds:
                            raise cannot_bound(name, type(home).__name__)
                    check_size(broker.capabilities.largest_message_bytes, messages)
                    ids = frozenset(await broker.offer(messages, bounds, whole=whole))
            except (BrokerUnavailable, PublishedInPart) as error:
                if isinstance(error, PublishedInPart):
                    self._taken |= error.accepted
                    messages = [each for each in messages if each.id not in error.accepted]
                    whole = False  # a part of it is sent
                if time.monotonic() + pause_s >= self._began_s + patience_s(self._app.conf, self._options):
                    if self._taken:
                        raise PublishedInPart(self._taken, self._total) from error
                    raise
                await self._pause(pause_s)
                pause_s = min(pause_s * 2, 1.0)
            else:
                if not (whole and ids):
                    self._taken.update(each.id for each in messages if each.id not in ids)
                return [each for each in messages if each.id in ids]

    async def _drop(self, name: str, count: int) -> int:
        """End those that have waited longest; return how many."""
        from faena.engine.attempt import Ended  # brings the engine: 20 ms that a client seldom needs
        from faena.engine.completion import Completer, FourSteps
        from faena.engine.outcome import Revoked

        app, link = self._app, await self._link()
        home = await opened_home(link.broker, name)
        holder = await home.leases.open_holder("drop-oldest", _LEASE_S)
        consumer = home.consumer(holder, [name])
        try:
            batch = await home.queues.take_oldest(holder, name, count)
            completer = Completer(app.codecs, app.sender, app.rules(), app.tasks, clock=app.clock)
            outcome = Revoked(f"was dropped: queue '{name}' was full (max_length={self._queues[name].max_length})")
            completions = [
                completer.complete(Ended(item, outcome, app.tasks.get(item.message.task)), outcome)[0]
                for item in batch
                if isinstance(item, Delivery)
            ]
            settler = link.backend.joint(link.broker, holder) or FourSteps(link.broker, consumer, link.backend)
            if completions:
                await settler.complete(completions)
            malformed = [item for item in batch if not isinstance(item, Delivery)]
            if malformed:
                await consumer.settle([Bury(item, DeadReason.MALFORMED, item.reason) for item in malformed])
            return len(batch)
        finally:
            await consumer.close()
            await home.leases.recover(holder, {})

    def _full(self, name: str) -> QueueFull | PublishedInPart:
        queue = self._queues[name]
        error = QueueFull(name, queue.max_length or 0)
        if not self._taken:
            return error
        part = PublishedInPart(self._taken, self._total)
        part.__cause__ = error
        return part


def cannot_bound(queue: str, broker: str) -> NotSupported:
    """Return what says that a broker has no bounded queues."""
    return NotSupported(
        f"max_length of queue '{queue}'",
        broker,
        "it cannot count what waits while it takes a message",
        "leave max_length out, or keep the queue on a broker that can (memory, SQLite, Redis)",
    )
