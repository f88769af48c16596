"""Receives from several brokers at once, and settles each delivery where it came from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec.structs import replace

from faena.broker import Consumer, Holder, Skipping
from faena.model.delivery import Ack, Delivery, Malformed, Release, Settlement
from faena.model.turns import Taking

if TYPE_CHECKING:
    from faena.brokers.several import Parts

T = TypeVar("T")

_SLICE_S = 0.05  # who blocks waits for one of them at a time
Batch = Sequence[Delivery | Malformed]


class SeveralConsumer:
    """See `faena.broker.Consumer`. The first comes first in its turn; never more than `limit` in all."""

    def __init__(self, parts: Parts, holders: Mapping[str, Holder], queues: Sequence[str], taking: Taking) -> None:
        self._parts = parts
        parted = parts.homes.parted(queues)
        self._consumers: dict[str, Consumer] = {
            name: parts.by_name[name].broker.consumer(holders[name], own, taking.among(own)) for name, own in parted.items()
        }
        self._order = list(self._consumers)
        self._is_interrupted = False

    async def receive(self, limit: int, wait_s: float) -> Batch:
        deadline = time.monotonic() + wait_s
        self._order.append(self._order.pop(0))
        batch: list[Delivery | Malformed] = []
        for name in self._order:
            if len(batch) < limit:
                batch += await self._receive(name, limit - len(batch), 0.0)
        if len(self._order) == 1 and not batch and wait_s > 0:
            return await self._receive(self._order[0], limit, wait_s)
        while not batch and not self._is_interrupted and (left_s := deadline - time.monotonic()) > 0:
            if self._parts.io == "asyncio":
                batch += await self._receive_first(limit, left_s)
                break
            self._order.append(self._order.pop(0))
            batch += await self._receive(self._order[0], limit, min(left_s, _SLICE_S))
        self._is_interrupted = False
        return batch

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        away = [each.message for each in settlements if isinstance(each, Release) and each.message and self._leaves(each)]
        for message in away:  # laid down there before it is taken up here
            await (await self._parts.home(message.queue).ready()).publish([message])
        stays = [
            Ack(each.delivery) if isinstance(each, Release) and each.message in away and self._leaves(each) else each
            for each in settlements
        ]
        return await self._by_source(
            stays, lambda each: self._source(each.delivery), lambda consumer, share: consumer.settle(share)
        )

    async def begin(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        return await self._by_source(deliveries, self._source, lambda consumer, share: consumer.begin(share))

    def interrupt(self) -> None:
        self._is_interrupted = True
        for consumer in self._consumers.values():
            consumer.interrupt()

    def skip(self, queues: Collection[str]) -> None:
        """See `faena.broker.Skipping`: for those that do not pause queues themselves."""
        for name, consumer in self._consumers.items():
            if not self._parts.by_name[name].broker.capabilities.pauses:
                cast("Skipping", consumer).skip(queues)

    async def close(self) -> None:
        for consumer in self._consumers.values():
            await consumer.close()

    # -- internals -----------------------------------------------------------------------------------------

    async def _receive(self, name: str, limit: int, wait_s: float) -> Batch:
        await self._parts.by_name[name].ready()
        batch = await self._consumers[name].receive(limit, wait_s)
        return [replace(item, source=name) for item in batch]

    async def _receive_first(self, limit: int, wait_s: float) -> Batch:
        """Wait for whoever has something first; give back what is too much."""
        waiting = [asyncio.ensure_future(self._receive(name, limit, wait_s)) for name in self._order]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for name, each in zip(self._order, waiting, strict=True):
                if not each.done():
                    self._consumers[name].interrupt()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        found = [item for answer in answers if not isinstance(answer, BaseException) for item in answer]
        surplus = [Release(item) for item in found[limit:] if isinstance(item, Delivery)]
        malformed = [item for item in found[limit:] if isinstance(item, Malformed)]  # they can only be buried
        if surplus:
            await self.settle(surplus)
        return found[:limit] + malformed

    def _source(self, delivery: Delivery | Malformed) -> str:
        if delivery.source:
            return delivery.source
        return self._parts.homes.of(delivery.message.queue if isinstance(delivery, Delivery) else delivery.queue)

    def _leaves(self, release: Release) -> bool:
        return release.message is not None and self._parts.homes.of(release.message.queue) != self._source(release.delivery)

    async def _by_source(
        self,
        items: Sequence[T],
        source: Callable[[T], str],
        call: Callable[[Consumer, Sequence[T]], Coroutine[Any, Any, Sequence[bool]]],
    ) -> Sequence[bool]:
        """Let each consumer deal with its share; return the answers in the order of the items."""
        shares: dict[str, list[int]] = {}
        for at, item in enumerate(items):
            shares.setdefault(source(item), []).append(at)
        answers = [False] * len(items)
        for name, places in shares.items():
            found = await call(self._consumers[name], [items[at] for at in places])
            for at, answer in zip(places, found, strict=True):
                answers[at] = answer
        return answers
