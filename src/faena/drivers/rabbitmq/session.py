"""One connection to the server, on one event loop: opened to the first node that answers, and what it has declared."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.connection import TransportFactory
from yarl import URL

from faena._lib.deadline import deadline_in
from faena.drivers.rabbitmq.faults import BROKEN, not_cancelled, translated
from faena.drivers.rabbitmq.location import Location, Node
from faena.drivers.rabbitmq.wire import Wire
from faena.errors import ServerBlocked, ServerRefused

logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what it complains of, it also raises, and we say it

_CLOSING_S = 1.0
_LONGEST_FRAME = 131072  # where the server sets no bound
_leaving: set[asyncio.Task[None]] = set()  # a loop keeps no hold of its tasks
# A machine that is gone is noticed in 30 s. While there is something to send, the kernel proves nothing without the last of
# these, and tries for a quarter of an hour.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 30_000))


class Session:
    """A connection, from its opening to its first error; `name` is what the server's operators see."""

    def __init__(self, location: Location, connection: AbstractConnection, wire: Wire) -> None:
        self.location, self.connection, self.wire = location, connection, wire
        self.declared: set[str] = set()  # what is known to be there; see `declaring`
        self._is_silent = False  # it has left a call without an answer: its other end may be gone, and nobody says so

    @property
    def is_open(self) -> bool:
        if self._is_silent or self.wire.is_lost:
            return False
        return not self.connection.is_closed and bool(getattr(self.connection, "is_opened", True))

    @property
    def longest_frame(self) -> int:
        """Return how many bytes a frame may have."""
        return int(getattr(self.connection, "connection_tune").frame_max) or _LONGEST_FRAME  # noqa: B009 - of no contract

    @property
    def server(self) -> int:
        """Return the first number of the server's version."""
        properties: dict[str, Any] = dict(getattr(self.connection, "server_properties", None) or {})
        first = str(properties.get("version", "")).partition(".")[0]
        return int(first) if first.isdigit() else 0

    async def channel(self, *, confirms: bool = False) -> AbstractChannel:
        """Return a new channel. Raises ServerUnavailable, ServerRefused."""
        async with self.translating():
            return await self.connection.channel(publisher_confirms=confirms)

    @asynccontextmanager
    async def translating(self, timeout_s: float | None = None) -> AsyncIterator[None]:
        """Let what is done within take no longer than a call may, and raise our errors."""
        left_s = deadline_in(self.location.timeout_s) - time.monotonic() if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(max(0.001, left_s)):
                with not_cancelled():
                    yield
        except BROKEN as error:
            if isinstance(error, TimeoutError) and await self._is_blocked():
                raise ServerBlocked(
                    f"{self.location.shown}: it takes no messages at present: its memory or disk alarm is set; "
                    "free some, or raise vm_memory_high_watermark or disk_free_limit"
                ) from error
            if isinstance(error, TimeoutError) and left_s >= self.location.timeout_s / 2:  # no impatience of the caller's
                self._is_silent = True
            raise translated(self.location.shown, error) from error

    async def close(self) -> None:
        """Take leave; of one that does not answer in the background, so that nobody waits for that."""
        if not self._is_silent:
            await self._take_leave()
            return
        leaving = asyncio.get_running_loop().create_task(self._take_leave())
        _leaving.add(leaving)
        leaving.add_done_callback(_leaving.discard)

    async def _take_leave(self) -> None:
        # aiormq's closing waits until the socket has taken all that was written, and cannot be cancelled; cut, it ends.
        # Left open, it would live on: what it holds would be nobody's, and what was written would be sent after all,
        # long after it was told that it could not be.
        cut = asyncio.get_running_loop().call_later(2 * _CLOSING_S, self.wire.abort)
        try:
            # The channels first: their answers tell aiormq that the server is there, so that it takes its leave properly.
            with suppress(*BROKEN), not_cancelled():
                async with asyncio.timeout(_CLOSING_S):
                    for channel in list((self.connection.channels or {}).values()):
                        if channel is not None:
                            await channel.close()
            with suppress(*BROKEN), not_cancelled():
                async with asyncio.timeout(_CLOSING_S):
                    await self.connection.close()
        finally:
            cut.cancel()
            self.wire.abort()

    async def _is_blocked(self) -> bool:
        if not self.is_open:
            return False
        try:
            async with asyncio.timeout(0.01):
                await self.connection.ready()
        except BROKEN:
            return self.is_open
        return False


async def open_session(location: Location, name: str) -> Session:
    """Connect to the first node that answers. Raises ServerUnavailable, ServerRefused."""
    until_s = deadline_in(location.timeout_s)
    error: Exception | None = None
    transport = _Transport(location)
    for node in location.nodes:
        left_s = max(0.001, min(location.connect_timeout_s, until_s - time.monotonic()))
        try:
            async with asyncio.timeout(left_s):
                with not_cancelled():
                    connection = await aiormq.connect(
                        _url_of(location, node),
                        transport_factory=transport,
                        client_properties={"connection_name": name},
                    )
        except BROKEN as failed:
            error = translated(location.shown, failed)
            error.__cause__ = failed
            if isinstance(error, ServerRefused):
                break
            continue
        assert transport.wire is not None  # a connection has one
        return Session(location, connection, transport.wire)
    assert error is not None  # a location has a node
    raise error


def _url_of(location: Location, node: Node) -> URL:
    return URL.build(
        scheme="amqps" if location.is_tls else "amqp",
        user=node.username,
        password=node.password,
        host=node.host,
        port=node.port,
        path="/" + location.virtual_host,
        query={"heartbeat": str(location.heartbeat_s)},
    )


def _tls_context(location: Location) -> ssl.SSLContext | None:
    if not location.is_tls:
        return None
    context = ssl.create_default_context(cafile=location.ssl_ca_certs)
    if location.ssl_certfile:
        context.load_cert_chain(location.ssl_certfile, location.ssl_keyfile)
    if not location.ssl_check:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class _Transport(TransportFactory):
    """Connects, and lets the kernel prove that this machine is there, whatever the process does (law 2)."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self.wire: Wire | None = None  # of the latest connection

    async def create(self, url: URL, **__: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        wire = self.wire = Wire(reader, tells_of_life=self._location.heartbeat_s > 0)
        transport, _ = await loop.create_connection(
            lambda: wire, url.host or "", url.port or 0, ssl=_tls_context(self._location)
        )
        writer = asyncio.StreamWriter(transport, wire, reader, loop)
        sock = writer.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEP_ALIVE:
                if hasattr(socket, option):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        return reader, writer
