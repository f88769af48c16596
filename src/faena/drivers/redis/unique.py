"""Which task has which key."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from faena.drivers.redis.driver import Driver
from faena.drivers.redis.messages import Words, row_of
from faena.drivers.redis.workflows import shares_server
from faena.model.claim import Claim, Claimant, Until
from faena.model.message import Message

_AT_ONCE = 500  # in one script: nobody else is served meanwhile


class RedisClaims:
    """See `faena.backend.Claims`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def take(self, messages: Sequence[Message], broker: object) -> Sequence[Claimant | None]:
        is_joint = int(shares_server(self._driver, broker))
        found: list[Claimant | None] = []
        for at in range(0, len(messages), _AT_ONCE):
            words: Words = []
            for number, message in enumerate(messages[at : at + _AT_ONCE]):
                words += self._words(message, number)
            found += [_claimant(row) if row else None for row in await self._driver.run("claims", "take", is_joint, *words)]
        return found

    async def take_over(self, message: Message, present: str) -> bool:
        return bool(await self._driver.run("claims", "over", present, *self._words(message)))

    async def replace(self, message: Message, broker: object) -> bool:  # noqa: ARG002 - it is ours
        return bool(await self._driver.run("claims", "replace", *self._words(message)))

    async def published(self, messages: Sequence[Message]) -> None:
        await self._each("published", messages)

    async def release(self, messages: Sequence[Message]) -> None:
        await self._each("release", messages)

    async def _each(self, verb: str, messages: Sequence[Message]) -> None:
        for at in range(0, len(messages), _AT_ONCE):
            await self._driver.run("claims", verb, *released_words(messages[at : at + _AT_ONCE]))

    def _words(self, message: Message, number: int = 0) -> Words:
        claim = _claim_of(message)
        left_ms = round((claim.expires_at_s - time.time()) * 1000)  # a distance, as with `due`
        row = row_of(message, self._driver.location.largest_message_bytes, number)
        return [claim.key, claim.until.value, left_ms, *row]


def released_words(messages: Iterable[Message]) -> Words:
    """Return key and task of each."""
    return [word for message in messages for word in (_claim_of(message).key, message.id)]


def _claimant(row: Sequence[Any]) -> Claimant:
    task_id, until, since_s, taken_at_s, is_published, is_parked, *waits = [each.decode() for each in row]
    is_waiting = waits[0] == "1" if waits else None
    return Claimant(
        task_id, Until(until), float(since_s), float(taken_at_s), is_published == "1", is_waiting, is_parked == "1"
    )


def _claim_of(message: Message) -> Claim:
    assert message.claim is not None
    return message.claim
