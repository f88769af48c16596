"""One connection to a server: bytes out, replies in, with a deadline, blocking or on an event loop.

A client library would cost more than anything else on the way (docs/internals/redis.md): only its parser is used, which is
written in C. Whoever sends says how many replies belong to it. A wire that failed stays broken: make another one.

    send(data, count) ─▶ call      await ready(call, ...)    whether its first reply is there
                                   await replies(call, ...)  all of them; errors of the server are values
"""

from __future__ import annotations

import secrets
import select
import socket
import struct
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import hiredis

from faena.drivers.redis.faults import unreachable
from faena.drivers.signals import Alarm
from faena.errors import FaenaError

if TYPE_CHECKING:
    import asyncio

_READ_BYTES, _NEWS_BYTES, _SMALL_BYTES = 64 * 1024, 8 * 1024, 256
_ONE = b":1\r\n"
_TIMEVAL = struct.Struct("ll")
Reply: TypeAlias = Any
ReplyError = hiredis.ReplyError
Word: TypeAlias = str | bytes | int
pack = cast("Callable[[tuple[Word, ...]], bytes]", hiredis.pack_command)  # its own stub knows commands of one word only


class Call:
    """What was sent, and the replies that have come."""

    __slots__ = ("count", "deadline", "found", "future")

    def __init__(self, count: int, deadline: float) -> None:
        self.count, self.deadline = count, deadline
        self.found: list[Reply] = []
        self.future: asyncio.Future[None] | None = None


class Wire(Protocol):
    """See above. `on_push` takes what comes without having been asked for (messages of a subscription)."""

    client_id: int | None  # what the server numbers it by, until it starts anew
    name: str  # what the server is told to call it

    @property
    def is_broken(self) -> bool: ...

    def send(self, data: bytes, count: int, deadline: float) -> Call: ...

    async def ask(self, data: bytes, deadline: float) -> Reply:
        """Send what has one reply, and return that: what `send` and `replies` do, with less on the way."""
        ...

    async def ready(self, call: Call, timeout_s: float, alarm: Alarm | None) -> bool:
        """Wait for the first reply; False: the alarm rang (and is left so), or the time is up."""
        ...

    async def replies(self, call: Call) -> list[Reply]:
        """Return all replies. Raises ServerUnavailable: they do not come, or not before the deadline of the call."""
        ...

    async def pushed(self, timeout_s: float) -> list[Reply]:
        """Return what has come without having been asked for, waiting for the first; empty after the time."""
        ...

    def close(self) -> None: ...


class BlockingWire:
    """Waits on the calling thread. Used by one thread at a time."""

    def __init__(self, sock: socket.socket, shown: str) -> None:
        self._sock, self._shown = sock, shown
        weakref.finalize(self, sock.close)  # threads come and go, and what they held goes with them
        self._reader = hiredis.Reader()
        # Python bounds a wait by polling before each read and write; the kernel does it for nothing. Not under TLS, whose
        # reads are made of several.
        self._in_kernel = not hasattr(sock, "pending")
        self._bound_s = 0.0
        self._is_ready = False  # it was seen that there is something to read, and it was not read yet
        if self._in_kernel:
            sock.settimeout(None)
        self._error: FaenaError | None = None
        self._pushed: list[Reply] = []
        self._polls: dict[int, select.poll] = {}  # what it waits with, by the descriptor of the alarm beside it; -1: none
        self.client_id: int | None = None
        self.name = f"faena-{secrets.token_hex(6)}"

    @property
    def is_broken(self) -> bool:
        return self._error is not None

    @property
    def is_plain(self) -> bool:
        """Whether what is readable of its socket is what there is to read: not under TLS."""
        return self._in_kernel

    def send(self, data: bytes, count: int, deadline: float) -> Call:
        try:
            self._bound(deadline)
            self._sock.sendall(data)
        except (OSError, ValueError) as error:
            raise self._broken(error) from error
        return Call(count, deadline)

    async def ask(self, data: bytes, deadline: float) -> Reply:
        reader = self._reader
        try:
            self._bound(deadline)
            self._sock.sendall(data)
            while (reply := reader.gets()) is False:
                self._read()
                if (reply := reader.gets()) is not False:
                    return reply
                self._bound(deadline)
        except (OSError, ValueError, hiredis.ProtocolError) as error:
            raise self._broken(error) from error
        return reply

    def exchange(self, data: bytes, within_s: float, before: bytes = b"") -> Reply:
        """Do as `ask`, without a coroutine. The usual reply of a script, a one, is told by its bytes.

        `before`: the reply to a command that goes before it, as bytes.
        """
        try:
            if self._error is not None or not within_s * 0.9 <= self._bound_s <= within_s * 1.1 + 0.05:
                self._bound(time.monotonic() + within_s)
            self._sock.sendall(data)
            found = self._sock.recv(_SMALL_BYTES)
            if found == before + _ONE:
                return 1
            deadline = time.monotonic() + within_s
            while True:
                if not found:
                    raise ConnectionError("the server closed the connection")
                self._reader.feed(found)
                while (reply := self._reader.gets()) is not False:
                    if not before:
                        return reply
                    before = b""
                self._bound(deadline)
                found = self._sock.recv(_READ_BYTES)
        except (OSError, ValueError, hiredis.ProtocolError) as error:
            raise self._broken(error) from error

    async def ready(self, call: Call, timeout_s: float, alarm: Alarm | None) -> bool:
        if call.found:
            return True
        self._is_ready = self._is_readable(timeout_s, alarm)
        return self._is_ready

    def parked(self, data: bytes, count: int, wait_s: float, deadline: float, alarm: Alarm) -> Call:
        """Send what has so many replies, and wait: what comes together is in the call that is returned.

        Nothing is in it where the alarm rang, or the time was up. All in one function: after a pause its code is cold, and
        each further one would take microseconds.
        """
        call, own_fd, alarm_fd = self.send(data, count, deadline), self._sock.fileno(), alarm.descriptor()
        poll = self._polls.get(alarm_fd) or self._poll_with(alarm_fd)
        reader, found, recv = self._reader, call.found, self._sock.recv
        if alarm.is_raised:
            return call
        ready = poll.poll(wait_s * 1000)
        try:
            if ready and ready[0][0] == own_fd:
                came = recv(_READ_BYTES)
                if not came:
                    raise ConnectionError("the server closed the connection")
                reader.feed(came)
                while (reply := reader.gets()) is not False:
                    found.append(reply)
        except (OSError, hiredis.ProtocolError) as error:
            raise self._broken(error) from error
        return call

    async def replies(self, call: Call) -> list[Reply]:
        found, reader = call.found, self._reader
        try:
            if self._is_ready:  # a message that has come alone: nothing is asked that is known
                self._is_ready = False
                self._read()
            while len(found) < call.count:
                reply = reader.gets()
                if reply is False:
                    self._bound(call.deadline)
                    self._read()
                else:
                    found.append(reply)
        except (OSError, hiredis.ProtocolError) as error:
            raise self._broken(error) from error
        return found

    async def pushed(self, timeout_s: float) -> list[Reply]:
        return self.heard(timeout_s)

    def heard(self, timeout_s: float) -> list[Reply]:
        """Do as `pushed`, without a coroutine."""
        found: list[Reply] = []
        reader = self._reader
        try:
            while True:
                while (reply := reader.gets()) is not False:
                    found.append(reply)
                if found or not self._is_readable(timeout_s, None):
                    return found
                if not self._in_kernel:  # under TLS there may be less than can be read
                    self._bound(time.monotonic() + 1.0)
                self._read(_NEWS_BYTES)
        except (OSError, hiredis.ProtocolError) as error:
            raise self._broken(error) from error

    def close(self) -> None:
        if self._error is None:
            self._error = unreachable(self._shown, ConnectionError("the connection was closed"))
        self._sock.close()

    def _is_readable(self, timeout_s: float, alarm: Alarm | None) -> bool:
        if self._error is not None:
            raise self._error
        if not self._in_kernel and cast("Any", self._sock).pending():  # TLS: read from the socket already, and not by us
            return True
        alarm_fd = -1 if alarm is None else alarm.descriptor()
        poll = self._polls.get(alarm_fd) or self._poll_with(alarm_fd)
        if alarm is None:
            return bool(poll.poll(max(0.0, timeout_s) * 1000))
        if alarm.is_raised:
            return False
        own_fd = self._sock.fileno()
        return own_fd in [fd for fd, _ in poll.poll(max(0.0, timeout_s) * 1000)]

    def _poll_with(self, alarm_fd: int) -> select.poll:
        poll = self._polls[alarm_fd] = select.poll()
        poll.register(self._sock, select.POLLIN)
        if alarm_fd >= 0:
            poll.register(alarm_fd, select.POLLIN)
        return poll

    def _read(self, most_bytes: int = _READ_BYTES) -> None:
        data = self._sock.recv(most_bytes)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._reader.feed(data)

    def _bound(self, deadline: float) -> None:
        if self._error is not None:
            raise self._error
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        if not self._in_kernel:
            self._sock.settimeout(left_s)
        elif not left_s * 0.9 <= self._bound_s <= left_s * 1.1 + 0.05:
            self._bound_s = left_s
            limit = _TIMEVAL.pack(int(left_s), int(left_s % 1 * 1e6))
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def _broken(self, error: BaseException) -> FaenaError:
        if isinstance(error, FaenaError):
            return error
        self._error = unreachable(self._shown, TimeoutError() if isinstance(error, BlockingIOError) else error)
        self._sock.close()
        return self._error


class ProtocolWire:
    """A protocol on an event loop. What is sent first in a turn of the loop goes out at once, the rest in one write."""

    def __init__(self, loop: asyncio.AbstractEventLoop, shown: str) -> None:
        self._loop, self._shown = loop, shown
        self._transport: Any = None
        self._reader = hiredis.Reader()
        self._calls: deque[Call] = deque()
        self._out: list[bytes] = []
        self._is_turning = False  # something was written in this turn of the loop: what follows goes out together
        self._error: FaenaError | None = None
        self._pushed: list[Reply] = []
        self._push_waiter: asyncio.Future[None] | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self.client_id: int | None = None
        self.name = f"faena-{secrets.token_hex(6)}"

    @property
    def is_broken(self) -> bool:
        return self._error is not None

    def send(self, data: bytes, count: int, deadline: float) -> Call:
        if self._error is not None:
            raise self._error
        call = Call(count, deadline)
        if count:
            self._calls.append(call)
            if self._watchdog is None:
                self._watch(deadline)
        if self._is_turning:
            self._out.append(data)
        else:
            self._is_turning = True
            self._loop.call_soon(self._flush)
            self._transport.write(data)
        return call

    async def ask(self, data: bytes, deadline: float) -> Reply:
        return (await self.replies(self.send(data, 1, deadline)))[0]

    def _flush(self) -> None:
        self._is_turning = False
        out, self._out = self._out, []
        if self._error is None and out:
            self._transport.write(b"".join(out))

    async def ready(self, call: Call, timeout_s: float, alarm: Alarm | None) -> bool:
        if call.found:
            return True
        if alarm is not None and alarm.is_raised:
            return False
        future = call.future = self._loop.create_future()

        def end() -> None:
            if not future.done():
                future.set_result(None)

        timer = self._loop.call_later(max(0.0, timeout_s), end)
        if alarm is not None:
            self._loop.add_reader(alarm.descriptor(), end)
            if alarm.is_raised:  # looked at after the reader was there: no ring can fall between
                end()
        try:
            await future
        finally:
            call.future = None
            timer.cancel()
            if alarm is not None:
                self._loop.remove_reader(alarm.descriptor())
        if not call.found and self._error is not None:
            raise self._error
        return bool(call.found)

    async def replies(self, call: Call) -> list[Reply]:
        while len(call.found) < call.count:
            if self._error is not None:
                raise self._error
            call.future = self._loop.create_future()
            try:
                await call.future
            finally:
                call.future = None
        return call.found

    async def pushed(self, timeout_s: float) -> list[Reply]:
        if not self._pushed:
            if self._error is not None:
                raise self._error
            waiter = self._push_waiter = self._loop.create_future()
            timer = self._loop.call_later(max(0.0, timeout_s), _end, waiter)
            try:
                await waiter
            finally:
                self._push_waiter = None
                timer.cancel()
            if not self._pushed and self._error is not None:
                raise self._error
        found, self._pushed = self._pushed, []
        return found

    def close(self) -> None:
        self._fail(ConnectionError("the connection was closed"))

    # -- asyncio.Protocol ----------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                if not self._calls:
                    self._pushed.append(reply)
                    if self._push_waiter is not None:
                        _end(self._push_waiter)
                    continue
                call = self._calls[0]
                call.found.append(reply)
                if len(call.found) >= call.count:
                    self._calls.popleft()
                if call.future is not None and not call.future.done():
                    call.future.set_result(None)
        except hiredis.ProtocolError as error:
            self._fail(error)

    def eof_received(self) -> None:
        return None

    def connection_lost(self, error: BaseException | None) -> None:
        self._fail(error or ConnectionError("the server closed the connection"))

    def pause_writing(self) -> None:
        """What is sent is bounded by who waits for the replies."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    # -- within --------------------------------------------------------------------------------------------

    def _watch(self, deadline: float) -> None:
        """One timer for all calls: it looks at the oldest, and goes on to the next."""
        self._watchdog = self._loop.call_later(max(0.0, deadline - time.monotonic()), self._check)

    def _check(self) -> None:
        self._watchdog = None
        if self._calls:
            first = min(call.deadline for call in self._calls)
            if first <= time.monotonic():
                self._fail(TimeoutError())
            else:
                self._watch(first)

    def _fail(self, error: BaseException) -> None:
        if self._error is not None:
            return
        self._error = unreachable(self._shown, error)
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._transport is not None:
            self._transport.abort()
        calls, self._calls = self._calls, deque()
        for call in calls:
            if call.future is not None:
                _end(call.future)
        if self._push_waiter is not None:
            _end(self._push_waiter)


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
