"""Consume: the server pushes as much as we have room for, and whatever comes in the way of more is given back.

    server ──pushes──▶ buffer of a tap ──receive──▶ the worker ──settle──▶ ack, nack
                        one tap for each queue: a channel with a prefetch count of its own

The prefetch count is what makes other workers find work: it is what the worker holds and asks for, no more. It is fixed
when a consumer begins, so that a tap to which more may come begins one consumer more, for the difference; when less may
come, it begins anew. A tap whose buffer nobody empties for a moment pauses: the worker is busy with something long, and
what lies here is for others.

Deliveries belong to the channel (law 2: the connection is the lease). What is acknowledged is proved by a round trip on the
same channel; where the channel is gone, nobody knows, and the message comes again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from math import inf
from typing import Any, assert_never

from aiormq.abc import AbstractChannel

from faena._lib.ids import new_id
from faena.drivers.rabbitmq import topology
from faena.drivers.rabbitmq.declaring import close_quietly, ensure_queue, forget
from faena.drivers.rabbitmq.lanes import Deliveries
from faena.drivers.rabbitmq.location import Location
from faena.drivers.rabbitmq.messages import Found, Row, dead_row_of, delivery_of, found_of, row_of
from faena.drivers.rabbitmq.publisher import Publisher
from faena.drivers.rabbitmq.session import Session, open_session
from faena.errors import ServerUnavailable
from faena.model.delivery import Ack, Bury, Delivery, Malformed, Release, Settlement

_EXACT_UP_TO, _MOST = 16, 32768  # prefetch counts
_MANY, _FAST = 32, 128  # who asks for so many works them off in a moment: more may be on their way meanwhile
_TRICKLE_S = 0.001  # waited for more, where few have come for one who is fast: each batch has its costs
_MOST_CONSUMERS = 8  # of one tap; with more it begins anew
_LEFT_ALONE_S = 0.25
_NOT_DUE_S = 0.05
_TRUSTED_S = 30.0  # so long a channel may bring nothing


class Tap:
    """One queue's channel. Tags are counted by the channel: those that are not settled stand in `unsettled`, in order."""

    def __init__(self, session: Session, queue: str, channel: AbstractChannel, on_news: Callable[[], None]) -> None:
        self.id = new_id()  # of a later connection's another one: what was received by this one cannot be settled there
        self.queue, self.channel = queue, channel
        self.lane = Deliveries(session.wire, channel, self._take_in, on_news)
        self.buffer: deque[Found] = deque()
        self.unsettled: dict[int, None] = {}
        self._tags: list[str] = []  # of those who consume: each lets some more come
        self._begun = 0
        self._prefetch = 0  # of all of them

    async def want(self, session: Session, limit: int) -> None:
        """Let as many messages come as the worker holds and has room for."""
        needed = min(_MOST, len(self.unsettled) + limit)
        is_consuming = bool(self._tags) and not self.lane.is_cancelled
        if is_consuming and needed <= self._prefetch <= max(_EXACT_UP_TO, needed * (16 if limit >= _MANY else 4)):
            return
        if not (is_consuming and needed > self._prefetch and len(self._tags) < _MOST_CONSUMERS):
            await self.pause(session)
        if self.lane.is_cancelled:  # the queue was deleted; what was received of it is settled all the same
            forget(session, self.queue)
            await ensure_queue(session, self.queue)
            self.lane.is_cancelled = False
        count = needed if needed <= _EXACT_UP_TO else 1 << (needed - 1).bit_length()
        count = min(_MOST, count * 2 if limit >= _FAST else count)
        name = topology.queue_name(session.location, self.queue)
        async with session.translating():
            self._begun += 1
            more, self._prefetch = count - self._prefetch, count
            self._tags.append(f"{self._begun}")
            await self.lane.consume(name, self._tags[-1], more)

    async def pause(self, session: Session) -> None:
        """Let nothing more come, and give back what nobody has taken."""
        async with session.translating():
            await self._stop()
            if self.buffer:
                left = [message.tag for message in self.buffer]
                self.buffer.clear()
                self.give_back(left)

    async def look(self, session: Session, limit: int) -> None:
        """Take what is there at this moment, without waiting."""
        name = topology.queue_name(session.location, self.queue)
        async with session.translating():
            await self._stop()  # what is pushed would overtake an answer, and one acknowledgement for both meant both
            while len(self.buffer) < limit:
                found = await self.channel.basic_get(name)
                if found.delivery_tag is None:
                    return
                self._take_in(found_of(found))

    def acknowledge(self, tags: set[int]) -> None:
        """Acknowledge: those at the front with one frame for all."""
        last = 0
        for tag in self.unsettled:
            if tag not in tags:
                break
            last = tag
        if last:
            self.lane.acknowledge(last, multiple=True)
            for tag in [tag for tag in self.unsettled if tag <= last]:
                del self.unsettled[tag]
        for tag in sorted(tag for tag in tags if tag > last):
            self.lane.acknowledge(tag, multiple=False)
            del self.unsettled[tag]

    def give_back(self, tags: Sequence[int]) -> None:
        self.lane.give_back(sorted(tags, reverse=True))  # so that the first comes first again
        for tag in tags:
            self.unsettled.pop(tag, None)

    async def prove(self) -> None:
        """Return when the server has read all that was written before."""
        await self.lane.prove()

    async def _stop(self) -> None:
        """Return when nothing comes any more."""
        tags, self._tags, self._prefetch = self._tags, [], 0
        if tags:
            await self.lane.cancel(tags)

    def _take_in(self, message: Found) -> None:
        self.unsettled[message.tag] = None
        self.buffer.append(message)


class RabbitConsumer:
    """See `faena.broker.Consumer`."""

    def __init__(self, location: Location, holder: str, queues: Sequence[str], publisher: Publisher) -> None:
        self._location, self._holder, self._publisher = location, holder, publisher
        self._queues = tuple(dict.fromkeys(queues))
        self._session: Session | None = None
        self._taps: list[Tap] = []
        self._skipped: frozenset[str] = frozenset()  # queues that nothing is to be received of
        self._news = asyncio.Event()
        self._is_interrupted = False
        self._turn = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._received_at_s = -inf
        self._trusted_at_s = time.monotonic()  # since when nothing has come
        self._giving_back: asyncio.Task[None] | None = None

    async def receive(self, limit: int, wait_s: float) -> Sequence[Delivery | Malformed]:
        session = await self._open()
        deadline = time.monotonic() + wait_s
        self._received_at_s = inf
        is_waiting = False
        try:
            while True:
                self._news.clear()
                for tap in self._left_out():
                    await tap.pause(session)
                batch = await self._collect(limit)
                if is_waiting and 0 < len(batch) < limit // 4 and limit >= _FAST:
                    await asyncio.sleep(_TRICKLE_S)
                    batch += await self._collect(limit - len(batch))
                if batch:
                    self._trusted_at_s = time.monotonic()
                if batch or self._take_interrupt():
                    return batch
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return await self._look(session, limit) if wait_s <= 0 else await self._doubt(session, limit)
                for tap in self._open_taps():
                    await tap.want(session, limit)
                await self._rest(session, left_s)
                is_waiting = True
        finally:
            self._received_at_s = time.monotonic()
            if any(tap.buffer for tap in self._taps):
                self._look_after()

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        taps = {tap.id: tap for tap in self._taps}
        ours: list[bool] = []
        rows: list[Row] = []
        acks: dict[str, set[int]] = {}
        backs: dict[str, list[int]] = {}
        for settlement in settlements:
            if settlement.delivery.grip is None:  # acknowledged before: in nobody's hand
                ours.append(True)
                rows += self._rows_of(settlement)
                continue
            place, tag = settlement.delivery.grip
            tap = taps.get(place)
            is_ours = tap is not None and not tap.lane.is_closed and tag in tap.unsettled
            is_ours = is_ours and tag not in acks.get(place, ()) and tag not in backs.get(place, ())
            ours.append(is_ours)
            if not is_ours:
                continue
            if isinstance(settlement, Release) and settlement.message is None:
                backs.setdefault(place, []).append(tag)
                continue
            rows += self._rows_of(settlement)
            acks.setdefault(place, set()).add(tag)
        if rows:
            await self._publisher.publish(rows)  # first: a crash in between leaves it twice, and never not at all
        session = self._session
        if session is None or not (acks or backs):
            return ours
        async with session.translating():
            for place, tags in acks.items():
                taps[place].acknowledge(tags)
            for place, back in backs.items():
                taps[place].give_back(back)
            for place in {*acks, *backs}:
                await taps[place].prove()
        if backs:
            await self._pause_idle()
        return ours

    async def begin(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """Say which are still ours. That they run is noted in the backend, by who calls (`keeps_verdicts`)."""
        taps = {tap.id: tap for tap in self._taps if not tap.lane.is_closed}
        return [place in taps and tag in taps[place].unsettled for place, tag in (each.grip for each in deliveries)]

    def skip(self, queues: Collection[str]) -> None:
        self._skipped = frozenset(queues)
        self._wake()

    def interrupt(self) -> None:
        self._is_interrupted = True
        self._wake()

    async def close(self) -> None:
        session, self._session, self._taps = self._session, None, []
        if self._giving_back is not None:
            self._giving_back.cancel()
        if session is not None:
            await session.close()

    # -- internals -----------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: nobody waits
                self._loop.call_soon_threadsafe(self._news.set)

    async def _open(self) -> Session:
        if self._session is not None:
            if self._session.is_open and not any(tap.lane.is_closed for tap in self._taps):
                return self._session
            await self.close()
            raise ServerUnavailable(f"{self._location.shown}: the connection was lost")
        self._loop = asyncio.get_running_loop()
        session = await open_session(self._location, f"faena worker {self._holder}")
        try:
            taps = []
            for queue in self._queues:
                await ensure_queue(session, queue)
                taps.append(await self._tap(session, queue))
        except BaseException:
            await session.close()
            raise
        session.connection.closing.add_done_callback(self._on_closing)
        self._session, self._taps = session, taps
        return session

    async def _collect(self, limit: int) -> list[Delivery | Malformed]:
        """Take from the buffers, each queue's first in its turn."""
        batch: list[Delivery | Malformed] = []
        taps = self._open_taps()
        if not taps:
            return batch
        self._turn = turn = (self._turn + 1) % len(taps)
        early: list[Delivery] = []
        for tap in taps[turn:] + taps[:turn]:
            while tap.buffer and len(batch) < limit:
                found = tap.buffer.popleft()
                delivery = delivery_of(found, tap.queue, (tap.id, found.tag))
                if isinstance(delivery, Delivery) and _is_early(delivery):
                    early.append(delivery)
                else:
                    batch.append(delivery)
        if early:  # the ladder does not reach as far: it goes up once more
            await self.settle([Release(delivery, delivery.message) for delivery in early])
        return batch

    def _open_taps(self) -> list[Tap]:
        return [tap for tap in self._taps if tap.queue not in self._skipped] if self._skipped else self._taps

    def _left_out(self) -> list[Tap]:
        return [tap for tap in self._taps if tap.queue in self._skipped] if self._skipped else []

    async def _look(self, session: Session, limit: int) -> list[Delivery | Malformed]:
        """Answer one who does not wait, from the queues themselves."""
        for tap in self._open_taps():
            room = limit - sum(len(each.buffer) for each in self._taps)
            if room > 0:
                await tap.look(session, len(tap.buffer) + room)
        return await self._collect(limit)

    async def _doubt(self, session: Session, limit: int) -> list[Delivery | Malformed]:
        """Take new channels from time to time, where nothing comes and nothing is held.

        Where a queue is deleted and made again at once, RabbitMQ 3 says nothing to who consumes, and hands the new messages
        to the channel, which takes them for old ones and drops them. They wait with it, for as long as it is there.
        """
        if time.monotonic() - self._trusted_at_s >= _TRUSTED_S:
            self._trusted_at_s = time.monotonic()
            for tap in [tap for tap in self._open_taps() if not tap.unsettled]:
                await close_quietly(tap.channel)
                self._taps[self._taps.index(tap)] = await self._tap(session, tap.queue)
        return await self._collect(limit)

    async def _tap(self, session: Session, queue: str) -> Tap:
        return Tap(session, queue, await session.channel(), self._has_news)

    async def _rest(self, session: Session, wait_s: float) -> None:
        """Wait for news, or for the connection to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        if session.connection.is_closed or any(tap.lane.is_closed for tap in self._taps):
            await self._open()  # says that it is lost

    def _on_closing(self, closing: asyncio.Future[Any]) -> None:
        if not closing.cancelled():
            closing.exception()  # it is told by the next call
        self._news.set()

    def _rows_of(self, settlement: Settlement) -> list[Row]:
        """Return what a settlement publishes."""
        match settlement:
            case Release(delivery=delivery, message=message):
                return [row_of(self._location, message if message is not None else delivery.message)]
            case Bury():
                return [dead_row_of(self._location, settlement)]
            case Ack():
                return []
        assert_never(settlement)

    def _take_interrupt(self) -> bool:
        was, self._is_interrupted = self._is_interrupted, False
        return was

    def _has_news(self) -> None:
        self._news.set()
        if self._received_at_s != inf:
            self._look_after()

    def _look_after(self) -> None:
        """See to it that what nobody takes is given back."""
        if self._giving_back is None or self._giving_back.done():
            self._giving_back = asyncio.get_running_loop().create_task(self._give_back_later())

    async def _give_back_later(self) -> None:
        while any(tap.buffer for tap in self._taps):
            left_s = self._received_at_s + _LEFT_ALONE_S - time.monotonic()
            if left_s <= 0:
                await self._pause_idle()
                return
            await asyncio.sleep(min(left_s, _LEFT_ALONE_S))

    async def _pause_idle(self) -> None:
        """Let nothing come as long as the worker asks for nothing."""
        session = self._session
        if session is None or self._received_at_s == inf:
            return
        with suppress(ServerUnavailable):
            for tap in self._taps:
                await tap.pause(session)


def _is_early(delivery: Delivery) -> bool:
    due_at_s = delivery.message.due_at_s
    return due_at_s is not None and due_at_s - time.time() > _NOT_DUE_S
