"""A few lines of HTTP, for probes and scrapes: one GET or HEAD for each connection, and no patience for who is slow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

log = logging.getLogger("faena.worker")

_SLOWEST_S = 5.0  # to send a request, and to take an answer
_LONGEST_REQUEST = 8192
_MOST_AT_ONCE = 32


class Page(Struct, frozen=True):
    """An answer: its status with its reason, such as "200 OK"."""

    status: str
    content: str
    body: bytes


Asked = Callable[[bytes, Mapping[bytes, bytes]], Awaitable[Page]]
"""Gives the page for a path, without what follows a "?"; the headers are given by their names in small letters."""


class Endpoint:
    """Serves the pages that `asked` gives at an address."""

    def __init__(self, host: str, port: int, asked: Asked) -> None:
        self._host, self._port, self._asked = host, port, asked
        self._connections: set[asyncio.Task[None]] = set()

    async def serve_forever(self, listening: Callable[[int], None] = lambda _: None) -> None:
        """Answer until cancelled; `listening` is told the port, which is any free one where 0 was asked for.

        Raises OSError: there is no such address here, or it is taken.
        """
        server = await asyncio.start_server(self._begin, self._host, self._port, limit=_LONGEST_REQUEST)
        try:
            listening(server.sockets[0].getsockname()[1])
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            for task in list(self._connections):
                task.cancel()  # nobody who is slow holds up a worker that ends

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _MOST_AT_ONCE:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._answer(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SLOWEST_S):
                request = await reader.readuntil(b"\r\n\r\n")
            method, path, headers = _read(request)
            page = await self._page(method, path, headers)
            head = f"HTTP/1.1 {page.status}\r\nContent-Type: {page.content}\r\nContent-Length: {len(page.body)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + (b"" if method == b"HEAD" else page.body))
            writer.write_eof()
            async with asyncio.timeout(_SLOWEST_S):
                await writer.drain()
                while await reader.read(_LONGEST_REQUEST):
                    pass  # until the other side has taken it all, and closes
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # who says nothing sensible, or takes nothing, gets no answer
        finally:
            writer.transport.abort()  # a mere close would keep what a slow one does not take

    async def _page(self, method: bytes, path: bytes, headers: Mapping[bytes, bytes]) -> Page:
        if method not in (b"GET", b"HEAD"):
            return Page("405 Method Not Allowed", "text/plain", b"only GET and HEAD are answered\n")
        try:
            return await self._asked(path, headers)
        except Exception:
            log.exception("no page for %s", path.decode(errors="replace"))
            return Page("500 Internal Server Error", "text/plain", b"the log says why\n")


def _read(request: bytes) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    """Return method, path and headers. Raises ValueError: it is no request."""
    first, *rest = request.split(b"\r\n")
    method, target, version = first.split(b" ")
    if not version.startswith(b"HTTP/"):
        raise ValueError("no HTTP")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in rest)}
    return method, target.partition(b"?")[0], headers
