"""One of the brokers that a process receives from: while it is wanted, and apart from the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from faena.errors import LeaseLost
from faena.model.delivery import Delivery, Malformed
from faena.worker.connection import Connection
from faena.worker.vital import vital

_WAIT_S = 8.0  # of one fetch


class Source:
    """Receives into its buffer, once for each time that it is wanted. `came` is called when something lies there."""

    def __init__(
        self,
        name: str,
        connection: Connection,
        *,
        came: Callable[[], None],
        lost: Callable[[Source, LeaseLost], None],
        ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self.name, self.connection, self._came, self._lost = name, connection, came, lost
        self.buffer: deque[Delivery | Malformed] = deque()
        self._limit = 0  # 0: nothing is wanted
        self._is_on, self._is_closing = True, False
        self._wanted = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(vital(self._receive_forever()))
        self._task.add_done_callback(ended)
        self._ending: asyncio.Task[None] | None = None

    def turn(self, is_on: bool) -> None:
        """Say whether there is anything to receive from it."""
        self._is_on = is_on

    def want(self, limit: int) -> None:
        """Receive up to so many, unless that is going on already."""
        if self._is_on and not self._limit and not self.buffer:
            self._limit = limit
            self._wanted.set()

    def rest(self) -> None:
        """Receive no more until it is wanted again."""
        if self._limit:
            self._limit = 0
            self.connection.interrupt()

    def end(self) -> None:
        """Close it, without waiting for that."""
        self._ending = asyncio.get_running_loop().create_task(self.close(_WAIT_S))

    async def close(self, within_s: float) -> None:
        self._is_on, self._is_closing = False, True
        self.rest()
        self._wanted.set()
        await asyncio.wait([self._task], timeout=within_s)
        self._task.cancel()
        try:
            async with asyncio.timeout(within_s):
                await self.connection.close()
        except TimeoutError:
            pass

    async def _receive_forever(self) -> None:
        while not self._is_closing:
            await self._wanted.wait()
            while self._limit:
                try:
                    batch = await self.connection.receive(self._limit, _WAIT_S)
                    if batch:
                        batch = await self.connection.with_inputs([replace(item, source=self.name) for item in batch])
                except LeaseLost as error:
                    self._is_on, self._limit = False, 0
                    self._lost(self, error)
                    return
                if batch:
                    self._limit = 0
                    self.buffer.extend(batch)
                    self._came()
            self._wanted.clear()
