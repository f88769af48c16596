"""Publish with confirms, in windows, into queues that are declared when they are first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiormq.abc import AbstractChannel
from aiormq.exceptions import PublishError

from faena.drivers.rabbitmq import topology
from faena.drivers.rabbitmq.declaring import ensure_dead, ensure_ladder, ensure_queue, forget
from faena.drivers.rabbitmq.faults import BROKEN, translated
from faena.drivers.rabbitmq.location import Location
from faena.drivers.rabbitmq.messages import Row
from faena.drivers.rabbitmq.session import Session, open_session
from faena.errors import FaenaError, PublishedInPart

_WINDOW = 512  # unconfirmed at once


class Publisher:
    """The publishing connection of one adapter. Another one consumes: an alarm of the server stops those who publish."""

    def __init__(self, location: Location, name: str) -> None:
        self._location, self._name = location, name
        self._session: Session | None = None
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    async def session(self) -> Session:
        """Return the open session. Raises ServerUnavailable, ServerRefused."""
        async with self._opening:
            if self._session is None or not self._session.is_open:
                if self._session is not None:
                    await self._session.close()
                self._session, self._channel = None, None
                self._session = await open_session(self._location, self._name)
            return self._session

    async def close(self) -> None:
        session, self._session, self._channel = self._session, None, None
        if session is not None:
            await session.close()

    async def publish(self, rows: Sequence[Row]) -> None:
        """Return when the server has confirmed all of them.

        Raises ServerUnavailable: it took none; PublishedInPart: it took some.
        """
        accepted: list[str] = []
        error: BaseException | None = None
        for at in range(0, len(rows), _WINDOW):
            window = rows[at : at + _WINDOW]
            try:
                # The deadline of the caller is for the first: what the server takes proves that it is there.
                outcomes = await self._publish_window(window, self._location.timeout_s if at else None)
            except FaenaError as failed:
                error = failed
                break
            accepted += [row.id for row, outcome in zip(window, outcomes, strict=True) if outcome is None]
            error = next((outcome for outcome in outcomes if outcome is not None), None)
            if error is not None:
                break
        if error is None:
            return
        if not isinstance(error, FaenaError):
            error, cause = translated(self._location.shown, error), error
            error.__cause__ = cause
        if accepted:
            raise PublishedInPart(accepted, len(rows)) from error
        raise error

    async def _publish_window(self, rows: Sequence[Row], timeout_s: float | None) -> list[BaseException | None]:
        """Return for each what went wrong; None: the server has it."""
        await self._prepare(rows)
        outcomes = await self._send(rows, timeout_s)
        returned = [at for at, outcome in enumerate(outcomes) if isinstance(outcome, PublishError)]
        if returned:  # somebody has deleted the queue
            session, again = await self.session(), [rows[at] for at in returned]
            for queue in {row.queue for row in again}:
                forget(session, queue)
            await self._prepare(again)
            for at, outcome in zip(returned, await self._send(again, timeout_s), strict=True):
                outcomes[at] = outcome
        return outcomes

    async def _prepare(self, rows: Sequence[Row]) -> None:
        session = await self.session()
        for row in {(row.name, row.due_at_s is None): row for row in rows}.values():
            if row.name == topology.dead_name(self._location, row.queue):
                await ensure_dead(session, row.queue)
                continue
            await ensure_queue(session, row.queue)
            if row.due_at_s is not None:
                await ensure_ladder(session, row.queue)

    async def _send(self, rows: Sequence[Row], timeout_s: float | None) -> list[BaseException | None]:
        session = await self.session()
        if self._channel is None or self._channel.is_closed:
            self._channel = await session.channel(confirms=True)
        channel = self._channel
        outcomes: list[BaseException | None] = [TimeoutError()] * len(rows)

        async def send(at: int, row: Row) -> None:
            exchange, key = row.route(self._location)
            try:
                await channel.basic_publish(
                    row.body, exchange=exchange, routing_key=key, properties=row.properties, mandatory=True
                )
                outcomes[at] = None
            except BROKEN as error:
                outcomes[at] = error

        async with session.translating(timeout_s):
            if len(rows) == 1:
                await send(0, rows[0])
            else:
                await asyncio.gather(*(send(at, row) for at, row in enumerate(rows)))
        return outcomes
