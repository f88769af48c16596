"""Wait on the server, and run a script the moment the wait ends.

    BLPOP wake:... T ┐ one write            the server parks the connection at the first command, and runs the
    EVALSHA script   ┘                      second as soon as a token, the time, or CLIENT UNBLOCK ends the first

So a wake-up costs no further round trip. Timers of the server are coarse (100 ms, redis.conf "hz"): who has to look sooner
than the end of the wait has itself unblocked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from faena._lib.deadline import deadline_in
from faena.drivers.redis.driver import Driver, is_noscript
from faena.drivers.redis.scripts import script
from faena.drivers.redis.wire import BlockingWire, Call, Reply, ReplyError, Wire, Word, pack
from faena.drivers.signals import Alarm

Words = tuple[Word, ...]


class Waiter:
    """A connection for one who waits. Used by one at a time; after an error it connects again."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._wire: Wire | None = None

    @property
    def client(self) -> tuple[int, str] | None:
        """Return number and name of the connection, as the server knows it."""
        wire = self._wire
        return None if wire is None or wire.client_id is None else (wire.client_id, wire.name)

    async def connected(self) -> bool:
        """Connect if there is no connection; say whether a new one was made."""
        if self._wire is not None and not self._wire.is_broken:
            return False
        self._wire = await self._driver.connect()
        return True

    def parked(
        self, wake: Sequence[str], wait_s: float, alarm: Alarm, name: str, keys: Sequence[str], words: Words
    ) -> Call | None:
        """Do what `run_after` does, without a coroutine, on a connection that stands; None: there is none.

        What has come together of its two replies is in the call that is returned; `rest` says what they mean.
        """
        wire = self._wire
        if type(wire) is not BlockingWire or wire.is_broken or not wire.is_plain:
            return None
        patience_s = wait_s + self._driver.location.timeout_s
        data = pack(("BLPOP", *wake, f"{max(0.001, wait_s):.3f}")) + _packed(name, keys, words)
        try:
            return wire.parked(data, 2, patience_s, time.monotonic() + patience_s, alarm)
        except BaseException:
            self._break_off()
            raise

    async def rest(self, call: Call, alarm: Alarm, name: str, keys: Sequence[str], words: Words) -> Reply:
        """Return the reply of the script of a call that was parked."""
        try:
            return await self._ended(call, 0.0, alarm, name, keys, words)
        except BaseException:
            self._break_off()
            raise

    async def run(self, name: str, keys: Sequence[str], words: Words) -> Reply:
        """Run a script at once."""
        await self.connected()
        try:
            call = self._sent(_packed(name, keys, words), 1, deadline_in(self._driver.location.timeout_s))
            return await self._last_of(call, name, keys, words)
        except BaseException:
            self._break_off()
            raise

    async def run_after(
        self,
        wake: Sequence[str],
        wait_s: float,
        rest_s: float,
        alarm: Alarm | None,
        name: str,
        keys: Sequence[str],
        words: Words,
    ) -> Reply:
        """Run a script after a token came, `wait_s` or `rest_s` is over, or the alarm rang."""
        await self.connected()
        try:
            return await self._after(wake, wait_s, rest_s, alarm, name, keys, words)
        except BaseException:
            self._break_off()
            raise

    async def token(self, key: str, wait_s: float) -> bool:
        """Wait for a token at `key`, and take it; False: the time is over."""
        await self.connected()
        assert self._wire is not None
        data = pack(("BLPOP", key, f"{max(0.001, wait_s):.3f}"))
        deadline = time.monotonic() + wait_s + self._driver.location.timeout_s
        (reply,) = await self._wire.replies(self._sent(data, 1, deadline))
        if isinstance(reply, ReplyError):
            error = self._driver.error_of(reply)
            self.close()
            raise error
        return reply is not None

    async def _after(
        self,
        wake: Sequence[str],
        wait_s: float,
        rest_s: float,
        alarm: Alarm | None,
        name: str,
        keys: Sequence[str],
        words: Words,
    ) -> Reply:
        timeout_s = self._driver.location.timeout_s
        data = pack(("BLPOP", *wake, f"{max(0.001, wait_s):.3f}")) + _packed(name, keys, words)
        call = self._sent(data, 2, time.monotonic() + wait_s + timeout_s)
        assert self._wire is not None
        # the end of the wait is left to the server, where nothing is due before
        return await self._ended(call, wait_s + timeout_s if rest_s >= wait_s else rest_s, alarm, name, keys, words)

    async def _ended(
        self, call: Call, wait_s: float, alarm: Alarm | None, name: str, keys: Sequence[str], words: Words
    ) -> Reply:
        assert self._wire is not None
        if not await self._wire.ready(call, wait_s, alarm):
            await self._driver.command("CLIENT", "UNBLOCK", self._wire.client_id or 0)
        return await self._last_of(call, name, keys, words)

    def _sent(self, data: bytes, count: int, deadline: float) -> Call:
        assert self._wire is not None
        return self._wire.send(data, count, deadline)

    async def _last_of(self, call: Call, name: str, keys: Sequence[str], words: Words) -> Reply:
        assert self._wire is not None
        reply = (await self._wire.replies(call))[-1]
        if isinstance(reply, ReplyError) and is_noscript(reply):
            again = pack(("EVAL", script(name).source, len(keys), *keys, *words))
            call = self._wire.send(again, 1, deadline_in(self._driver.location.timeout_s))
            (reply,) = await self._wire.replies(call)
        if isinstance(reply, ReplyError):
            error = self._driver.error_of(reply)
            self.close()
            raise error
        return reply

    def _break_off(self) -> None:
        if self._wire is not None:
            self._driver.break_off(self._wire)

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()


def _packed(name: str, keys: Sequence[str], words: Words) -> bytes:
    return pack(("EVALSHA", script(name).sha, len(keys), *keys, *words))
