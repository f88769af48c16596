"""The wire of a connection: what there is much of goes past aiormq, both ways.

    socket ──▶ Wire ──▶ lanes: deliveries, confirms ──▶ consumer, publisher
                 └────▶ aiormq: everything else (opening, TLS, declaring, consuming, closing, heartbeats, alarms)

aiormq makes a task of every message and a future of every frame. A lane stands for one of its channels and takes, of what
comes for that, the frames that come with each message; they are read where they arrive, with no task in between. All who
write write whole frames, so that aiormq and lanes may share the socket.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelClosed

from faena.drivers.rabbitmq import frames

_HEARTBEAT_EACH_S = 1.0


class Wire(asyncio.StreamReaderProtocol):
    """The protocol under aiormq's reader."""

    def __init__(self, reader: asyncio.StreamReader, *, tells_of_life: bool) -> None:
        super().__init__(reader, loop=asyncio.get_running_loop())
        self._tells_of_life = tells_of_life  # aiormq counts heartbeats, and is to know of what went past it
        self._told_at_s = 0.0
        self._rest = b""
        self._is_foreign = False  # no frames: aiormq says what is wrong
        self._lanes: dict[int, Lane] = {}
        self._news: list[Lane] = []
        self._transport_now: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport_now = cast("asyncio.WriteTransport", transport)  # uvloop's is none by name

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport_now = None
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            lane.end(exc or ConnectionError("the connection was lost"))
        super().connection_lost(exc)

    @property
    def is_lost(self) -> bool:
        return self._transport_now is None or self._transport_now.is_closing()

    def write(self, data: bytes) -> None:
        """Write whole frames."""
        if self._transport_now is None or self._transport_now.is_closing():  # `is_lost`
            raise ConnectionError("the connection was lost")
        self._transport_now.write(data)

    def abort(self) -> None:
        """End the connection here and now, whatever has not been sent yet."""
        if self._transport_now is not None:
            self._transport_now.abort()

    async def drain(self) -> None:
        """Wait until the socket takes more."""
        await self._drain_helper()  # type: ignore[attr-defined]  # what StreamWriter.drain calls

    def add(self, lane: Lane) -> None:
        self._lanes[lane.number] = lane

    def remove(self, lane: Lane) -> None:
        if self._lanes.get(lane.number) is lane:
            del self._lanes[lane.number]

    def data_received(self, data: bytes) -> None:
        if self._is_foreign:
            super().data_received(data)
            return
        if self._rest:
            data = self._rest + data
        at, passed, end = 0, 0, len(data)  # what aiormq has not got yet begins at `passed`
        lanes = self._lanes
        while end - at >= frames.OVERHEAD:
            kind, number, size = frames.head(data, at)
            if kind not in frames.KINDS:
                self._is_foreign = True
                at = end
                break
            stop = at + frames.OVERHEAD + size
            if stop > end:
                break
            lane = lanes.get(number)
            if lane is not None and lane.take(kind, data, at + 7, stop - 1):
                if passed < at:
                    super().data_received(data[passed:at])
                passed = stop
            at = stop
        if passed < at:
            super().data_received(data[passed:at])
        self._rest = data[at:]
        if self._news:
            self._tell()
        if self._tells_of_life and lanes and (now_s := time.monotonic()) - self._told_at_s > _HEARTBEAT_EACH_S:
            self._told_at_s = now_s
            super().data_received(frames.HEARTBEAT)

    def has_news(self, lane: Lane) -> None:
        self._news.append(lane)

    def _tell(self) -> None:
        news, self._news = self._news, []
        for lane in news:
            lane.tell()


class Lane:
    """One channel of a connection, and what comes for it. Made when aiormq has opened the channel; ends with it."""

    def __init__(self, wire: Wire, channel: AbstractChannel) -> None:
        self.channel, self.number = channel, int(channel.number)
        self.wire = wire
        self._error: BaseException | None = None
        self._method: tuple[int, bytes] | None = None  # of the message whose header and body are still to come
        self._header: bytes = b""
        self._parts: list[bytes] = []
        self._missing = 0
        self._has_news = False
        wire.add(self)
        channel.closing.add_done_callback(self._closed)

    @property
    def is_closed(self) -> bool:
        return self._error is not None

    def take(self, kind: int, data: bytes, at: int, stop: int) -> bool:
        """Take one frame, whose payload stands at `at` to `stop`; False: it is for aiormq."""
        if kind == frames.METHOD:
            (code,) = frames.method_of(data, at)
            if code == frames.DELIVER or code == frames.RETURN:
                self._method = code, data[at + 4 : stop]
                return True
            if code == frames.CHANNEL_CLOSE or code == frames.CHANNEL_CLOSE_OK:
                self.wire.remove(self)  # its number may be another's soon
                return False
            return self.on_method(code, data, at + 4)
        if self._method is None:
            return False  # of a message that aiormq has asked for
        if kind == frames.HEADER:
            (self._missing,) = frames.size_of(data, at + 4)
            self._header = data[at:stop]
            if self._missing:
                return True
        elif kind == frames.BODY:
            self._missing -= stop - at
            if self._missing > 0:
                self._parts.append(data[at:stop])
                return True
        else:
            return False
        self._complete(data[at:stop] if kind == frames.BODY else b"")
        return True

    def end(self, error: BaseException) -> None:
        """Nothing comes any more."""
        if self._error is None:
            self._error = error
            self.wire.remove(self)
            self.on_end(error)

    def check(self) -> None:
        """Raise what has ended it."""
        if self._error is not None:
            raise self._error

    def tell(self) -> None:
        self._has_news = False
        self.on_news()

    def on_method(self, code: int, data: bytes, at: int) -> bool:
        """Take a method; False: it is for aiormq."""
        raise NotImplementedError

    def on_message(self, code: int, method: bytes, header: bytes, body: bytes) -> None:
        raise NotImplementedError

    def on_news(self) -> None:
        """Called once for all that has come in one piece."""

    def on_end(self, error: BaseException) -> None:
        raise NotImplementedError

    def _complete(self, last: bytes) -> None:
        assert self._method is not None
        (code, method), self._method = self._method, None
        if self._parts:
            self._parts.append(last)
            last = b"".join(self._parts)
            self._parts = []
        if not self._has_news:
            self._has_news = True
            self.wire.has_news(self)
        self.on_message(code, method, self._header, last)

    def _closed(self, closing: asyncio.Future[Any]) -> None:
        error = None if closing.cancelled() else closing.exception()
        # A CancelledError, which aiormq may close with, would be taken for that of the task that waits.
        self.end(error if isinstance(error, Exception) else ChannelClosed(None, "the channel was closed"))
