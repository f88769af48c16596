"""Publish with confirms, in windows, into queues that are declared when they are first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiormq.exceptions import ChannelPreconditionFailed

from faena.drivers.rabbitmq import topology
from faena.drivers.rabbitmq.declaring import ensure_dead, ensure_ladder, ensure_queue, forget
from faena.drivers.rabbitmq.faults import NotTaken, largest_in, translated
from faena.drivers.rabbitmq.lanes import Confirms, Sending
from faena.drivers.rabbitmq.location import Location
from faena.drivers.rabbitmq.messages import Row
from faena.drivers.rabbitmq.session import Session, open_session
from faena.errors import FaenaError, MessageTooLarge, PublishedInPart

_WINDOW = 512  # unconfirmed at once


class Publisher:
    """The publishing connection of one adapter. Another one consumes: an alarm of the server stops those who publish."""

    def __init__(self, location: Location, name: str) -> None:
        self._location, self._name = location, name
        self._session: Session | None = None
        self._lane: Confirms | None = None
        self._opening = asyncio.Lock()

    @property
    def location(self) -> Location:
        return self._location

    async def session(self) -> Session:
        """Return the open session. Raises ServerUnavailable, ServerRefused."""
        session = self._session
        if session is not None and session.is_open:
            return session
        async with self._opening:
            if self._session is None or not self._session.is_open:
                if self._session is not None:
                    await self._session.close()
                self._session, self._lane = None, None
                self._session = await open_session(self._location, self._name)
            return self._session

    async def close(self) -> None:
        session, self._session, self._lane = self._session, None, None
        if session is not None:
            await session.close()

    async def publish(self, rows: Sequence[Row]) -> None:
        """Return when the server has confirmed all of them.

        Raises ServerUnavailable: it took none; PublishedInPart: it took some; MessageTooLarge: one is.
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
            wrong = [outcome for outcome in outcomes if outcome is not None]
            error = next((each for each in wrong if isinstance(each, MessageTooLarge)), wrong[0] if wrong else None)
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
        returned = [at for at, outcome in enumerate(outcomes) if isinstance(outcome, NotTaken) and outcome.is_returned]
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
        lane = await self._open_lane(session)
        sending = Sending(rows)
        try:
            async with session.translating(timeout_s):
                await session.connection.ready()  # under an alarm it would wait in our memory, and be sent after all
                await lane.publish(sending)
        except FaenaError as error:
            sending.give_up(error)
        return [_told(row, outcome) for row, outcome in zip(rows, sending.outcomes, strict=True)]

    async def _open_lane(self, session: Session) -> Confirms:
        if self._lane is None or self._lane.is_closed:
            async with self._opening:
                if self._lane is None or self._lane.is_closed:
                    channel = await session.channel(confirms=True)
                    self._lane = Confirms(session.wire, channel, self._location, session.longest_frame)
        return self._lane


def _told(row: Row, outcome: BaseException | None) -> BaseException | None:
    """Return what went wrong with one message where the server has closed the channel because of one that was too large."""
    largest_bytes = largest_in(outcome) if isinstance(outcome, ChannelPreconditionFailed) else None
    if largest_bytes is None:
        return outcome
    if len(row.body) > largest_bytes:
        return MessageTooLarge(len(row.body), largest_bytes, "this server (max_message_size)")
    return ConnectionResetError("another message was too large, and the channel was closed for that")
