"""What a broker and a backend on one server share: a connection for calls, and how others are made.

Every script may be sent again without harm, so a call that finds its connection gone is sent once more on a new one, within
its deadline. What was lost for longer is for the caller to try again.
"""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

from faena._lib.deadline import deadline_in
from faena.drivers.redis.connecting import connect
from faena.drivers.redis.faults import translated
from faena.drivers.redis.location import Address, Location, locate
from faena.drivers.redis.scripts import script
from faena.drivers.redis.wire import Reply, ReplyError, Wire, Word, pack
from faena.errors import ServerUnavailable
from faena.types import Io

_MOVED = re.compile(r"(?:^|\s|-)MOVED \d+ (\S*):(\d+)")
_LOST_ROLE = re.compile(r"\b(?:READONLY|MASTERDOWN|UNBLOCKED|CLUSTERDOWN)\b")
_KEPT_MOST, _KEPT_S = 1000, 1.0


class Expectant(Protocol):
    """One who has just waited for the result of what had been sent last, and is likely to do so again."""

    def expect(self, task_id: str) -> str | None:
        """Be ready for the result of what is about to be sent; return the channel to tell it to, None: say nothing."""
        ...

    def expect_no_more(self, task_id: str) -> None: ...


class Driver:
    """Shared by the adapters that `connect` to one server in one thread with the same options."""

    def __init__(self, location: Location, io: Io) -> None:
        self.location, self.pid = location, os.getpid()
        self.io: Io = io
        self.prefix = location.key_prefix
        self.moved_to: Address | None = None
        self.loop: Any = None
        self.wire: Wire | None = None
        self.lock: Any = threading.Lock() if io == "blocking" else nullcontext()
        self._connecting: Any = None  # of an event loop: those who come together make one connection
        self._users = 0
        self._is_closed = False
        self._kept: dict[str, tuple[bytes, float]] = {}
        self.sent_last = ""  # the id of the message that was sent last, by itself
        self.expectant: Expectant | None = None  # is told what is sent next
        self.subscription: Any = None  # of those who watch results (`subscription.Subscription`)

    # -- records that came along with the news of them -------------------------------------------------------

    def keep(self, task_id: str, value: bytes) -> None:
        """Keep a record that does not change any more for the `read` that follows the news of it."""
        if len(self._kept) >= _KEPT_MOST:
            self._kept.clear()
        self._kept[task_id] = (value, time.monotonic() + _KEPT_S)

    def take_kept(self, task_id: str) -> bytes | None:
        found = self._kept.pop(task_id, None) if self._kept else None
        return None if found is None or found[1] < time.monotonic() else found[0]

    # -- calls ---------------------------------------------------------------------------------------------

    def run(self, name: str, *words: Word, held: str | None = None) -> Coroutine[Any, Any, Reply]:
        """Run a script on our keys; return its reply. `held`: the holder whose hash it needs."""
        keys = (self.prefix,) if held is None else (self.prefix, f"{self.prefix}h:{held}")
        return self.run_on(name, keys, words)

    async def run_on(self, name: str, keys: Sequence[str], words: Sequence[Word]) -> Reply:
        wanted = script(name)
        reply = await self.call(pack(("EVALSHA", wanted.sha, len(keys), *keys, *words)))
        if isinstance(reply, ReplyError) and is_noscript(reply):
            reply = await self.call(pack(("EVAL", wanted.source, len(keys), *keys, *words)))
        if isinstance(reply, ReplyError):
            raise self.error_of(reply)
        return reply

    async def command(self, *words: Word) -> Reply:
        reply = await self.call(pack(words))
        if isinstance(reply, ReplyError):
            raise self.error_of(reply)
        return reply

    async def call(self, data: bytes) -> Reply:
        """Send one command; return its reply, which may be an error."""
        deadline = deadline_in(self.location.timeout_s)
        try:
            with self.lock:
                for attempt in (1, 2):
                    wire = self.wire
                    is_new = wire is None or wire.is_broken or self.pid != os.getpid()
                    if is_new:
                        wire = await self._connected(deadline)
                    assert wire is not None
                    try:
                        reply = await wire.ask(data, deadline)
                    except ServerUnavailable as error:
                        if is_new or attempt == 2 or isinstance(error.__cause__, TimeoutError | BlockingIOError):
                            raise
                        continue
                    except BaseException:
                        self.break_off(wire)
                        raise
                    if attempt == 1 and isinstance(reply, ReplyError) and self.is_moved(reply):
                        self._drop()
                        continue
                    return reply
            raise AssertionError("unreachable")
        finally:
            if self._is_closed:  # called late, by one who was waiting when it was closed: leave nothing open
                self._drop()

    def break_off(self, wire: Wire) -> None:
        """Give a connection up that was left in the middle of a call: by a time limit, or by Ctrl-C.

        A blocking one would read the reply of that call for that of the next; one on an event loop counts replies.
        """
        if self.io == "blocking":
            wire.close()

    def is_moved(self, error: ReplyError) -> bool:
        """Note where our keys are now, if that is what the error says."""
        found = _MOVED.search(str(error))
        if found is None:
            return False
        host = found[1] or self.location.addresses[0][0]
        self.moved_to = (host, int(found[2]))
        return True

    def error_of(self, error: ReplyError) -> Exception:
        """Return what to raise; a server that may not be the right one any more is asked for anew."""
        if self.is_moved(error) or _LOST_ROLE.search(str(error)):
            self._drop()
        return translated(self.location.shown, error)

    # -- connections ---------------------------------------------------------------------------------------

    async def connect(self, deadline: float | None = None) -> Wire:
        """Return a connection for one who waits."""
        if deadline is None:
            deadline = deadline_in(self.location.timeout_s)
        try:
            return await connect(self.location, self.io, self.moved_to, deadline)
        except ServerUnavailable:
            self.moved_to = None
            raise

    async def _connected(self, deadline: float) -> Wire:
        if self.io == "blocking":
            self._drop()
            wire = self.wire = await self.connect(deadline)
            self.pid = os.getpid()
            return wire
        import asyncio

        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self.wire is None or self.wire.is_broken:
                self.wire = await self.connect(deadline)
                self.loop = asyncio.get_running_loop()
            return self.wire

    def _drop(self) -> None:
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.close()

    async def open(self) -> None:
        """Connect; say at once where that cannot be."""
        self._is_closed = False
        await self.command("EXISTS", f"{self.prefix}leases")
        self._users += 1

    async def close(self, *, was_open: bool) -> None:
        """Close with the last of those who opened it; who uses it again connects again."""
        self._users -= was_open
        if self._users <= 0:
            self._is_closed = True
            subscription, self.subscription = self.subscription, None
            if subscription is not None:
                subscription.leave()
            self._drop()


def is_noscript(error: ReplyError) -> bool:
    return str(error).startswith("NOSCRIPT")


# Adapters that are made apart find one another here: they settle in one step, on one connection.
_drivers: weakref.WeakValueDictionary[tuple[Location, Io, int, int], Driver] = weakref.WeakValueDictionary()
_finding = threading.Lock()


def driver_for(url: str, io: Io, options: Mapping[str, object]) -> Driver:
    """Return the driver of this thread for the server; nothing is opened yet."""
    key = (locate(url, options), io, threading.get_ident(), os.getpid())
    with _finding:
        driver = _drivers.get(key)
        if driver is None or (io == "asyncio" and driver.loop is not None and driver.loop is not _running_loop()):
            driver = _drivers[key] = Driver(key[0], io)
        return driver


def _running_loop() -> Any:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
