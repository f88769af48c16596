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

from faena.worker.endpoint import Endpoint, Page

log = logging.getLogger("faena.worker")

Report = Callable[[], tuple[bool, dict[str, Any]]]

_EVERY_S = 2.0
_JSON = "application/json"


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
    """Answers probes at an address, HOST:PORT."""

    def __init__(self, address: str, report: Report) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port, self._report = host.strip("[]"), int(port), report

    async def serve_forever(self) -> None:
        try:
            await Endpoint(self._host, self._port, self._look).serve_forever()
        except OSError as error:
            log.error("no health endpoint at %s:%d: %s", self._host, self._port, error)

    async def _look(self, path: bytes, _: object) -> Page:
        ready, numbers = self._report()
        body = msgspec.json.encode(numbers)
        if path == b"/readyz":
            return Page("200 OK" if ready else "503 Service Unavailable", _JSON, body)
        if path in (b"/healthz", b"/livez", b"/"):
            return Page("200 OK", _JSON, body)
        return Page("404 Not Found", _JSON, b"{}")
