"""Events told by PUBLISH: one for a batch, to one channel for each prefix, which a cluster carries to all its nodes.

Who listens has a connection of its own, since the server cuts those off that do not take what they have subscribed to.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from faena._lib.deadline import deadline_in
from faena.drivers.memory.bell import Bell
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.wire import Reply, ReplyError, Wire, pack
from faena.errors import FaenaError, ServerUnavailable
from faena.model.event import Event, packed, unpacked

_QUIET_S = 15.0  # after this time without news the server is asked whether it is there
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


class RedisEvents:
    """See `faena.backend.Events`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._channel = f"{driver.prefix}ev"

    async def publish(self, events: Sequence[Event]) -> None:
        if events:
            await self._driver.command("PUBLISH", self._channel, packed(events))

    async def listen(self) -> RedisFeed:
        feed = RedisFeed(self._driver, self._channel)
        await feed.open()
        return feed


class RedisFeed:
    """See `faena.backend.EventFeed`."""

    def __init__(self, driver: Driver, channel: str) -> None:
        self._driver, self._channel = driver, channel
        self._wire: Wire | None = None
        self._early: list[Reply] = []  # what came along with the word that we are subscribed
        self._heard_at_s = 0.0
        self.missed = 0

    async def open(self) -> None:
        """Subscribe. Raises what connecting raises."""
        deadline = deadline_in(self._driver.location.timeout_s)
        wire = await self._driver.connect(deadline)
        try:
            wire.send(pack(("SUBSCRIBE", self._channel)), 0, deadline)
            first, *self._early = await wire.pushed(max(0.0, deadline - time.monotonic())) or [None]
            if isinstance(first, ReplyError):
                raise self._driver.error_of(first)
            if not isinstance(first, list):
                raise ServerUnavailable(f"{self._driver.location.shown}: it did not answer in time")
        except BaseException:
            wire.close()
            raise
        self._wire, self._heard_at_s = wire, time.monotonic()

    async def receive(self, timeout_s: float) -> Sequence[Event]:
        """Raises ServerUnavailable: it could not be reached for as long as a call may take."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = _events_in(await self._read(max(0.0, deadline - time.monotonic())))
            if found or time.monotonic() >= deadline:
                return found

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    async def _read(self, left_s: float) -> list[Reply]:
        """Read once; a connection that has gone is made anew, and what was told meanwhile is missed."""
        if self._early:
            early, self._early = self._early, []
            return early
        until_s, pause_s = time.monotonic() + self._driver.location.timeout_s, _FIRST_PAUSE_S
        while True:
            try:
                if self._wire is None or self._wire.is_broken:
                    await self.open()
                    self.missed += 1
                    return []
                return await self._read_once(self._wire, left_s)
            except FaenaError:
                await self.close()
                if time.monotonic() + pause_s > until_s:
                    raise
                await Bell(self._driver.io).rest(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            except BaseException:
                if self._driver.io == "blocking":
                    await self.close()  # left in the middle of a read, by Ctrl-C
                raise

    async def _read_once(self, wire: Wire, left_s: float) -> list[Reply]:
        quiet_s = self._heard_at_s + _QUIET_S - time.monotonic()
        replies = await wire.pushed(max(0.0, min(left_s, quiet_s)))
        if not replies and quiet_s <= left_s:
            timeout_s = self._driver.location.timeout_s
            wire.send(pack(("PING",)), 0, time.monotonic() + timeout_s)
            replies = await wire.pushed(timeout_s)
            if not replies:
                raise ServerUnavailable("the subscription has gone silent")
        if replies:
            self._heard_at_s = time.monotonic()
        return replies


def _events_in(replies: Sequence[Reply]) -> list[Event]:
    found: list[Event] = []
    for reply in replies:
        if isinstance(reply, list) and reply[0] == b"message":
            found += unpacked(reply[2])
    return found
