"""Queues, dead letters and limits of several brokers, as those of one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from faena.broker import Broker, Holder
from faena.errors import ConfigurationError, NotSupported
from faena.model.delivery import DeadLetter, DeadReason, Delivery, Malformed, Place, QueueStatus
from faena.model.homes import holders_of
from faena.model.limit import Change, LimitStatus, Obstacle, Terms
from faena.model.message import Message

if TYPE_CHECKING:
    from faena.brokers.several import Part, Parts

    Parted: TypeAlias = list[Part]

log = logging.getLogger("faena.brokers")

_QUEUE = "queue:"  # how the families of queues begin, see `faena.tasks.flow`


class SeveralQueues:
    """See `faena.broker.Queues`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def status(self) -> Sequence[QueueStatus]:
        """Return what those say that can be asked; the log names the others. Raises what the first said where none can."""
        answers, troubles = await self._parts.ask(self._parts.able(bool), lambda _, broker: broker.queues.status())
        warn_of(bool(answers), troubles, "its queues are not shown")
        found = [replace(each, broker=part.name) for part, statuses in answers for each in statuses]
        return sorted(found, key=lambda each: (each.name, self._parts.homes.of(each.name) != each.broker))

    async def browse(self, queue: str, limit: int, offset: int = 0) -> Sequence[tuple[Place, Message]]:
        return await (await self._at_home(queue)).queues.browse(queue, limit, offset)

    async def purge(self, queue: str) -> int:
        return await (await self._at_home(queue)).queues.purge(queue)

    async def take_oldest(self, holder: Holder, queue: str, limit: int) -> Sequence[Delivery | Malformed]:
        home = self._parts.home(queue)
        batch = await (await home.ready()).queues.take_oldest(holders_of(holder)[home.name], queue, limit)
        return [replace(item, source=home.name) for item in batch]

    async def pause(self, queue: str) -> None:
        await (await self._at_home(queue)).queues.pause(queue)

    async def resume(self, queue: str) -> None:
        await (await self._at_home(queue)).queues.resume(queue)

    async def _at_home(self, queue: str) -> Broker:
        return await self._parts.home(queue).ready()


class SeveralDeadLetters:
    """See `faena.broker.DeadLetters`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, queue: str | None, limit: int, offset: int = 0) -> Sequence[DeadLetter]:
        answers, troubles = await self._parts.ask(
            self._of(queue), lambda _, broker: broker.dead_letters.list(queue, limit + offset)
        )
        warn_of(bool(answers), troubles, "its dead letters are not shown")
        found = [_of_part(each, part) for part, letters in answers for each in letters]
        found.sort(key=lambda letter: -letter.buried_at_s)
        return found[offset : offset + limit]

    async def find(self, task_id: str) -> DeadLetter | None:
        answers, troubles = await self._parts.ask(self._of(None), lambda _, broker: broker.dead_letters.find(task_id))
        found = [_of_part(each, part) for part, each in answers if each is not None]
        if troubles and not found:
            raise troubles[0][1]
        return found[0] if found else None

    async def replace(self, task_id: str, message: Message) -> bool:
        letter = await self.find(task_id)
        if letter is None:
            return False
        home = self._parts.homes.of(message.queue)
        if home != letter.broker:
            raise ConfigurationError(
                f"a dead letter goes back into the broker in which it lies, '{letter.broker}', and queue '{message.queue}' "
                f"lives on '{home}'"
            )
        return await (await self._parts.by_name[home].ready()).dead_letters.replace(task_id, message)

    async def requeue(
        self, queue: str | None = None, ids: Sequence[str] | None = None, reason: DeadReason | None = None
    ) -> int:
        answers = await self._parts.ask_all(
            self._of(queue), lambda _, broker: broker.dead_letters.requeue(queue, ids, reason)
        )
        return sum(count for _, count in answers)

    async def purge(self, queue: str | None = None, ids: Sequence[str] | None = None, before_s: float | None = None) -> int:
        answers = await self._parts.ask_all(
            self._of(queue), lambda _, broker: broker.dead_letters.purge(queue, ids, before_s)
        )
        return sum(count for _, count in answers)

    def _of(self, queue: str | None) -> Parted:
        parts = self._parts.able(lambda can: can.dead_letters)
        return parts if queue is None else [part for part in parts if part is self._parts.home(queue)]


def _of_part(letter: DeadLetter, part: Part) -> DeadLetter:
    return replace(letter, key=f"{part.name}/{letter.key}", broker=part.name)


class SeveralLimits:
    """See `faena.broker.Limits`. That of a queue stands where it lives; others on each broker that has limits, which counts
    for itself."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def declare(self, terms: Mapping[str, Terms | None]) -> Mapping[str, Terms]:
        places = {family: self._of(family) for family, each in terms.items() if each is not None}
        answers = await self._parts.ask_all(
            self._parts.able(lambda can: can.limits),
            lambda part, broker: broker.limits.declare(
                {family: each if part in places.get(family, ()) else None for family, each in terms.items()}
            ),
        )
        return {family: each for _, found in answers for family, each in found.items()}

    async def change(self, family: str, change: Change | None) -> Terms:
        answers = await self._parts.ask_all(self._of(family), lambda _, broker: broker.limits.change(family, change))
        return answers[0][1]

    async def list(self) -> Sequence[LimitStatus]:
        answers, troubles = await self._parts.ask(
            self._parts.able(lambda can: can.limits), lambda _, broker: broker.limits.list()
        )
        warn_of(bool(answers), troubles, "its limits are not shown")
        found: dict[str, LimitStatus] = {}
        for _, statuses in answers:
            for each in statuses:
                seen = found.get(each.name)
                if seen is not None:
                    each = replace(seen, running=seen.running + each.running, waiting=seen.waiting + each.waiting)
                found[each.name] = each
        return [found[name] for name in sorted(found)]

    async def obstacles(self, ids: Sequence[str]) -> Sequence[Sequence[Obstacle] | None]:
        answers = await self._parts.ask_all(
            self._parts.able(lambda can: can.limits), lambda _, broker: broker.limits.obstacles(ids)
        )
        found: list[Sequence[Obstacle] | None] = [None] * len(ids)
        for _, each in answers:
            found = [old if new is None else new for old, new in zip(found, each, strict=True)]
        return found

    def _of(self, family: str) -> Parted:
        """Return where a family of limits stands. Raises NotSupported: it is that of a queue whose broker has none."""
        if not family.startswith(_QUEUE):
            return self._parts.able(lambda can: can.limits)
        home = self._parts.home(family.removeprefix(_QUEUE))
        if not home.broker.capabilities.limits:
            raise NotSupported(
                f"the limit '{family}'", f"broker '{home.name}'", "it hands out what it has in its own order"
            )
        return [home]


def warn_of(is_any: bool, troubles: Sequence[tuple[Part, Exception]], what: str) -> None:
    """Name in the log who could not be asked. Raises what the first of them said where nobody could."""
    if troubles and not is_any:
        raise troubles[0][1]
    for part, error in troubles:
        log.warning("broker '%s' cannot be reached, so that %s: %s", part.name, what, error)
