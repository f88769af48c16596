"""The brokers of a worker process, each with a connection that fails and comes back by itself.

    main ──Source──┐ buffer                         ┌─ Lane main ──────────▶ settled there
    bulk ──Source──┴──▶ receive ──▶ Core ──settle──▶┼─ Lane bulk
                                                    └─ Lane main to bulk: what follows from it goes there

Everything for the core is as with one `Connection`, but that it need not wait: a broker that is away keeps nothing of the
others. Sources receive while the core asks; what one brings that was not asked for any more lies here for a moment, and
goes back. Lanes carry out what has ended, each in its order, for as long as that takes. All of it runs in the I/O thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec.structs import replace

from faena.app.links import Link, Links
from faena.backend import Completion, JointSettler
from faena.broker import Consumer
from faena.engine.completion import FourSteps
from faena.engine.notes import handed_back
from faena.errors import LeaseLost
from faena.model.delivery import Ack, Delivery, Malformed, Release
from faena.model.homes import Homes, holder_from
from faena.model.result import ResultRecord
from faena.model.turns import Taking
from faena.worker.connection import BROKEN, Connection, Settler
from faena.worker.forwarding import Forward, Parted
from faena.worker.settling import Lane
from faena.worker.sources import Source

if TYPE_CHECKING:
    from faena.brokers.several import SeveralBrokers
    from faena.worker.lanes import Finished

log = logging.getLogger("faena.worker")

_REST_AFTER_S = 0.1  # nobody has asked for more: then what came since goes back
_FEW = 2  # who asks for no more than this is slow, and what came elsewhere goes back at once
_MOST_WAITING = 1000  # completions that wait for another broker: then nothing more is received
_LETTING_GO_S = 1.0


class Connections:
    """See `faena.worker.connection.Connection`, whose place it takes.

    `on_given_away` is told which broker has given to others what was held there.
    """

    may_be_two = False  # nobody else fetches beside it
    is_receiving = False

    def __init__(
        self,
        links: Links,
        homes: Homes,
        holders: Mapping[str, str],
        queues: Sequence[str],
        *,
        taking: Taking,
        on_open: Callable[[Link], Awaitable[None]],
        on_lost: Callable[[], None],
        on_given_away: Callable[[str], None],
    ) -> None:
        self._links, self._homes, self._taking = links, homes, taking
        self._on_open, self._on_lost, self._on_given_away = on_open, on_lost, on_given_away
        self._queues = homes.parted(queues)
        self._whole = links.connect("asyncio")
        self._is_open = False
        self._sources: dict[str, Source] = {}
        self._lanes: dict[tuple[str, tuple[str, ...]], Lane] = {}
        self._came = asyncio.Event()
        self._skipped: frozenset[str] = frozenset()
        self._is_interrupted = False
        self._asked = 0  # how many the core asks for now
        self._resting: asyncio.TimerHandle | None = None
        self._turn = 0
        self._error: BaseException | None = None  # of a source or a lane that has ended: this process works no longer
        self.holders: dict[str, str] = {}
        for name, holder in holders.items():
            self.grant(name, holder)

    @property
    def holder(self) -> str:
        return holder_from(self.holders)

    # -- receiving -----------------------------------------------------------------------------------------

    def grant(self, name: str, holder: str) -> None:
        """Receive from a broker as this holder: for the first time, or since the one before it was lost."""
        if self.holders.get(name) == holder:
            return
        self.holders[name] = holder
        before = self._sources.get(name)
        connection = Connection(
            self._links,
            holder,
            self._queues.get(name, ()),
            taking=self._taking,
            on_open=self._on_open,
            on_lost=lambda: self._lost_connection(name),
            connect=lambda: Link(self._links.broker("asyncio", name), self._links.backend("asyncio")),
            settles=lambda link, consumer, joint: self._settler(name, link, consumer, joint),
            name=name,
        )
        connection.skip(self._skipped)
        source = self._sources[name] = Source(name, connection, came=self._arrived, lost=self._lost, ended=self._ended)
        source.turn(bool(self._queues.get(name)))
        for (of, _), lane in self._lanes.items():
            if of == name:
                lane.connection = connection
        if before is not None:
            before.end()
            self._on_given_away(name)
        self._want()

    async def receive(self, limit: int, wait_s: float) -> Sequence[Delivery | Malformed]:
        """Return what was received from any of them; nothing, where nothing came in time."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._asked = limit
        try:
            return await self._receive(limit, wait_s)
        finally:
            self._asked = 0
            self._rest_soon()

    async def _receive(self, limit: int, wait_s: float) -> Sequence[Delivery | Malformed]:
        self._check()
        if sum(lane.count for (_, targets), lane in self._lanes.items() if targets) >= _MOST_WAITING:
            await asyncio.sleep(_REST_AFTER_S)  # it would only become more; the log has said what is away
            return ()
        batch = self._take(limit)
        if not batch and not self._is_interrupted:
            self._came.clear()
            self._want()
            try:
                async with asyncio.timeout(wait_s):
                    await self._came.wait()
            except TimeoutError:
                pass
            self._check()
            batch = self._take(limit)
        self._is_interrupted = False
        if limit <= _FEW and batch:
            self._rest()
        return batch

    async def wanted(self, batch: Sequence[Delivery | Malformed]) -> Sequence[Delivery | Malformed]:
        return batch

    async def with_inputs(self, batch: Sequence[Delivery | Malformed]) -> Sequence[Delivery | Malformed]:
        """Return the batch: its source has read what it is given."""
        return batch

    async def mistrust(self, error: BaseException) -> None:
        """Nothing: no other connection uses our holders."""

    def interrupt(self) -> None:
        """Make a waiting `receive` return at once."""
        self._is_interrupted = True
        self._came.set()

    def consume(self, queues: Sequence[str]) -> None:
        """Receive from these queues from now on; of brokers on which we hold nothing yet as soon as that is granted."""
        self._queues = self._homes.parted(queues)
        for name, source in self._sources.items():
            own = self._queues.get(name, ())
            if own:
                source.connection.consume(own)
            source.turn(bool(own))
        self._rest()
        self._want()

    def skip(self, queues: frozenset[str]) -> None:
        """Receive nothing from these for now: they are paused."""
        self._skipped = queues
        for source in self._sources.values():
            source.connection.skip(queues)
        self._rest()
        self._want()

    # -- settling ------------------------------------------------------------------------------------------

    async def settle(
        self, finished: Sequence[Finished], then: Callable[[Sequence[Finished], Sequence[bool]], None]
    ) -> None:
        """Carry out what has ended, without waiting for it; `then` is told of each part when that is done."""
        moved = [(self._moved(item[0]), item) for item in finished]
        keyed = [(self._way(completion), completion, item) for completion, item in moved]
        for way, group in groupby(sorted(keyed, key=lambda each: each[0]), key=lambda each: each[0]):
            share = list(group)
            self._lane(way).put(
                [completion for _, completion, _ in share],
                lambda answers, share=share: then([item for _, _, item in share], answers),  # type: ignore[misc]
            )

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        """Hand completions to their lanes. What becomes of them is not waited for: none of these is told of."""
        for completion in map(self._moved, completions):
            self._lane(self._way(completion)).put([completion], lambda _: None)
        return [True] * len(completions)

    async def begin(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """Note that these must not run twice. What is of a broker that is away does not run here: it goes back."""
        answers = dict.fromkeys((delivery.message.id for delivery in deliveries), False)
        for name in dict.fromkeys(delivery.source for delivery in deliveries):
            share = [delivery for delivery in deliveries if delivery.source == name]
            source = self._sources.get(name)
            is_there = source is not None and source.connection.is_open
            noted = await source.connection.try_begin(share) if source is not None and is_there else None
            if noted is None:
                await self.complete([Completion(Release(delivery, handed_back(delivery.message))) for delivery in share])
            else:
                answers |= {delivery.message.id: ours for delivery, ours in zip(share, noted, strict=True)}
        return [answers[delivery.message.id] for delivery in deliveries]

    # -- beside them ---------------------------------------------------------------------------------------

    async def record(self, records: Sequence[ResultRecord]) -> None:
        """Keep records that are no more than news: tried once."""
        try:
            await (await self.link()).backend.record(records)
        except BROKEN as error:
            log.warning("the states of %d tasks were not recorded: %s", len(records), error)

    async def do(self, work: Callable[[Link], Awaitable[None]]) -> None:
        """Do `work` with all brokers; what of it fails is done when the connection that it needs is made anew."""
        try:
            await work(await self.link())
        except BROKEN as error:
            log.warning("%s", error)

    async def link(self) -> Link:
        """Return all brokers as one, and the backend."""
        if not self._is_open:
            await self._whole.backend.open()
            self._is_open = True
        return self._whole

    async def close(self) -> None:
        self._asked = 1  # nothing is to be scheduled any more
        self._rest()
        for lane in self._lanes.values():
            await lane.close(_LETTING_GO_S)
        for source in self._sources.values():
            await source.close(_LETTING_GO_S)
        try:
            async with asyncio.timeout(_LETTING_GO_S):
                await self._whole.backend.close()
                await self._whole.broker.close()
        except (*BROKEN, TimeoutError) as error:
            log.debug("closing: %s", error)

    # -- internals -----------------------------------------------------------------------------------------

    def _want(self) -> None:
        if self._asked:
            for source in self._sources.values():
                source.want(self._asked)

    def _take(self, limit: int) -> list[Delivery | Malformed]:
        """Return what lies here, of each source in its turn, up to so many."""
        sources = list(self._sources.values())
        self._turn += 1
        batch: list[Delivery | Malformed] = []
        for at in range(len(sources)):
            buffer = sources[(self._turn + at) % len(sources)].buffer
            while buffer and len(batch) < limit:
                batch.append(buffer.popleft())
        return batch

    def _arrived(self) -> None:
        self._came.set()
        if not self._asked:
            self._rest_soon()

    def _rest_soon(self) -> None:
        if self._resting is None:
            self._resting = asyncio.get_running_loop().call_later(_REST_AFTER_S, self._rest)

    def _rest(self) -> None:
        """Let nobody receive, and give back what nobody has asked for."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        for source in self._sources.values():
            source.rest()
            back, source.buffer = source.buffer, deque()
            for item in back:
                if isinstance(item, Delivery):
                    self._lane((source.name, ())).put([Completion(Release(item))], lambda _: None)
                else:  # it can only be buried: the core does that
                    source.buffer.append(item)

    def _lost(self, source: Source, error: LeaseLost) -> None:
        log.error("broker '%s': %s; what was held there is given up, until it is granted anew", source.name, error)
        source.buffer.clear()
        self._on_given_away(source.name)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let what nobody has foreseen end the process, as with one broker, and not this broker's part in silence."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            self._came.set()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _lost_connection(self, name: str) -> None:
        """Forget what lies here of a broker that takes back what it has sent with the connection."""
        self._sources[name].buffer.clear()
        self._on_lost()

    def _settler(self, name: str, link: Link, consumer: Consumer, joint: JointSettler | None) -> Settler:
        broker: SeveralBrokers = self._whole.broker  # type: ignore[assignment]  # who has homes has several
        forward = Forward(name, link.broker, broker)
        steps = FourSteps(forward, consumer, link.backend)
        return steps if joint is None else Parted(name, self._homes, joint, steps)

    def _moved(self, completion: Completion) -> Completion:
        """Return a completion that leaves no message on this broker that is for another one: such a retry is sent there."""
        settlement = completion.settlement
        if type(settlement) is not Release or settlement.message is None:
            return completion
        if self._homes.of(settlement.message.queue) == self._source_of(settlement.delivery):
            return completion
        return replace(completion, settlement=Ack(settlement.delivery), publish=(*completion.publish, settlement.message))

    def _source_of(self, item: Delivery | Malformed) -> str:
        if item.source:
            return item.source
        return self._homes.of(item.message.queue if isinstance(item, Delivery) else item.queue)

    def _way(self, completion: Completion) -> tuple[str, tuple[str, ...]]:
        """Return from which broker a completion is, and to which others its messages go."""
        source = self._source_of(completion.settlement.delivery)
        if not completion.publish:
            return source, ()
        return source, tuple(sorted({self._homes.of(each.queue) for each in completion.publish} - {source}))

    def _lane(self, way: tuple[str, tuple[str, ...]]) -> Lane:
        lane = self._lanes.get(way)
        if lane is None:
            name, targets = way
            lane = self._lanes[way] = Lane(self._sources[name].connection, " and ".join(targets), self._ended)
        return lane
