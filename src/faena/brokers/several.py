"""Several brokers as one, for those who send and for whoever looks at all queues: each queue lives on one of them.

What names a queue goes to the broker that it lives on, and to no other. What names ids asks every one: what was found is
certain; for what was not found, the trouble of one that could not be asked is raised. Parts are opened when they are first
needed, so that a call to a healthy one never waits for a sick one. See docs/internals/several-brokers.md.

A holder of it is one holder on each of them, written as JSON: name -> holder.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from faena.broker import Broker, Capabilities, Consumer, DeadLetters, Holder, Leases, Limits, Queues, check_queues
from faena.brokers.several_consumer import SeveralConsumer
from faena.brokers.several_views import SeveralDeadLetters, SeveralLimits, SeveralQueues, warn_of
from faena.errors import BrokerError, BrokerUnavailable, MessageTooLarge, PublishedInPart, StorageError
from faena.model.delivery import Found, Place, Verdict
from faena.model.homes import Homes, holder_from, holders_of
from faena.model.message import Message
from faena.model.turns import USUAL, Taking
from faena.types import Io

log = logging.getLogger("faena.brokers")

T = TypeVar("T")

_REST_S = 1.0
TROUBLE = (BrokerError, StorageError, OSError)


class Part:
    """One of the brokers."""

    def __init__(self, name: str, broker: Broker, io: Io) -> None:
        self.name, self.broker = name, broker
        self._failed_at_s: float | None = None  # None: its last call did not fail
        self._is_open = False
        self._opening: Any = None
        if io == "asyncio":
            import asyncio

            self._opening = asyncio.Lock()

    @property
    def is_sick(self) -> bool:
        """Whether the last call of it failed."""
        return self._failed_at_s is not None

    def rests(self) -> bool:
        """Whether it failed a moment ago, so that who can do without asks it later."""
        return self._failed_at_s is not None and time.monotonic() < self._failed_at_s + _REST_S

    def has_failed(self, failed: bool) -> None:
        self._failed_at_s = time.monotonic() if failed else None

    async def ready(self) -> Broker:
        """Return the broker, open."""
        if not self._is_open:
            if self._opening is None:
                await self._open()
            else:
                async with self._opening:
                    await self._open()
        return self.broker

    async def _open(self) -> None:
        if not self._is_open:
            try:
                await self.broker.open()
            except TROUBLE:
                self.has_failed(True)
                raise
            self._is_open = True

    async def close(self) -> None:
        was_open, self._is_open = self._is_open, False
        if was_open:
            await self.broker.close()


class Parts:
    """The brokers by name, and how all of them are asked: at once in an event loop, else one after the other."""

    def __init__(self, homes: Homes, brokers: Mapping[str, Broker], io: Io) -> None:
        self.homes, self.io = homes, io
        self.by_name = {name: Part(name, broker, io) for name, broker in brokers.items()}

    def home(self, queue: str) -> Part:
        return self.by_name[self.homes.of(queue)]

    def able(self, can: Callable[[Capabilities], Any]) -> list[Part]:
        """Return those that can do something; the healthy ones first."""
        found = [part for part in self.by_name.values() if can(part.broker.capabilities)]
        return sorted(found, key=lambda part: part.is_sick)

    async def ask(
        self, parts: Sequence[Part], call: Callable[[Part, Broker], Coroutine[Any, Any, T]]
    ) -> tuple[list[tuple[Part, T]], list[tuple[Part, Exception]]]:
        """Return what these have answered, and what trouble the others had."""
        answers: list[tuple[Part, T]] = []
        troubles: list[tuple[Part, Exception]] = []

        async def one(part: Part) -> None:
            try:
                answers.append((part, await call(part, await part.ready())))
                part.has_failed(False)
            except (MessageTooLarge, PublishedInPart) as error:
                troubles.append((part, error))
            except TROUBLE as error:
                part.has_failed(True)
                troubles.append((part, error))

        if self.io == "asyncio" and len(parts) > 1:
            import asyncio

            await asyncio.gather(*map(one, parts))
        else:
            for part in parts:
                await one(part)
        return answers, troubles

    async def ask_all(
        self, parts: Sequence[Part], call: Callable[[Part, Broker], Coroutine[Any, Any, T]]
    ) -> list[tuple[Part, T]]:
        """Ask each of these, also after one had trouble; then raise what trouble there was."""
        answers, troubles = await self.ask(parts, call)
        if troubles:
            raise troubles[0][1]
        return answers


class SeveralBrokers:
    """See `faena.broker.Broker`."""

    def __init__(self, homes: Homes, brokers: Mapping[str, Broker], io: Io) -> None:
        self.homes, self._io, self.parts = homes, io, Parts(homes, brokers, io)
        self._capabilities: Capabilities | None = None
        self._leases = _Leases(self.parts)
        self._queues, self._dead_letters = SeveralQueues(self.parts), SeveralDeadLetters(self.parts)
        self._limits = SeveralLimits(self.parts)

    def home_of(self, queue: str) -> Broker:
        """Return the broker that a queue lives on; see `faena.broker.home_of`."""
        return self.parts.home(queue).broker

    async def opened_home(self, queue: str) -> Broker:
        """Return the same, open."""
        return await self.parts.home(queue).ready()

    @property
    def capabilities(self) -> Capabilities:
        """Say what some of them can, where that is asked before trying, and what all can, where it is relied upon."""
        if self._capabilities is None:
            self._capabilities = _merged([part.broker.capabilities for part in self.parts.by_name.values()])
        return self._capabilities

    @property
    def leases(self) -> Leases:
        return self._leases

    @property
    def queues(self) -> Queues:
        return self._queues

    @property
    def dead_letters(self) -> DeadLetters:
        return self._dead_letters

    @property
    def limits(self) -> Limits:
        return self._limits

    async def open(self) -> None:
        """Open nothing yet: each of them when it is first needed."""

    async def close(self) -> None:
        for part in self.parts.by_name.values():
            await part.close()

    async def check_queues(self, queues: Sequence[str]) -> None:
        """See `faena.broker.check_queues`. One that is away says so when a worker takes from it."""
        for name, own in self.homes.parted(queues).items():
            if not hasattr(self.parts.by_name[name].broker, "check_queues"):
                continue
            with suppress(BrokerUnavailable):
                await check_queues(await self.parts.by_name[name].ready(), own)

    async def publish(self, messages: Sequence[Message]) -> None:
        shares = self._shared_out(messages)
        if len(shares) == 1:
            (name,) = shares
            await self.parts.ask_all([self.parts.by_name[name]], lambda _, broker: broker.publish(messages))
            return
        self._check_sizes(shares)
        accepted: set[str] = set()

        async def publish(part: Part, broker: Broker) -> None:
            await broker.publish(shares[part.name])
            accepted.update(message.id for message in shares[part.name])

        _, troubles = await self.parts.ask([part for part in self.parts.able(bool) if part.name in shares], publish)
        _raise_in_part(accepted, troubles, len(messages))

    async def publish_possible(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Publish what can be; see `faena.broker.publish_possible`."""
        going = [message for message in messages if not self.parts.home(message.queue).rests()]
        try:
            if going:
                await self.publish(going)
        except (BrokerUnavailable, PublishedInPart) as error:
            taken = error.accepted if isinstance(error, PublishedInPart) else frozenset()
            log.warning("%d messages are left for later: %s", len(messages) - len(taken), error.__cause__ or error)
            return [message for message in going if message.id in taken]
        return going

    async def offer(self, messages: Sequence[Message], bounds: Mapping[str, int], *, whole: bool) -> Sequence[str]:
        shares = self._shared_out(messages)
        self._check_sizes(shares)
        # what may be refused goes first, so that a refusal finds as little sent as can be
        bounded = {self.homes.of(queue) for queue in bounds}
        parts = sorted((self.parts.by_name[name] for name in shares), key=lambda part: part.name not in bounded)
        accepted: set[str] = set()
        refused: list[str] = []
        for part in parts:
            share = shares[part.name]
            own = {queue: bound for queue, bound in bounds.items() if self.homes.of(queue) == part.name}

            async def offer(
                _: Part, broker: Broker, share: Sequence[Message] = share, own: Mapping[str, int] = own
            ) -> Sequence[str]:
                if not own:
                    await broker.publish(share)
                    return ()
                return await broker.offer(share, own, whole=whole)

            answers, troubles = await self.parts.ask([part], offer)
            _raise_in_part(accepted, troubles, len(messages))
            left = set(answers[0][1])
            if whole and left:
                if accepted:
                    raise PublishedInPart(accepted, len(messages))
                return [message.id for message in share if message.id in left]
            refused += [message.id for message in share if message.id in left]
            accepted.update(message.id for message in share if message.id not in left)
        return refused

    async def cancel(self, ids: Sequence[str]) -> Sequence[Message]:
        """Take them out of those that can be asked: what was taken out is in nobody's hand but the caller's.

        Raises what the first of them said where none could be.
        """
        answers, troubles = await self.parts.ask(
            self.parts.able(lambda can: can.cancels), lambda _, broker: broker.cancel(ids)
        )
        warn_of(bool(answers), troubles, "nothing was taken out of its queues")
        return [message for _, found in answers for message in found]

    async def locate(self, ids: Sequence[str]) -> Sequence[Place | None]:
        """Say for each id where it is. One that is dead in one of them and alive in another is where it is alive."""
        answers, troubles = await self.parts.ask(
            self.parts.able(lambda can: can.locates), lambda _, broker: broker.locate(ids)
        )
        places: list[Place | None] = [None] * len(ids)
        for _, found in answers:
            places = [new if old in (None, Place.DEAD) and new else old for old, new in zip(places, found, strict=True)]
        if troubles and None in places:
            raise troubles[0][1]
        return places

    async def find(self, task_id: str) -> Found | None:
        answers, troubles = await self.parts.ask(
            self.parts.able(lambda can: can.locates), lambda _, broker: broker.find(task_id)
        )
        found = sorted((each for _, each in answers if each is not None), key=lambda each: each.place is Place.DEAD)
        if troubles and not found:
            raise troubles[0][1]
        return found[0] if found else None

    def consumer(self, holder: Holder, queues: Sequence[str], taking: Taking = USUAL) -> Consumer:
        holders = holders_of(holder)
        return SeveralConsumer(
            self.parts, {name: holders.get(name, holder) for name in self.homes.parted(queues)}, queues, taking
        )

    # -- internals -----------------------------------------------------------------------------------------

    def _shared_out(self, messages: Sequence[Message]) -> dict[str, list[Message]]:
        shares: dict[str, list[Message]] = {}
        for message in messages:
            shares.setdefault(self.homes.of(message.queue), []).append(message)
        return shares

    def _check_sizes(self, shares: Mapping[str, Sequence[Message]]) -> None:
        """Raise MessageTooLarge before anything is published."""
        for name, share in shares.items():
            limit_bytes = self.parts.by_name[name].broker.capabilities.largest_message_bytes
            for message in share:
                if limit_bytes is not None and len(message.body) > limit_bytes:
                    raise MessageTooLarge(len(message.body), limit_bytes, f"broker '{name}'")


class _Leases:
    """See `faena.broker.Leases`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def open_holder(self, owner: str, lease_s: float) -> Holder:
        answers = await self._parts.ask_all(
            self._parts.able(bool), lambda _, broker: broker.leases.open_holder(owner, lease_s)
        )
        return holder_from({part.name: holder for part, holder in answers})

    async def renew(self, holders: Sequence[Holder], lease_s: float) -> Sequence[Holder]:
        """Renew on all of them; what one of them has taken away is ours no more as a whole."""
        parted = {holder: holders_of(holder) for holder in holders}
        lost = {holder for holder, own in parted.items() if not own}

        async def renew(part: Part, broker: Broker) -> None:
            ours = {each[part.name]: holder for holder, each in parted.items() if part.name in each}
            kept = set(await broker.leases.renew(list(ours), lease_s)) if ours else set()
            lost.update(holder for own, holder in ours.items() if own not in kept)

        await self._parts.ask_all(self._parts.able(bool), renew)
        return [holder for holder in holders if holder not in lost]

    async def recover(self, holder: Holder, verdicts: Mapping[str, Verdict]) -> int:
        own = holders_of(holder)
        answers = await self._parts.ask_all(
            [part for part in self._parts.able(bool) if part.name in own],
            lambda part, broker: broker.leases.recover(own[part.name], verdicts),
        )
        return sum(count for _, count in answers)

    async def reap(self) -> int:
        answers = await self._parts.ask_all(self._parts.able(bool), lambda _, broker: broker.leases.reap())
        return sum(count for _, count in answers)


def _raise_in_part(accepted: set[str], troubles: Sequence[tuple[Part, Exception]], total: int) -> None:
    for _, error in troubles:
        if isinstance(error, PublishedInPart):
            accepted |= error.accepted
    if not troubles:
        return
    error = next((each for _, each in troubles if isinstance(each, MessageTooLarge)), troubles[0][1])
    if accepted:
        raise PublishedInPart(accepted, total) from error
    if len(troubles) == 1 or not isinstance(error, BrokerUnavailable):
        raise error
    raise BrokerUnavailable("; ".join(f"broker '{part.name}': {each}" for part, each in troubles)) from error


def _merged(parts: Sequence[Capabilities]) -> Capabilities:
    is_one_lease = len({each.lease for each in parts}) == 1
    return Capabilities(
        durable=all(each.durable for each in parts),
        lease=parts[0].lease if is_one_lease else "connection",
        longest_delay_s=min((each.longest_delay_s for each in parts if each.longest_delay_s is not None), default=None),
        longest_lease_s=min((each.longest_lease_s for each in parts if each.longest_lease_s is not None), default=None),
        deduplicates=all(each.deduplicates for each in parts),
        keeps_verdicts=all(each.keeps_verdicts for each in parts),
        priority_levels=min(each.priority_levels for each in parts),
        largest_message_bytes=None,  # each has its own: `publish` minds that of the broker it goes to
        dead_letters=any(each.dead_letters for each in parts),
        expires_dead_letters=all(each.expires_dead_letters for each in parts),
        cancels=any(each.cancels for each in parts),
        locates=any(each.locates for each in parts),
        finds_all=all(each.locates and each.finds_all for each in parts),
        browses=any(each.browses for each in parts),
        pauses=all(each.pauses for each in parts),
        limits=any(each.limits for each in parts),
        joint=False,
        orders=False,  # among queues of one of them it does
        ages=all(each.ages for each in parts),
        bounds=any(each.bounds for each in parts),
    )
