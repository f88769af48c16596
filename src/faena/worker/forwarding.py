"""Settling on one of several brokers: what follows from a task goes to the broker that its queue lives on.

What stays on a broker that is one store with the backend is one step, as everywhere. All else takes the four steps, in
their order. What follows is for another broker that is away: a step of a workflow stays in the backend, unpublished, until
the scheduler sends it; for any other message the completion waits, and is tried again as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from faena.backend import Completion, JointSettler
from faena.broker import Broker, Capabilities
from faena.engine.completion import FourSteps
from faena.errors import BrokerError, MessageTooLarge, StorageError
from faena.model.homes import Homes
from faena.model.message import Message
from faena.worker.connection import ElsewhereAway

if TYPE_CHECKING:
    from faena.brokers.several import SeveralBrokers


class Forward:
    """Publishes for a connection to one broker: there what lives there, and the rest through the others."""

    def __init__(self, name: str, own: Broker, all_of_them: SeveralBrokers) -> None:
        self._name, self._own, self._all = name, own, all_of_them

    @property
    def capabilities(self) -> Capabilities:
        """Say what the broker can that the messages which are settled are from."""
        return self._own.capabilities

    async def publish(self, messages: Sequence[Message]) -> None:
        """Raises ElsewhereAway: nothing was published on our own broker yet."""
        ours, others = self._parted(messages)
        if others:
            if any(self._all.parts.home(message.queue).rests() for message in others):
                raise ElsewhereAway("it failed a moment ago")
            try:
                await self._all.publish(others)
            except MessageTooLarge:
                raise
            except (BrokerError, StorageError, OSError) as error:
                raise ElsewhereAway(str(error.__cause__ or error)) from error
        if ours:
            await self._own.publish(ours)

    async def publish_possible(self, messages: Sequence[Message]) -> Sequence[Message]:
        """See `faena.broker.publish_possible`. Raises what our own broker raises."""
        ours, others = self._parted(messages)
        taken = await self._all.publish_possible(others) if others else ()
        if ours:
            await self._own.publish(ours)
        return [*ours, *taken]

    def _parted(self, messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
        ours = [message for message in messages if self._all.homes.of(message.queue) == self._name]
        return ours, [message for message in messages if self._all.homes.of(message.queue) != self._name]


class Parted:
    """Completes in one step what stays on the broker of that name, where there is such a step, and the rest in four."""

    def __init__(self, name: str, homes: Homes, joint: JointSettler, steps: FourSteps) -> None:
        self._name, self._homes, self._joint, self._steps = name, homes, joint, steps

    async def complete(self, completions: list[Completion]) -> Sequence[bool]:
        stays = [self._stays(completion) for completion in completions]
        if all(stays):
            return await self._joint.complete(completions)
        answers = [False] * len(completions)
        for settler, wanted in ((self._joint, True), (self._steps, False)):
            places = [at for at, each in enumerate(stays) if each is wanted]
            if places:
                found = await settler.complete([completions[at] for at in places])
                for at, answer in zip(places, found, strict=True):
                    answers[at] = answer
        return answers

    def _stays(self, completion: Completion) -> bool:
        """Whether all that it publishes is known, and for this broker: of a workflow only the step itself shows it."""
        if completion.ending is not None or completion.start is not None:
            return False
        if completion.park is not None or completion.journal is not None:  # whoever wakes it does not share our store
            return False
        return not completion.publish or all(self._homes.of(each.queue) == self._name for each in completion.publish)
