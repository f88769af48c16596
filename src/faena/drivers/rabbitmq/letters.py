"""Dead letters lie in a queue beside each queue. Looking takes them all and lets them go back: linear in their number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from aiormq.abc import AbstractChannel

from faena.drivers.rabbitmq import topology
from faena.drivers.rabbitmq.declaring import close_quietly, message_count, registered
from faena.drivers.rabbitmq.location import Location
from faena.drivers.rabbitmq.messages import dead_row_of, letter_of, row_of
from faena.drivers.rabbitmq.publisher import Publisher
from faena.drivers.rabbitmq.session import Session
from faena.model.delivery import Bury, DeadLetter, DeadReason, Delivery
from faena.model.message import Message

_LOOKING_S = 60.0
_LOOKS, _BETWEEN_LOOKS_S = 50, 0.01


class RabbitDeadLetters:
    """See `faena.broker.DeadLetters`."""

    def __init__(self, location: Location, publisher: Publisher) -> None:
        self._location, self._publisher = location, publisher

    async def list(self, queue: str | None, limit: int, offset: int = 0) -> Sequence[DeadLetter]:
        found: list[DeadLetter] = []
        for name in await self._queues(queue):
            found += await self._visit(name, _takes_none)
        found.sort(key=lambda letter: letter.buried_at_s, reverse=True)
        return _once_each(found)[offset : offset + limit]

    async def find(self, task_id: str) -> DeadLetter | None:
        for letter in await self.list(None, 1 << 31):
            if letter.message is not None and letter.message.id == task_id:
                return letter
        return None

    async def replace(self, task_id: str, message: Message) -> bool:
        letter = await self.find(task_id)
        if letter is None or letter.message is None:
            return False
        delivery = Delivery(letter.message, None, letter.deliveries, letter.crashes)
        row = dead_row_of(self._location, Bury(delivery, letter.reason, letter.detail, message))
        await self._publisher.publish([row])  # first: a crash in between leaves both, of which the later is listed
        for name in {letter.queue, message.queue}:
            await self._visit(name, lambda each: _is_older(each, letter))
        return True

    async def requeue(
        self, queue: str | None = None, ids: Sequence[str] | None = None, reason: DeadReason | None = None
    ) -> int:
        wanted = None if ids is None else frozenset(ids)

        def fits(letter: DeadLetter) -> bool:
            return (
                letter.message is not None
                and letter.reason is not DeadReason.MALFORMED
                and (wanted is None or letter.message.id in wanted)
                and (reason is None or letter.reason == reason)
            )

        count = 0
        for name in await self._queues(queue):
            count += len([letter for letter in await self._visit(name, fits, again=True) if fits(letter)])
        return count

    async def purge(self, queue: str | None = None, ids: Sequence[str] | None = None, before_s: float | None = None) -> int:
        wanted = None if ids is None else frozenset(ids)

        def fits(letter: DeadLetter) -> bool:
            return (wanted is None or (letter.message is not None and letter.message.id in wanted)) and (
                before_s is None or letter.buried_at_s < before_s
            )

        count = 0
        for name in await self._queues(queue):
            count += len([letter for letter in await self._visit(name, fits) if fits(letter)])
        return count

    # -- internals -----------------------------------------------------------------------------------------

    async def _queues(self, queue: str | None) -> Sequence[str]:
        _, found = await registered(await self._publisher.session())
        return sorted(found) if queue is None else [queue] if queue in found else []

    async def _visit(self, queue: str, takes: Callable[[DeadLetter], bool], *, again: bool = False) -> Sequence[DeadLetter]:
        """Look at the letters of a queue; take out those that `takes` says, and send them once more if `again`."""
        session = await self._publisher.session()
        name = topology.dead_name(self._location, queue)
        channel = await session.channel()
        left = 0
        try:
            async with session.translating(_LOOKING_S):
                found = await _all_of(channel, name)
                left = len(found)
                for tag, letter in found:
                    if takes(letter):
                        if again and letter.message is not None:
                            await self._publisher.publish([row_of(self._location, letter.message)])
                        await channel.basic_ack(tag)
                        left -= 1
                return [letter for _, letter in found]
        finally:
            await close_quietly(channel)  # the others go back, a moment later
            await self._settle_down(session, name, left)

    async def _settle_down(self, session: Session, name: str, left: int) -> None:
        """Wait until those that go back are there again, so that who looks next sees them."""
        for _ in range(_LOOKS):
            if (await message_count(session, name) or 0) >= left:
                return
            await asyncio.sleep(_BETWEEN_LOOKS_S)


async def _all_of(channel: AbstractChannel, name: str) -> list[tuple[int, DeadLetter]]:
    found: list[tuple[int, DeadLetter]] = []
    while True:
        message = await channel.basic_get(name)
        if message.delivery_tag is None:
            return found
        found.append((message.delivery_tag, letter_of(message)))


def _once_each(letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
    """Leave out what was buried twice: a process died between burying and acknowledging it."""
    seen: set[str] = set()
    kept: list[DeadLetter] = []
    for letter in letters:
        if letter.message is None or letter.message.id not in seen:
            kept.append(letter)
        if letter.message is not None:
            seen.add(letter.message.id)
    return kept


def _is_older(each: DeadLetter, letter: DeadLetter) -> bool:
    assert letter.message is not None
    return each.message is not None and each.message.id == letter.message.id and each.buried_at_s <= letter.buried_at_s


def _takes_none(_: DeadLetter) -> bool:
    return False
