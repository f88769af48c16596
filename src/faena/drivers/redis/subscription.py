"""One subscription of a process (or of an event loop), shared by all that wait for results in it.

Whoever waits first reads for all, and hands the reading on when it has what it waits for: no thread is needed, and a lone
waiter is woken by the socket itself. A connection that has gone is made anew; those who wait are told to look.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import weakref
from typing import Protocol

from faena.drivers.memory.bell import Bell
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.location import Location
from faena.drivers.redis.wire import BlockingWire, Reply, Wire, pack
from faena.errors import FaenaError, ServerUnavailable
from faena.types import Io

_QUIET_S = 15.0  # after this time without news the server is asked whether it is there
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


class Listener(Protocol):
    """One who waits for news."""

    bell: Bell

    @property
    def has_news(self) -> bool: ...

    def take_news(self, news: bytes) -> None: ...

    def miss(self) -> None:
        """Take notice that news may have been missed."""
        ...


class Subscription:
    """See above. `channel` is what the server is told to send news to."""

    def __init__(self, driver: Driver) -> None:
        self._users = 0
        self._io: Io = driver.io
        self.channel = f"c:{secrets.token_hex(8)}"
        self._name = f"{driver.prefix}{self.channel}"
        self._timeout_s = driver.location.timeout_s
        self.wire: Wire | None = None  # the connection that news come by
        self._listeners: dict[Listener, None] = {}
        self._waiting: dict[Listener, None] = {}
        self._has_reader = False
        self._mutex = threading.Lock()
        self._heard_at_s = 0.0

    def attach(self, listener: Listener) -> None:
        with self._mutex:
            self._listeners[listener] = None

    def detach(self, listener: Listener) -> None:
        with self._mutex:
            self._listeners.pop(listener, None)

    def others(self, listener: Listener) -> list[Listener]:
        with self._mutex:
            return [each for each in self._listeners if each is not listener]

    async def start(self, listener: Listener, driver: Driver) -> None:
        """Return when the server sends us news; until then some may be missed."""
        deadline = time.monotonic() + self._timeout_s
        while self.wire is None or self.wire.is_broken:
            if self._becomes_reader():
                try:
                    await self._subscribe(driver, deadline)
                finally:
                    self._hand_on()
            else:
                self._add_waiting(listener)
                await listener.bell.rest(0.05)  # somebody else reads, or subscribes just now
                if time.monotonic() > deadline:
                    raise ServerUnavailable(f"{driver.location.shown}: it did not answer in time")

    async def wait(self, listener: Listener, driver: Driver, timeout_s: float) -> None:
        """Return when there is news for `listener`, or the time is up, or for no reason."""
        deadline = time.monotonic() + timeout_s
        while not listener.has_news:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            if not self._becomes_reader():
                self._add_waiting(listener)
                await listener.bell.rest(left_s)
                self._waiting.pop(listener, None)
                continue
            try:
                self._dispatch(await self._read(driver, left_s))
            except BaseException:
                if self._io == "blocking":
                    self.close()  # left in the middle of a read, by Ctrl-C or a time limit: news may be lost
                raise
            finally:
                self._hand_on()

    def hear(self, wire: Wire, timeout_s: float) -> bytes | None:
        """Return what comes next by this connection, for a lone listener that blocks.

        None: the time is up, or it is not as simple as that. Then nothing is lost: `wait`.
        """
        with self._mutex:
            if wire is not self.wire or type(wire) is not BlockingWire or self._has_reader or len(self._listeners) != 1:
                return None
            self._has_reader = True
        try:
            replies = wire.heard(timeout_s)
        except FaenaError:
            replies = []
            self.close()
        except BaseException:
            self.close()  # as in `wait`
            raise
        finally:
            self._hand_on()
        if not replies:
            return None
        self._heard_at_s = time.monotonic()
        if len(replies) == 1 and isinstance(replies[0], list) and replies[0][0] == b"message":
            news: bytes = replies[0][2]
            return news
        self._dispatch(replies)
        return None

    def leave(self) -> None:
        """Close it with the last driver that uses it."""
        with self._mutex:
            self._users -= 1
            is_last = self._users <= 0
        if is_last:
            self.close()

    def close(self) -> None:
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.close()

    # -- reading -------------------------------------------------------------------------------------------

    def _becomes_reader(self) -> bool:
        with self._mutex:
            is_free = not self._has_reader
            self._has_reader = True
            return is_free

    def _add_waiting(self, listener: Listener) -> None:
        with self._mutex:
            self._waiting[listener] = None
            if not self._has_reader:
                listener.bell.ring()  # the reader has left meanwhile: take its place

    def _hand_on(self) -> None:
        with self._mutex:
            self._has_reader = False
            for each in self._waiting:
                each.bell.ring()
                break

    def _dispatch(self, replies: list[Reply]) -> None:
        for reply in replies:
            if isinstance(reply, list) and reply[0] == b"message":
                with self._mutex:
                    listeners = list(self._listeners)
                for each in listeners:
                    each.take_news(reply[2])

    async def _read(self, driver: Driver, left_s: float) -> list[Reply]:
        """Read once; a broken connection is made anew, for as long as one call may take."""
        until_s, pause_s = time.monotonic() + self._timeout_s, _FIRST_PAUSE_S
        while True:
            try:
                if self.wire is None or self.wire.is_broken:
                    await self._subscribe(driver, time.monotonic() + self._timeout_s)
                    with self._mutex:
                        listeners = list(self._listeners)
                    for each in listeners:
                        each.miss()
                    return []
                return await self._read_once(self.wire, left_s)
            except FaenaError:
                self.close()
                if time.monotonic() + pause_s > until_s:
                    raise
                await Bell(self._io).rest(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    async def _read_once(self, wire: Wire, left_s: float) -> list[Reply]:
        quiet_s = self._heard_at_s + _QUIET_S - time.monotonic()
        replies = await wire.pushed(max(0.0, min(left_s, quiet_s)))
        if not replies and quiet_s <= left_s:
            wire.send(pack(("PING",)), 0, time.monotonic() + self._timeout_s)
            replies = await wire.pushed(self._timeout_s)
            if not replies:
                raise ServerUnavailable("the subscription has gone silent")
        if replies:
            self._heard_at_s = time.monotonic()
        return replies

    async def _subscribe(self, driver: Driver, deadline: float) -> None:
        if self.wire is not None and not self.wire.is_broken:
            return
        wire = await driver.connect(deadline)
        wire.send(pack(("SUBSCRIBE", self._name)), 0, deadline)
        replies = await wire.pushed(max(0.0, deadline - time.monotonic()))
        if not replies or not isinstance(replies[0], list):
            wire.close()
            if replies:
                raise driver.error_of(replies[0])
            raise ServerUnavailable(f"{driver.location.shown}: it did not answer in time")
        self.wire, self._heard_at_s = wire, time.monotonic()
        self._dispatch(replies[1:])


# Blocking adapters of several threads share one subscription; those of an event loop share its driver.
_subscriptions: weakref.WeakValueDictionary[tuple[Location, int], Subscription] = weakref.WeakValueDictionary()
_finding = threading.Lock()


def subscription_for(driver: Driver) -> Subscription:
    """Return the subscription for a driver, which has to `leave` it."""
    key = (driver.location, os.getpid())
    with _finding:
        found = _subscriptions.get(key) if driver.io == "blocking" else None
        if found is None:
            found = Subscription(driver)
            if driver.io == "blocking":
                _subscriptions[key] = found
        found._users += 1
        return found
