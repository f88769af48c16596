"""A process's connection to its broker and backend, made anew whenever it fails (law 10).

What has to be carried out is tried again with a growing pause for as long as it takes: until then it is ours, under the
lease. A completion that can be carried out by no connection (a retry that has grown too large) becomes a failure of its own
task, so that it cannot hold up the others. Everything here is called in the I/O thread, `interrupt` from any.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, cast

from msgspec.structs import replace

from faena.app.links import Link, Links
from faena.backend import Completion, JointSettler, has_backend
from faena.broker import Consumer, Skipping
from faena.engine.completion import FourSteps, refused
from faena.engine.notes import handed_back, note_begun, with_what_is_known
from faena.errors import (
    BackendError,
    BrokerError,
    CodecError,
    LeaseLost,
    MessageTooLarge,
    NoBackend,
    ServerBlocked,
    StorageError,
    WorkflowError,
)
from faena.model.delivery import Ack, Delivery, Malformed, Release
from faena.model.inputs import Input
from faena.model.message import Member, Until
from faena.model.result import ResultRecord
from faena.model.turns import USUAL, Taking
from faena.worker.custody import Custody

if TYPE_CHECKING:
    from faena.worker.lanes import Finished

log = logging.getLogger("faena.worker")

T = TypeVar("T")

BROKEN = (BrokerError, BackendError, StorageError, OSError)
UNWRITABLE = (MessageTooLarge, CodecError, WorkflowError, NoBackend, ValueError, TypeError, OverflowError)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_LOOK_EVERY_S = 0.5


class ElsewhereAway(BrokerError):
    """What follows from a task is for another broker, and that is away: this connection is not to blame."""


class Settler(Protocol):
    async def complete(self, completions: list[Completion]) -> Sequence[bool]: ...


Settles: TypeAlias = Callable[[Link, Consumer, JointSettler | None], Settler]
"""Returns what completes for a link, where it is one of several."""


class Opened:
    """One connection, from its opening to its first error."""

    __slots__ = ("_settles", "_skipped", "_taking", "consumer", "holder", "is_receiving", "link", "queues", "settler")

    def __init__(
        self,
        link: Link,
        holder: str,
        queues: Sequence[str],
        taking: Taking,
        skipped: frozenset[str] = frozenset(),
        settles: Settles | None = None,
    ) -> None:
        self.link, self.holder, self._taking, self._skipped, self._settles = link, holder, taking, skipped, settles
        self.is_receiving = False
        self.begin(queues)

    def begin(self, queues: Sequence[str]) -> None:
        """Receive from these queues."""
        link, self.queues = self.link, queues
        taking = self._taking.among(queues)
        self.consumer: Consumer = (
            link.broker.consumer(self.holder, queues)
            if taking == USUAL
            else link.broker.consumer(self.holder, queues, taking)
        )
        self.skip(self._skipped)
        joint = link.backend.joint(link.broker, self.holder)
        self.settler: Settler = (
            joint or FourSteps(link.broker, self.consumer, link.backend)
            if self._settles is None
            else self._settles(link, self.consumer, joint)
        )

    def skip(self, queues: frozenset[str]) -> None:
        """Receive nothing of these; where the broker pauses queues itself, they are none of ours to leave out."""
        before, self._skipped = self._skipped, queues
        if (before or queues) and not self.link.broker.capabilities.pauses:
            cast("Skipping", self.consumer).skip(queues)


class Connection:
    """The broker and backend of one holder.

    `on_open` is awaited whenever it is made. `on_lost` is told where what was held went with it (`Capabilities.lease`).
    """

    def __init__(
        self,
        links: Links,
        holder: str,
        queues: Sequence[str],
        *,
        taking: Taking = USUAL,
        on_open: Callable[[Link], Awaitable[None]],
        on_lost: Callable[[], None] = lambda: None,
        connect: Callable[[], Link] | None = None,
        settles: Settles | None = None,
        name: str = "",
    ) -> None:
        """`connect`, `settles` and `name` are for one of several brokers, see `faena.worker.connections`."""
        self._connect, self._settles = connect or partial(links.connect, "asyncio"), settles
        self._says = f"broker '{name}': " if name else ""  # in the log
        self._holder, self._queues, self._on_open, self._on_lost = holder, queues, on_open, on_lost
        self._taking = taking
        self._skipped: frozenset[str] = frozenset()
        self._opened: Opened | None = None
        self._opening = asyncio.Lock()
        self._pause_s = _FIRST_PAUSE_S  # of receiving
        self._is_interrupted = False  # while there was no consumer to tell
        self._lease_s = float(links.conf.worker_lease)
        self._custody: Custody | None = None  # where the broker lends for a bounded time only
        self._watching: asyncio.Task[None] | None = None

    async def receive(self, limit: int, wait_s: float) -> Sequence[Delivery | Malformed]:
        """Return what `Consumer.receive` gives; nothing, after a pause, where the connection fails.

        Raises LeaseLost.
        """
        opened: Opened | None = None
        try:
            opened = await self._ready()
            if self._is_interrupted:
                self._is_interrupted = False
                return ()
            if opened.queues is not self._queues:
                before = opened.consumer
                opened.begin(self._queues)
                await before.close()
            opened.is_receiving = True
            try:
                batch = await opened.consumer.receive(limit, wait_s)
            finally:
                opened.is_receiving = False
        except LeaseLost:
            raise
        except BROKEN as error:
            is_lost = opened is not None and opened is not self._opened
            await self._lose(opened, error, self._pause_s)
            if opened is not None and is_lost:  # by somebody who could not close what we used
                await opened.consumer.close()
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
            return ()
        self._pause_s = _FIRST_PAUSE_S
        if opened is not self._opened:  # likewise
            await opened.consumer.close()
            if opened.link.broker.capabilities.lease == "connection":  # what came last is for others now
                return ()
        if self._custody is not None:
            self._custody.took(batch)
        if batch and opened.queues is not self._queues:  # others were named meanwhile
            batch = await self.wanted(batch)
        return batch

    async def wanted(self, batch: Sequence[Delivery | Malformed]) -> Sequence[Delivery | Malformed]:
        """Return what is of our queues, and let the rest go."""
        back = [item for item in batch if isinstance(item, Delivery) and item.message.queue not in self._queues]
        if not back:
            return batch
        await self.complete([Completion(Release(item)) for item in back])
        return [item for item in batch if item not in back]

    async def mistrust(self, error: BaseException) -> None:
        """Make the connection anew, after a pause: another one of the same holder has failed."""
        await self._lose(self._opened, error, self._pause_s)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    @property
    def may_be_two(self) -> bool:
        """Whether another connection of the same holder does as well: where work is bound to the holder, not to one."""
        if self._opened is None:
            return False
        capabilities = self._opened.link.broker.capabilities
        leaves_none_out = capabilities.pauses  # else it is this one's consumer that knows what is paused
        return capabilities.lease == "holder" and capabilities.keeps_verdicts and leaves_none_out

    @property
    def holder(self) -> str:
        return self._holder

    def grant(self, broker: str, holder: str) -> None:
        """Be another holder on one of several brokers: here is only one."""

    @property
    def is_open(self) -> bool:
        return self._opened is not None

    @property
    def is_receiving(self) -> bool:
        return self._opened is not None and self._opened.is_receiving

    def interrupt(self) -> None:
        """Make a waiting `receive` return at once."""
        if self._opened is not None:
            self._opened.consumer.interrupt()
        else:
            self._is_interrupted = True

    def consume(self, queues: Sequence[str]) -> None:
        """Receive from these queues from now on."""
        self._queues = queues
        self.interrupt()

    def skip(self, queues: frozenset[str]) -> None:
        """Receive nothing from these for now: they are paused."""
        self._skipped = queues
        if self._opened is not None:
            self._opened.skip(queues)

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        """Carry the completions out, however long that takes."""

        async def work(opened: Opened) -> Sequence[bool]:
            if self._custody is None:
                return await opened.settler.complete(list(completions))
            answers = await opened.settler.complete([self._custody.prepared(each) for each in completions])
            await self._custody.ended(opened.link, completions)
            return answers

        try:
            return await self._persist(work)
        except UNWRITABLE as error:
            if len(completions) > 1:
                return [(await self.complete([completion]))[0] for completion in completions]
            log.error("the outcome of a task cannot be kept: %s", error)
            return await self.complete([refused(completions[0], error)])

    async def settle(
        self, finished: Sequence[Finished], then: Callable[[Sequence[Finished], Sequence[bool]], None]
    ) -> None:
        """Carry out what has ended, and tell `then` for each whether it was ours still."""
        then(finished, await self.complete([item[0] for item in finished]) if finished else ())

    async def begin(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """Note that these must not run twice; say for each whether it may run.

        Where the connection fails in the middle, nobody knows: then it goes back, and does not run here.
        """
        noted = await self.try_begin(deliveries)
        if noted is not None:
            return noted
        await self.complete([Completion(Release(delivery, handed_back(delivery.message))) for delivery in deliveries])
        return [False] * len(deliveries)

    async def try_begin(self, deliveries: Sequence[Delivery]) -> Sequence[bool] | None:
        """Do the same; None: the connection has failed, and they have to go back."""
        opened: Opened | None = None
        try:
            opened = await self._ready()
            if not opened.link.broker.capabilities.keeps_verdicts:
                if not has_backend(opened.link.backend):
                    return await self._acknowledge_first(opened, deliveries)
                are_first = await note_begun(opened.link.backend.journal, deliveries)
                copies = [
                    delivery
                    for delivery, is_first in zip(deliveries, are_first, strict=True)
                    if not is_first and delivery.verdict is None  # a verdict is acted upon, and needs its delivery
                ]
                if copies:  # the first of each runs, or has run
                    await self.complete([Completion(Ack(delivery)) for delivery in copies])
            return await opened.consumer.begin(deliveries)
        except BROKEN as error:
            await self._lose(opened, error, _FIRST_PAUSE_S)
            return None

    async def with_inputs(self, batch: Sequence[Delivery | Malformed]) -> Sequence[Delivery | Malformed]:
        """Read what the nodes of workflows among these are given of those before them."""
        if self._opened is not None and not self._opened.link.broker.capabilities.locates:
            await self._begin_claimed(batch)
        takes_steps = self._opened is not None and (
            self._settles is not None or isinstance(self._opened.settler, FourSteps)
        )
        if takes_steps:

            async def told(opened: Opened) -> Sequence[Delivery | Malformed]:
                keeps_verdicts = opened.link.broker.capabilities.keeps_verdicts
                return await with_what_is_known(opened.link.backend, batch, keeps_verdicts=keeps_verdicts)

            batch = await self._persist(told)
        nodes = [item for item in batch if isinstance(item, Delivery) and item.message.member is not None]
        if not nodes:
            return batch

        found = await self._inputs_of([item.message.member for item in nodes if item.message.member is not None])
        given = {item.message.id: read for item, read in zip(nodes, found, strict=True)}
        return [
            replace(item, input=given[item.message.id]) if isinstance(item, Delivery) and item.message.id in given else item
            for item in batch
        ]

    async def record(self, records: Sequence[ResultRecord]) -> None:
        """Keep records that are no more than news: tried once."""
        try:
            await (await self._ready()).link.backend.record(records)
        except BROKEN as error:
            log.warning("the states of %d tasks were not recorded: %s", len(records), error)

    async def do(self, work: Callable[[Link], Awaitable[None]]) -> None:
        """Do `work` with what is open; if that fails, it is done when the connection is made anew."""
        try:
            await work((await self._ready()).link)
        except BROKEN as error:
            log.warning("%s", error)

    async def link(self) -> Link:
        """Return the open broker and backend."""
        return (await self._ready()).link

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        opened, self._opened = self._opened, None
        if opened is not None:
            await _let_go(opened)

    # -- internals -----------------------------------------------------------------------------------------

    async def _ready(self) -> Opened:
        async with self._opening:
            if self._opened is None:
                link = self._connect()
                try:
                    await link.broker.open()
                    await link.backend.open()
                    await self._on_open(link)
                except BaseException:
                    await _close(link)
                    raise
                self._opened = Opened(link, self._holder, self._queues, self._taking, self._skipped, self._settles)
                if link.broker.capabilities.longest_lease_s is not None and self._custody is None:
                    self._custody = Custody()
                    self._watching = asyncio.get_running_loop().create_task(self._look_after_long_tasks(self._custody))
            return self._opened

    async def _look_after_long_tasks(self, custody: Custody) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            opened = self._opened
            if opened is not None:
                try:
                    await custody.look(opened.link, opened.consumer, self._lease_s)
                except BROKEN as error:
                    log.warning("taking a long task into custody: %s", error)

    async def _acknowledge_first(self, opened: Opened, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """Let the broker forget these before they run: nobody else could tell that they must not run twice."""
        ours = await opened.consumer.settle([Ack(delivery) for delivery in deliveries])
        if self._custody is None:
            self._custody = Custody()
        self._custody.acknowledged([delivery for delivery, is_ours in zip(deliveries, ours, strict=True) if is_ours])
        return ours

    async def _inputs_of(self, members: Sequence[Member]) -> Sequence[Input | None]:
        """Read what nodes are given; None: that of this one cannot be read, and its task fails with that alone."""

        async def work(opened: Opened) -> Sequence[Input]:
            return await opened.link.backend.workflows.inputs(members)

        try:
            return await self._persist(work)
        except Exception as error:  # noqa: BLE001 - such as lists in lists, too deep for this interpreter
            if len(members) > 1:
                return [given for member in members for given in await self._inputs_of([member])]
            log.error(
                "what node %d of workflow %s is given cannot be read: %s", members[0].node, members[0].workflow, error
            )
            return [None]

    async def _begin_claimed(self, batch: Sequence[Delivery | Malformed]) -> None:
        """Release the keys that tasks have until they begin: elsewhere it shows by where their messages are."""
        begun = [
            item.message
            for item in batch
            if isinstance(item, Delivery) and item.message.claim is not None and item.message.claim.until is Until.START
        ]
        if begun:

            async def work(opened: Opened) -> None:
                await opened.link.backend.claims.release(begun)

            await self._persist(work)

    async def _persist(self, work: Callable[[Opened], Awaitable[T]]) -> T:
        pause_s = _FIRST_PAUSE_S
        while True:
            opened: Opened | None = None
            try:
                opened = await self._ready()
                return await work(opened)
            except (MessageTooLarge, ElsewhereAway):
                raise
            except ServerBlocked as error:  # with the connection would go what it holds, and run a second time
                log.warning("%s%s; trying again in %.1f s", self._says, error, pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            except BROKEN as error:
                await self._lose(opened, error, pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _lose(self, opened: Opened | None, error: BaseException, pause_s: float) -> None:
        """Let go of a connection that failed, and wait before the next."""
        log.warning("%s%s; trying again in %.1f s", self._says, error, pause_s)
        if opened is not None and opened is self._opened:
            self._opened = None
            if self._custody is not None:
                self._custody.lost_connection()
            if opened.link.broker.capabilities.lease == "connection":
                self._on_lost()
            await _let_go(opened)
        await asyncio.sleep(pause_s)


async def _let_go(opened: Opened) -> None:
    if opened.is_receiving:
        opened.consumer.interrupt()  # whoever receives closes it
    else:
        await opened.consumer.close()
    await _close(opened.link)


async def _close(link: Link) -> None:
    try:
        await link.backend.close()
        await link.broker.close()
    except BROKEN as error:
        log.debug("closing a broken connection: %s", error)
