"""What tasks remember, events, and tasks that wait for them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec

from faena.backend import JournalEnd
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.messages import Words, body_in, decode, encode, row_of
from faena.drivers.redis.workflows import shares_server
from faena.model.journal import Entry, Parked
from faena.model.message import Message

_AT_ONCE = 500

_entry_in = msgspec.msgpack.Decoder(Entry).decode


def parked_words(parked: Parked, largest_bytes: int) -> Words:
    """Return event, milliseconds until it runs in any case, queue, rank, milliseconds until due, value, and its node.

    The node is three words: workflow ("" for none), number, run.
    """
    queue, rank, due, _, value = row_of(parked.message, largest_bytes)
    left = "" if parked.due_at_s is None else f"{(parked.due_at_s - time.time()) * 1000:.3f}"
    member = parked.message.member
    of_workflow: Words = ["", "", ""] if member is None else [member.workflow, member.node, member.run]
    return [parked.event, left, queue, rank, due, value, *of_workflow]


class RedisJournal:
    """See `faena.backend.Journal`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def read(self, task_id: str) -> Sequence[Entry]:
        return [_entry_in(body) for body in await self._driver.command("HVALS", f"{self._driver.prefix}jn:{task_id}")]

    async def write(self, task_id: str, entry: Entry, expires_at_s: float) -> Entry:
        left = f"{(expires_at_s - time.time()) * 1000:.3f}"
        return _entry_in(await self._driver.run("journal", "write", task_id, entry.name, encode(entry), left))

    async def event(self, name: str) -> Entry | None:
        body = await self._driver.command("GET", f"{self._driver.prefix}ev:{name}")
        return None if body is None else _entry_in(body)

    async def signal(self, event: Entry, expires_at_s: float, broker: object) -> Sequence[Message]:
        left = round((expires_at_s - time.time()) * 1000)
        joint = int(shares_server(self._driver, broker))
        return _messages(await self._driver.run("journal", "signal", event.name, encode(event), left, joint))

    async def published(self, ids: Sequence[str]) -> None:
        for at in range(0, len(ids), _AT_ONCE):
            await self._driver.run("journal", "published", *ids[at : at + _AT_ONCE])

    async def park(self, parked: Sequence[Parked]) -> Sequence[bool]:
        answers: list[bool] = []
        for at in range(0, len(parked), _AT_ONCE):
            words: Words = []
            for each in parked[at : at + _AT_ONCE]:
                words += (each.message.id, *parked_words(each, self._driver.location.largest_message_bytes))
            answers += [each == ord("1") for each in await self._driver.run("journal", "park", *words)]
        return answers

    async def due(self, grace_s: float, limit: int, broker: object) -> Sequence[Message]:
        prefix = self._driver.prefix
        if not await self._driver.command("EXISTS", f"{prefix}pd", f"{prefix}pw"):  # nearly always, and asked all the time
            return ()
        joint = int(shares_server(self._driver, broker))
        return _messages(await self._driver.run("journal", "due", f"{grace_s * 1000:.3f}", limit, joint))

    async def parked(self, ids: Sequence[str]) -> Sequence[bool]:
        key, found = f"{self._driver.prefix}parked", []
        for at in range(0, len(ids), _AT_ONCE):
            found += await self._driver.command("HMGET", key, *ids[at : at + _AT_ONCE])
        return [value is not None for value in found]

    async def unpark(self, ids: Sequence[str]) -> Sequence[Message]:
        found: list[Message] = []
        for at in range(0, len(ids), _AT_ONCE):
            found += _messages(await self._driver.run("journal", "unpark", *ids[at : at + _AT_ONCE]))
        return found

    async def postpone(self, ids: Sequence[str], due_at_s: float) -> None:
        left = f"{(due_at_s - time.time()) * 1000:.3f}"
        for at in range(0, len(ids), _AT_ONCE):
            await self._driver.run("journal", "postpone", left, *ids[at : at + _AT_ONCE])

    async def waiting(self, ids: Sequence[str] | None, limit: int) -> Sequence[Parked]:
        if ids is not None and not ids:
            return ()
        rows = await self._driver.run("journal", "waiting", limit, *(ids or ()))
        return [
            Parked(decode(body_in(value)), event.decode(), float(until) / 1000 if until else None)
            for event, until, value in rows
        ]

    async def end(self, ends: Mapping[str, JournalEnd]) -> None:
        words = [word for each in ends.items() for word in each]
        for at in range(0, len(words), 2 * _AT_ONCE):
            await self._driver.run("journal", "end", *words[at : at + 2 * _AT_ONCE])


def _messages(values: Sequence[bytes]) -> list[Message]:
    return [decode(body_in(value)) for value in values]
