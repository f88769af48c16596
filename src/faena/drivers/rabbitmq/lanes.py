"""The two kinds of lanes: what is consumed, and what is published with confirms."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from aiormq.abc import AbstractChannel

from faena.drivers.rabbitmq import frames
from faena.drivers.rabbitmq.faults import NotTaken
from faena.drivers.rabbitmq.location import Location
from faena.drivers.rabbitmq.messages import Found, Row
from faena.drivers.rabbitmq.wire import Lane, Wire

_ANSWERS = frozenset((frames.QOS_OK, frames.CONSUME_OK, frames.CANCEL_OK))
_AT_ONCE_BYTES = 1 << 20  # written before the socket is asked whether it takes more
_UNSAID = TimeoutError("the server has said nothing of it")


class Deliveries(Lane):
    """A channel that consumes. `on_found` is told of each message, `on_news` once for all that came together."""

    def __init__(
        self, wire: Wire, channel: AbstractChannel, on_found: Callable[[Found], None], on_news: Callable[[], None]
    ) -> None:
        self._on_found, self._on_news = on_found, on_news
        self._asked: deque[asyncio.Future[None] | None] = deque()  # for each answer that is still to come
        self.is_cancelled = False  # by the server: the queue was deleted, or its node has gone
        super().__init__(wire, channel)

    def acknowledge(self, tag: int, *, multiple: bool) -> None:
        self.check()
        self.wire.write(frames.ack(self.number, tag, multiple=multiple))

    def give_back(self, tags: Sequence[int]) -> None:
        self.check()
        self.wire.write(b"".join([frames.nack(self.number, tag) for tag in tags]))

    async def prove(self) -> None:
        """Return when the server has read all that was written before."""
        await self._ask(1, frames.qos(self.number, 1))  # it means what begins to consume later, and that says its own

    async def consume(self, queue: str, tag: str, prefetch_count: int) -> None:
        """Let so many more come. One write: another call's prefetch count must not come in between."""
        await self._ask(2, frames.qos(self.number, prefetch_count) + frames.consume(self.number, queue, tag))

    async def cancel(self, tags: Sequence[str]) -> None:
        """Return when all that was on its way has come."""
        await self._ask(len(tags), b"".join([frames.cancel(self.number, tag) for tag in tags]))

    async def _ask(self, answers: int, data: bytes) -> None:
        """Write, and wait for the last of the answers: they come in order."""
        self.check()
        last = asyncio.get_running_loop().create_future()
        self._asked += [None] * (answers - 1)
        self._asked.append(last)
        self.wire.write(data)
        await last

    def on_method(self, code: int, data: bytes, at: int) -> bool:  # noqa: ARG002
        if code in _ANSWERS:
            asked = self._asked.popleft()
            if asked is not None and not asked.done():
                asked.set_result(None)
            return True
        if code == frames.CANCEL:
            self.is_cancelled = True
            self.wire.has_news(self)
        return False

    def on_message(self, code: int, method: bytes, header: bytes, body: bytes) -> None:  # noqa: ARG002
        tag, is_redelivered = frames.delivered(method)
        self._on_found(Found(tag, body, True, header) if is_redelivered else Found(tag, body))

    def on_news(self) -> None:
        self._on_news()

    def on_end(self, error: BaseException) -> None:
        for asked in self._asked:
            if asked is not None and not asked.done():
                asked.set_exception(error)
                asked.exception()  # who waits hears it all the same; if nobody does any more, that is no news
        self._on_news()


class Sending:
    """What one call publishes, and what has become of each."""

    __slots__ = ("done", "left", "outcomes", "rows")

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows, self.left = rows, len(rows)
        self.outcomes: list[BaseException | None] = [_UNSAID] * len(rows)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def came(self, at: int, outcome: BaseException | None) -> None:
        if self.outcomes[at] is _UNSAID:
            self.outcomes[at] = outcome
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)

    def give_up(self, error: BaseException) -> None:
        """Nobody waits any longer: of what the server has said nothing of, this is what went wrong."""
        self.outcomes = [error if outcome is _UNSAID else outcome for outcome in self.outcomes]


class Confirms(Lane):
    """A channel that publishes. All calls share it: what they write in one turn of the loop is written together."""

    def __init__(self, wire: Wire, channel: AbstractChannel, location: Location, longest_frame: int) -> None:
        self._location, self._longest = location, longest_frame
        self._next = 1
        self._pending: dict[int, tuple[Sending, int]] = {}  # by tag, in their order
        self._later: list[bytes] | None = None  # what waits for the end of this turn; None: nothing was written in it
        super().__init__(wire, channel)

    async def publish(self, sending: Sending) -> None:
        """Return when the server has said of each what has become of it."""
        written: list[bytes] = []
        size = 0
        await self.wire.drain()  # of what the socket does not take, no more than one write of each call lies here
        for at, row in enumerate(sending.rows):
            self.check()
            exchange, key = row.route(self._location)
            data = frames.message(self.number, exchange, key, row.properties, row.body, self._longest)
            self._pending[self._next] = sending, at
            self._next += 1
            written.append(data)
            size += len(data)
            if size > _AT_ONCE_BYTES:
                self._write(b"".join(written))
                written, size = [], 0
                await self.wire.drain()
        if written:
            self._write(b"".join(written))
        await sending.done

    def on_method(self, code: int, data: bytes, at: int) -> bool:
        if code != frames.ACK and code != frames.NACK:
            return False
        tag, is_multiple = frames.tag_and_bits(data, at)
        outcome = None if code == frames.ACK else NotTaken("the server has refused it")
        pending = self._pending
        if is_multiple & 1:
            while pending and (first := next(iter(pending))) <= tag:
                sending, place = pending.pop(first)
                sending.came(place, outcome)
        elif (found := pending.pop(tag, None)) is not None:
            found[0].came(found[1], outcome)
        return True

    def on_message(self, code: int, method: bytes, header: bytes, body: bytes) -> None:  # noqa: ARG002
        """Take back what no queue took. Its confirm follows; which of those on their way it is, its content says."""
        text, key = frames.returned(method)
        for sending, at in self._pending.values():
            row = sending.rows[at]
            if row.body == body and sending.outcomes[at] is _UNSAID and (key == row.name or row.due_at_s is not None):
                sending.outcomes[at] = NotTaken(f"no queue took it: {text}", is_returned=True)
                return

    def on_end(self, error: BaseException) -> None:
        pending, self._pending = self._pending, {}
        for sending, at in pending.values():
            sending.came(at, error)

    def _write(self, data: bytes) -> None:
        if self._later is not None:
            self._later.append(data)
            return
        self._later = []
        asyncio.get_running_loop().call_soon(self._write_later)
        self.wire.write(data)

    def _write_later(self) -> None:
        later, self._later = self._later, None
        if later:
            with suppress(ConnectionError):  # each call hears of that by itself
                self.wire.write(b"".join(later))
