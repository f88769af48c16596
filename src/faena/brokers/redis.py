"""Redis or Valkey as a broker.

See docs/internals/redis.md for the design and what it was measured at.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from math import inf

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.broker import Capabilities, Courier, DeadLetters, Holder, Leases, Limits, Queues
from faena.drivers.redis.courier import RedisCourier
from faena.drivers.redis.driver import Driver, Expectant, driver_for
from faena.drivers.redis.letters import RedisDeadLetters
from faena.drivers.redis.limits import RedisLimits
from faena.drivers.redis.lost import Noted, forget_lost, note_lost, take_lost
from faena.drivers.redis.messages import Row, Words, alike, deliveries_of, encode, found_of, message_of, row_of, rows_of
from faena.drivers.redis.queues import RedisQueues
from faena.drivers.redis.settling import begin, settle
from faena.drivers.redis.waiting import Waiter
from faena.drivers.redis.wire import Reply
from faena.drivers.signals import Alarm
from faena.errors import BrokerUnavailable, PublishedInPart
from faena.model.delivery import Delivery, Found, Malformed, Place, Settlement, Verdict, VerdictKind, counts_of
from faena.model.message import HIGHEST_PRIORITY, Message
from faena.model.turns import USUAL, Taking, turns_of
from faena.types import Io

_AT_ONCE, _AT_ONCE_BYTES = 1000, 8 * 1024 * 1024  # in one script: nobody else is served meanwhile
_MOST = 1000  # messages in one fetch
_LOOK_S = 5.0  # leases are looked through this often: others may open short ones
_STALE_S = 10.0  # a wake-up may have been missed by who did not look for so long (tokens expire)


class RedisBroker:
    """See `faena.broker.Broker`."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._capabilities = Capabilities(
            durable=True,
            lease="holder",
            largest_message_bytes=driver.location.largest_message_bytes,
            limits=True,
            joint=True,
            orders=True,
            ages=True,
            bounds=True,
        )
        self._is_open = False
        self._keys = (driver.prefix,)
        self._leases, self._queues, self._dead_letters = _Leases(driver), RedisQueues(driver), RedisDeadLetters(driver)
        self._limits = RedisLimits(driver)

    @classmethod
    def connect(cls, url: str, *, io: Io, options: Mapping[str, object] = {}) -> RedisBroker:
        """Options: see `faena.drivers.redis.location`; they may stand in the query of the URL, too."""
        return cls(driver_for(url, io, options))

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def leases(self) -> Leases:
        return self._leases

    @property
    def queues(self) -> Queues:
        return self._queues

    @property
    def dead_letters(self) -> DeadLetters:
        return self._dead_letters

    @property
    def limits(self) -> Limits:
        return self._limits

    async def open(self) -> None:
        if not self._is_open:
            await self.driver.open()
            self._is_open = True

    async def close(self) -> None:
        was_open, self._is_open = self._is_open, False
        await self.driver.close(was_open=was_open)

    async def publish(self, messages: Sequence[Message]) -> None:
        largest_bytes = self.driver.location.largest_message_bytes
        if len(messages) == 1:
            row, driver = row_of(messages[0], largest_bytes), self.driver
            if row[2]:
                taken = 0
            elif driver.expectant is None:
                taken = await driver.run_on("publish_one", self._keys, row)
                driver.sent_last = row[3]
            else:
                taken = await self._publish_expected(row, driver.expectant)
            if not taken:
                await driver.run("publish", *row)
            return
        at = 0
        while at < len(messages):
            rows: list[Row] = []
            size_bytes, first = 0, at
            while at < len(messages) and at - first < _AT_ONCE and size_bytes < _AT_ONCE_BYTES:
                rows.append(row_of(messages[at], largest_bytes, at))
                size_bytes += len(rows[-1][4])
                at += 1
            try:
                if not (words := alike(rows)) or not await self.driver.run("publish_alike", *words):
                    await self.driver.run("publish", *[word for row in rows for word in row])
            except BrokerUnavailable as error:
                if first == 0:
                    raise
                raise PublishedInPart([message.id for message in messages[:first]], len(messages)) from error

    def courier(self, like: Message, within_s: float) -> Courier | None:
        """See `faena.broker.courier_of`."""
        is_usual = self.driver.io == "blocking" and like.due_at_s is None and like.lane is None
        return RedisCourier(self.driver, like, within_s) if is_usual else None

    async def _publish_expected(self, row: Row, expectant: Expectant) -> int:
        """Publish one that is due now, and let its result be told to who is likely to wait for it; 0: look closer."""
        driver, task_id = self.driver, row[3]
        driver.expectant = None
        channel = expectant.expect(task_id)
        taken: int = 0
        try:
            taken = await driver.run("publish_one", *row, *(() if channel is None else (channel,)))
        finally:
            if not taken:
                expectant.expect_no_more(task_id)
        driver.sent_last = task_id
        return taken

    async def offer(self, messages: Sequence[Message], bounds: Mapping[str, int], *, whole: bool) -> Sequence[str]:
        location = self.driver.location
        refused: list[str] = []
        for at in range(0, len(messages), _AT_ONCE):
            part = messages[at : at + _AT_ONCE]
            words: Words = [int(whole), len(bounds)]
            for queue, bound in bounds.items():
                words += (queue, bound)
            try:
                ids = await self.driver.run("offer", *words, *rows_of(part, location.largest_message_bytes))
            except BrokerUnavailable as error:
                if at == 0:
                    raise
                gone = set(refused)
                raise PublishedInPart([each.id for each in messages[:at] if each.id not in gone], len(messages)) from error
            refused += [task_id.decode() for task_id in ids]
            if whole and refused:
                refused += [each.id for each in messages[at + len(part) :]]
                break
        return refused

    async def cancel(self, ids: Sequence[str]) -> Sequence[Message]:
        found: list[Message] = []
        for at in range(0, len(ids), _AT_ONCE):
            values = await self.driver.run("cancel", *ids[at : at + _AT_ONCE])
            found += [message for value in values if (message := message_of(value)) is not None]
        return found

    async def locate(self, ids: Sequence[str]) -> Sequence[Place | None]:
        found: list[Place | None] = []
        for at in range(0, len(ids), _AT_ONCE):
            places = await self.driver.run("locate", *ids[at : at + _AT_ONCE])
            found += [Place(place.decode()) if place else None for place in places]
        return found

    async def find(self, task_id: str) -> Found | None:
        (place,) = await self.locate([task_id])
        if place is None:
            return None
        if place is Place.DEAD:
            letter = await self._dead_letters.find(task_id)
            return None if letter is None else Found(place, letter.message, letter.deliveries, letter.crashes)
        row = await self.driver.run("find", task_id)
        return None if row is None else found_of(place, *row)

    def consumer(self, holder: Holder, queues: Sequence[str], taking: Taking = USUAL) -> RedisConsumer:
        return RedisConsumer(self.driver, holder, queues, taking)


class _Fetch:
    """One fetch: its claim, and what its script is told."""

    __slots__ = ("claim", "keys", "limit", "words")

    def __init__(self, claim: str, limit: int, keys: list[str], words: tuple[str | int, ...]) -> None:
        self.claim, self.limit, self.keys, self.words = claim, limit, keys, words


class RedisConsumer:
    """See `faena.broker.Consumer`."""

    def __init__(self, driver: Driver, holder: Holder, queues: Sequence[str], taking: Taking) -> None:
        self._driver, self._holder = driver, holder
        self._queues = tuple(dict.fromkeys(queues))
        prefix = driver.prefix
        self._held = f"{prefix}h:{holder}"
        self._lists = {
            queue: (*(f"{prefix}q:{rank}:{queue}" for rank in range(HIGHEST_PRIORITY + 1)), f"{prefix}d:{queue}")
            for queue in self._queues
        }
        self._turns = turns_of(self._queues, taking)
        self._ageing_ms = {queue: max(1, round(ageing_s * 1000)) for queue, ageing_s in taking.ageing_s.items()}
        self._is_lonely = len(self._queues) == 1 and not self._ageing_ms  # one message may come the short way
        self._wake = [f"{prefix}w:{queue}" for queue in self._queues]
        self._waiter = Waiter(driver)
        self._alarm = Alarm()
        self._claim_head, self._claim_number = secrets.token_hex(4), 0
        self._is_declared = False
        self._emptied_at_s = -inf  # when the last look left nothing: what comes after it is waited for, not looked for
        self._due_in_s = inf
        self._unusual_until_s = -inf  # until then it is not tried whether there is nothing but usual messages

    async def receive(self, limit: int, wait_s: float) -> Sequence[Delivery | Malformed]:
        now_s = time.monotonic()
        deadline = now_s + wait_s
        if await self._waiter.connected() or not self._is_declared:
            await self._begin()
        if now_s - self._emptied_at_s > _STALE_S or wait_s <= 0:
            batch = await self._fetch(limit, 0.0)
            if batch or wait_s <= 0:
                return batch
        while not self._alarm.take():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return ()
            batch = await self._fetch(limit, left_s)
            if batch:
                return batch
        if self._due_in_s < inf:  # the token that told of it went to us alone: let another one watch the clock
            self._due_in_s = inf
            await self._driver.run("queues", "wake", *self._queues)
        return ()

    async def _begin(self) -> None:
        """Put back what an earlier connection of this holder was sent and never saw; let the queues be known."""
        await take_lost(self._driver, self._holder)
        self._emptied_at_s = -inf
        if not self._is_declared:
            await self._driver.run("queues", "declare", *self._queues)
            self._is_declared = True

    def receive_lone(self, wait_s: float) -> Sequence[Delivery | Malformed] | None:
        """See `faena.broker.lone_receiver_of`."""
        now_s = time.monotonic()
        if not self._is_lonely or not self._is_declared or self._due_in_s < inf or self._alarm.is_raised:
            return None
        if now_s - self._emptied_at_s > _STALE_S or now_s <= self._unusual_until_s:
            return None
        fetch = self._next(1)
        lost = note_lost(self._driver, self._holder, self._waiter.client, fetch.claim)
        call = self._waiter.parked(self._wake, wait_s, self._alarm, "fetch_one", fetch.keys, fetch.words)
        if call is None:
            forget_lost(lost)
            return None
        found = call.found
        if len(found) == 2 and type(reply := found[1]) is list and len(reply[0]) == 1 and not reply[2]:
            forget_lost(lost)
            self._emptied_at_s = now_s
            return deliveries_of(fetch.claim.encode(), reply)
        return run(self._took(run(self._waiter.rest(call, self._alarm, "fetch_one", fetch.keys, fetch.words)), fetch, lost))

    def _next(self, limit: int) -> _Fetch:
        """Return what the next fetch asks for."""
        queues = self._turns.next()
        self._claim_number += 1
        claim = f"{self._claim_head}{self._claim_number:x}"
        keys = [self._driver.prefix, self._held, *[key for queue in queues for key in self._lists[queue]]]
        words: tuple[str | int, ...] = (self._holder, claim, limit, *queues)
        if self._ageing_ms:
            words += tuple(self._ageing_ms.get(queue, 0) for queue in queues)
        return _Fetch(claim, limit, keys, words)

    async def _fetch(self, limit: int, wait_s: float) -> Sequence[Delivery | Malformed]:
        fetch = self._next(min(limit, _MOST))
        keys, words = fetch.keys, fetch.words
        lost = note_lost(self._driver, self._holder, self._waiter.client, fetch.claim)
        name = "fetch_one" if limit == 1 and self._is_lonely and time.monotonic() > self._unusual_until_s else "fetch"
        if wait_s > 0:
            rest_s = max(0.0, self._due_in_s - time.monotonic())
            reply = await self._waiter.run_after(self._wake, wait_s, rest_s, self._alarm, name, keys, words)
        else:
            reply = await self._waiter.run(name, keys, words)
        return await self._took(reply, fetch, lost)

    async def _took(self, reply: Reply, fetch: _Fetch, lost: Noted) -> Sequence[Delivery | Malformed]:
        """Return what a fetch has brought, and take in what it tells."""
        if reply == 0:
            self._unusual_until_s = time.monotonic() + _STALE_S
            reply = await self._waiter.run("fetch", fetch.keys, fetch.words)
        forget_lost(lost)
        now_s, limit = time.monotonic(), fetch.limit
        self._due_in_s = now_s + reply[3] / 1000 if reply[3] >= 0 else inf
        batch = deliveries_of(fetch.claim.encode(), reply)
        # what a full fetch left behind has its token; where it is likely that much is left, looking is cheaper than waiting
        self._emptied_at_s = now_s if len(batch) < limit or limit == 1 else -inf
        if self._turns.counts:
            self._turns.took(counts_of(batch), limit)
        return batch

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        return await settle(self._driver, self._holder, settlements) if settlements else ()

    async def begin(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        return await begin(self._driver, self._holder, deliveries) if deliveries else ()

    def interrupt(self) -> None:
        self._alarm.ring()

    async def close(self) -> None:
        self._waiter.close()
        self._alarm.close()


class _Leases:
    """See `faena.broker.Leases`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._no_end_before_s = -inf  # no lease ends before, as far as we know

    async def open_holder(self, owner: str, lease_s: float) -> Holder:  # noqa: ARG002 - its name is not kept here
        holder = new_id()
        self._ends_after(lease_s)
        await self._driver.run("lease", "open", round(lease_s * 1000), holder)
        return holder

    async def renew(self, holders: Sequence[Holder], lease_s: float) -> Sequence[Holder]:
        if not holders:
            return ()
        kept, next_ms = await self._driver.run("lease", "renew", round(lease_s * 1000), *holders)
        self._none_ends_for(next_ms)
        return [holder.decode() for holder in kept]

    def _ends_after(self, lease_s: float) -> None:
        self._no_end_before_s = min(self._no_end_before_s, time.monotonic() + lease_s)

    def _none_ends_for(self, next_ms: int) -> None:
        quiet_s = _LOOK_S if next_ms < 0 else min(_LOOK_S, next_ms / 1000)
        self._no_end_before_s = time.monotonic() + quiet_s

    async def recover(self, holder: Holder, verdicts: Mapping[str, Verdict]) -> int:
        words: Words = []
        for task_id, verdict in verdicts.items():
            words += (task_id, int(verdict.kind is VerdictKind.CRASHED), encode(verdict))
        count: int = await self._driver.run("recover", holder, "0", *words, held=holder)
        return count

    async def reap(self) -> int:
        if time.monotonic() < self._no_end_before_s:
            return 0
        total = 0
        ended, next_ms = await self._driver.run("lease", "ended")
        self._none_ends_for(next_ms)
        for holder in ended:
            name = holder.decode()
            total += max(0, await self._driver.run("recover", name, "1", held=name))  # it may have been renewed meanwhile
        return total
