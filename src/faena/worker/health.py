"""Health for probes: a file that is fresh while the worker lives, and an HTTP endpoint.

`/healthz` says that the supervisor turns, `/readyz` that processes work and leases are renewed; both answer 200 or 503 with
the numbers as JSON. The address is a loopback one unless the setting says otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

import msgspec

log = logging.getLogger("faena.worker")

Report = Callable[[], tuple[bool, dict[str, Any]]]

_EVERY_S = 2.0
_REQUEST_TIMEOUT_S = 5.0
_LONGEST_REQUEST = 8192


class HealthFile:
    """A JSON file, written anew every two seconds; it is removed at the end."""

    def __init__(self, path: str, report: Report) -> None:
        self._path, self._report = path, report

    async def write_forever(self) -> None:
        try:
            while True:
                self._write()
                await asyncio.sleep(_EVERY_S)
        finally:
            self._remove()

    def _remove(self) -> None:
        if os.path.exists(self._path):
            os.unlink(self._path)

    def _write(self) -> None:
        ready, numbers = self._report()
        if not ready:
            self._remove()
            return
        try:
            with open(f"{self._path}.new", "wb") as file:
                file.write(msgspec.json.encode(numbers))
            os.replace(f"{self._path}.new", self._path)  # a probe never sees half a file
        except OSError as error:
            log.warning("the health file cannot be written: %s", error)


class HealthServer:
    """A few lines of HTTP, for probes only."""

    def __init__(self, address: str, report: Report) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port, self._report = host.strip("[]"), int(port), report

    async def serve_forever(self) -> None:
        try:
            server = await asyncio.start_server(self._answer, self._host, self._port, limit=_LONGEST_REQUEST)
        except OSError as error:
            log.error("no health endpoint at %s:%d: %s", self._host, self._port, error)
            return
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                request = await reader.readuntil(b"\r\n\r\n")
            method, path, *_ = request.split(b" ", 2)
            status, body = self._look(method, path.partition(b"?")[0])
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + (b"" if method == b"HEAD" else body))
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # a probe that says nothing sensible gets no answer
        finally:
            writer.close()

    def _look(self, method: bytes, path: bytes) -> tuple[str, bytes]:
        ready, numbers = self._report()
        body = msgspec.json.encode(numbers)
        if method not in (b"GET", b"HEAD"):
            return "405 Method Not Allowed", b"{}"
        if path == b"/readyz":
            return ("200 OK" if ready else "503 Service Unavailable"), body
        if path in (b"/healthz", b"/livez", b"/"):
            return "200 OK", body
        return "404 Not Found", b"{}"
