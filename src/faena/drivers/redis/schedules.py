"""Schedules and how far they are."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from faena.backend import Vigil
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.messages import Words, body_in, decode, row_of
from faena.drivers.redis.waiting import Waiter
from faena.drivers.redis.workflows import shares_server
from faena.model.message import Message
from faena.model.schedule import Change, Manifest, Standing

_AT_ONCE = 1000  # in one script: nobody else is served meanwhile
_REVISION_BYTES = 32

_encode = msgspec.msgpack.Encoder().encode
_standing_in = msgspec.msgpack.Decoder(Standing).decode
_manifest_in = msgspec.msgpack.Decoder(Manifest).decode


class RedisSchedules:
    """See `faena.backend.Schedules`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def get(self, names: Sequence[str]) -> Sequence[Standing | None]:
        found: list[Standing | None] = []
        for at in range(0, len(names), _AT_ONCE):
            values = await self._driver.command("HMGET", f"{self._driver.prefix}sc", *names[at : at + _AT_ONCE])
            found += [None if value is None else _standing_of(value) for value in values]
        return found

    async def every(self) -> Sequence[Standing]:
        values = await self._driver.command("HVALS", f"{self._driver.prefix}sc")
        return sorted(map(_standing_of, values), key=lambda standing: standing.schedule.name)

    async def due(self, now_s: float, limit: int) -> Sequence[Standing]:
        values = await self._driver.run("schedules", "due", f"{now_s:.6f}", limit)
        return [_standing_of(value) for value in values if value is not None]

    async def next_due_s(self) -> float | None:
        found = await self._driver.command("ZRANGE", f"{self._driver.prefix}sw", 0, 0, "WITHSCORES")
        return float(found[1]) if found else None

    async def change(self, changes: Sequence[Change], broker: object, *, tells: bool = True) -> Sequence[bool]:
        is_joint = int(shares_server(self._driver, broker))
        made: list[bool] = []
        words: Words = []
        portions = [self._words(change) for change in changes]  # before anything is changed: one may be too large
        for number, portion in enumerate(portions):
            words += portion
            if len(words) >= 5 * _AT_ONCE or number == len(portions) - 1:
                made += [
                    each == ord("1") for each in await self._driver.run("schedules", "change", is_joint, int(tells), *words)
                ]
                words = []
        return made

    async def unpublished(self, before_s: float, limit: int) -> Sequence[Message]:
        if not await self._driver.command("EXISTS", f"{self._driver.prefix}sx"):  # nearly always, and asked all the time
            return ()
        values = await self._driver.run("schedules", "unpublished", f"{before_s:.6f}", limit)
        return [decode(body_in(value)) for value in values if value is not None]

    async def published(self, ids: Sequence[str]) -> None:
        for at in range(0, len(ids), _AT_ONCE):
            await self._driver.run("schedules", "published", *ids[at : at + _AT_ONCE])

    async def declare(self, manifest: Manifest, ttl_s: float) -> None:
        left_ms = round(ttl_s * 1000)
        await self._driver.run("schedules", "declare", manifest.app, manifest.key, left_ms, _encode(manifest))

    async def manifests(self, app: str) -> Sequence[Manifest]:
        return [_manifest_in(body) for body in await self._driver.run("schedules", "manifests", app)]

    def vigil(self) -> Vigil:
        return _Vigil(self._driver)

    def _words(self, change: Change) -> Words:
        standing = change.standing
        wakes = "" if change.wakes_at_s is None or standing is None else f"{change.wakes_at_s:.6f}"
        revision, body = ("", b"") if standing is None else (standing.revision, _encode(standing))
        words: Words = [change.name, change.seen, revision, wakes, body, len(change.publish)]
        for number, message in enumerate(change.publish):
            words += row_of(message, self._driver.location.largest_message_bytes, number)
        return words


class _Vigil:
    """See `faena.backend.Vigil`."""

    def __init__(self, driver: Driver) -> None:
        self._driver, self._waiter = driver, Waiter(driver)

    async def wait(self, timeout_s: float) -> bool:
        try:
            return await self._waiter.token(f"{self._driver.prefix}sv", timeout_s)
        except BaseException:
            self._waiter.close()  # it may still wait on the server
            raise

    async def close(self) -> None:
        self._waiter.close()


def _standing_of(value: bytes) -> Standing:
    return _standing_in(memoryview(value)[_REVISION_BYTES:])
