"""The embedded broker: one SQLite file, many processes, no server.

See docs/internals/sqlite.md for the design and what it was measured at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from faena.broker import Capabilities, DeadLetters, Holder, Leases, Limits, Queues
from faena.drivers.signals import Alarm, Listener, name_of
from faena.drivers.sqlite import bounding, dead_letters, lanes, queues, settling, steps
from faena.drivers.sqlite.claims import holder_number
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.driver import Driver, driver_for
from faena.drivers.sqlite.results import ids_json
from faena.drivers.sqlite.steps import HOLDERS, QUEUES
from faena.errors import LeaseLost
from faena.model.delivery import (
    DeadLetter,
    DeadReason,
    Delivery,
    Found,
    Malformed,
    Place,
    QueueStatus,
    Settlement,
    Verdict,
    counts_of,
)
from faena.model.limit import Change, Declared, LimitStatus, Obstacle, Terms
from faena.model.message import Message
from faena.model.turns import USUAL, Taking, turns_of
from faena.types import Io

T = TypeVar("T")

_NET_FIRST_S, _NET_LONGEST_S = 1.0, 5.0
"""A waiting consumer looks of its own accord after this time, should a token have been lost."""
_POLL_FIRST_S, _POLL_LONGEST_S = 0.001, 0.05  # where there are no FIFOs


class SqliteBroker:
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
        self._leases = _Leases(self)
        self._queues = _Queues(self)
        self._dead_letters = _DeadLetters(self)
        self._limits = _Limits(self)

    @classmethod
    def connect(cls, url: str, *, io: Io, options: Mapping[str, object] = {}) -> SqliteBroker:
        """Options: `synchronous` (NORMAL; FULL survives a power cut), `busy_timeout_s`, `largest_message_bytes`."""
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
            row = steps.row_of(messages[0], largest_bytes)
            if self.driver.io == "blocking":
                self._publish_one(row)
            else:
                await self.driver.call(self._publish_one, row)
        elif messages:
            rows = [steps.row_of(message, largest_bytes) for message in messages]
            await self.driver.call(self._publish_all, rows)

    def _publish_one(self, row: steps.Row) -> None:
        self.driver.database.write_one(partial(steps.insert_one, row=row))
        self.driver.signals.notify((name_of("q", row[0]),))

    def _publish_all(self, rows: Sequence[steps.Row]) -> None:
        self.driver.database.write(partial(steps.insert, rows=rows))
        self.notify({row[0] for row in rows})

    async def offer(self, messages: Sequence[Message], bounds: Mapping[str, int], *, whole: bool) -> Sequence[str]:
        rows = [steps.row_of(message, self.driver.location.largest_message_bytes) for message in messages]

        def step() -> Sequence[str]:
            refused = self.driver.database.write(partial(bounding.offer, rows=rows, bounds=bounds, whole=whole))
            self.notify({row[0] for row in rows})
            return refused

        return await self.driver.call(step)

    async def cancel(self, ids: Sequence[str]) -> Sequence[Message]:
        if not ids:
            return ()
        return await self.changed(partial(steps.cancel, ids=ids_json(ids)))

    async def locate(self, ids: Sequence[str]) -> Sequence[Place | None]:
        return await self.driver.read(partial(queues.locate, ids=ids)) if ids else ()

    async def find(self, task_id: str) -> Found | None:
        return await self.driver.read(partial(queues.find, task_id=task_id))

    def consumer(self, holder: Holder, queues: Sequence[str], taking: Taking = USUAL) -> SqliteConsumer:
        return SqliteConsumer(self, holder, queues, taking)

    async def changed(self, work: Callable[[Connection, set[str]], T]) -> T:
        """Run what may let others go on, and wake them."""

        def step() -> T:
            touched: set[str] = set()
            result = self.driver.database.write(lambda sql: work(sql, touched))
            self.notify(touched)
            return result

        return await self.driver.call(step)

    def notify(self, queues: set[str]) -> None:
        """Wake one waiting consumer of each queue. Called on the thread that may wait for the disk."""
        self.driver.signals.notify([name_of("q", queue) for queue in queues])


class SqliteConsumer:
    """See `faena.broker.Consumer`."""

    def __init__(self, broker: SqliteBroker, holder: Holder, queues: Sequence[str], taking: Taking) -> None:
        self._broker, self._driver = broker, broker.driver
        self._holder = holder_number(holder)
        self._queues = tuple(dict.fromkeys(queues))
        self._turns, self._ageing_s = turns_of(self._queues, taking), taking.ageing_s
        self._is_declared = False
        self._was_emptied = False  # the last look left nothing: what comes after it is waited for, not looked for
        self._alarm = Alarm()

    async def receive(self, limit: int, wait_s: float) -> Sequence[Delivery | Malformed]:
        deadline = time.monotonic() + wait_s
        if not self._is_declared:
            await self._driver.write(partial(queues.declare, names=self._queues))
            self._is_declared = True
        if not self._was_emptied or wait_s <= 0:
            batch = await self._take(limit)
            if batch or wait_s <= 0:
                return batch
        return await self._wait(limit, deadline)

    async def _take(self, limit: int) -> Sequence[Delivery | Malformed]:
        batch = await self._take_in_turn(limit)
        self._was_emptied = len(batch) < limit
        return batch

    async def _take_in_turn(self, limit: int) -> Sequence[Delivery | Malformed]:
        order = self._turns.next()
        if self._driver.io == "blocking":
            batch = self._receive(order, limit)
        else:
            batch = await self._driver.call(self._receive, order, limit)
        if self._turns.counts:
            self._turns.took(counts_of(batch), limit)
        return batch

    def _receive(self, order: tuple[str, ...], limit: int) -> Sequence[Delivery | Malformed]:
        claimed = self._driver.database.write(lambda sql: steps.receive(sql, self._holder, order, limit, self._ageing_s))
        batch = steps.deliveries_of(claimed)
        if batch:
            self._driver.outstanding[claimed.claim] = len(batch)
        if claimed.touched:
            self._broker.notify(set(claimed.touched))  # there may be more
        return batch

    async def _wait(self, limit: int, deadline: float) -> Sequence[Delivery | Malformed]:
        listener = self._driver.signals.listen([name_of("q", queue) for queue in self._queues])
        pause_s, longest_s = (_NET_FIRST_S, _NET_LONGEST_S) if listener.is_pushed else (_POLL_FIRST_S, _POLL_LONGEST_S)
        try:
            while not self._alarm.take():
                next_due_s = await self._driver.read(partial(steps.look, holder=self._holder, queues=self._queues))
                left_s = deadline - time.monotonic()
                due_in_s = left_s if next_due_s is None else next_due_s - time.time()
                if due_in_s > 0 and left_s > 0:
                    has_token = await self._rest(listener, min(left_s, due_in_s, pause_s))
                    pause_s = min(longest_s, pause_s * 2)
                    if not has_token:
                        continue
                batch = await self._take(limit)
                if batch or left_s <= 0:
                    return batch
            return ()
        finally:
            listener.close()

    async def _rest(self, listener: Listener, timeout_s: float) -> bool:
        if self._driver.io == "blocking":
            return listener.wait(timeout_s, self._alarm)
        return await listener.await_token(timeout_s, self._alarm)

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        if not settlements:
            return ()
        return await self._driver.call(settling.settle, self._driver, settlements)

    async def begin(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        return await self._driver.write(lambda sql: steps.begin(sql, deliveries)) if deliveries else ()

    def interrupt(self) -> None:
        self._alarm.ring()

    async def close(self) -> None:
        self._alarm.close()


class _Leases:
    """See `faena.broker.Leases`."""

    def __init__(self, broker: SqliteBroker) -> None:
        self._broker, self._driver = broker, broker.driver

    async def open_holder(self, owner: str, lease_s: float) -> Holder:
        row = (owner, time.time() + lease_s)
        return str(await self._driver.write(lambda sql: sql.execute(HOLDERS.open, row).lastrowid))

    async def renew(self, holders: Sequence[Holder], lease_s: float) -> Sequence[Holder]:
        until_s = time.time() + lease_s

        def work(sql: Connection) -> list[Holder]:
            return [holder for holder in holders if sql.execute(HOLDERS.renew, (until_s, _number(holder))).rowcount == 1]

        return await self._driver.write(work) if holders else ()

    async def recover(self, holder: Holder, verdicts: Mapping[str, Verdict]) -> int:
        number, judged = _number(holder), tuple(verdicts.items())
        return await self._broker.changed(lambda sql, touched: steps.hand_back(sql, number, judged, touched))

    async def reap(self) -> int:
        now_s = time.time()
        expired = await self._driver.read(lambda sql: sql.execute(HOLDERS.expired, (now_s,)).fetchall())
        if not expired:
            return 0

        def work(sql: Connection, touched: set[str]) -> int:
            ended = sql.execute(HOLDERS.expired, (now_s,)).fetchall()  # again: one may have been renewed
            return sum(steps.hand_back(sql, number, (), touched) for (number,) in ended)

        return await self._broker.changed(work)


def _number(holder: Holder) -> int:
    try:
        return holder_number(holder)
    except LeaseLost:
        return -1  # matches no row


class _Queues:
    """See `faena.broker.Queues`."""

    def __init__(self, broker: SqliteBroker) -> None:
        self._broker, self._driver = broker, broker.driver

    async def status(self) -> Sequence[QueueStatus]:
        return await self._driver.read(queues.status)

    async def browse(self, queue: str, limit: int, offset: int = 0) -> Sequence[tuple[Place, Message]]:
        return await self._driver.read(partial(queues.browse, queue=queue, limit=limit, offset=offset))

    async def purge(self, queue: str) -> int:
        return await self._broker.changed(partial(queues.purge, queue=queue))

    async def take_oldest(self, holder: Holder, queue: str, limit: int) -> Sequence[Delivery | Malformed]:
        def step() -> Sequence[Delivery | Malformed]:
            number = holder_number(holder)
            claimed = self._driver.database.write(lambda sql: bounding.take_oldest(sql, number, queue, limit))
            batch = steps.deliveries_of(claimed)
            if batch:
                self._driver.outstanding[claimed.claim] = len(batch)
            return batch

        return await self._driver.call(step)

    async def pause(self, queue: str) -> None:
        await self._driver.write(lambda sql: sql.execute(QUEUES.set_paused, (queue, 1)).rowcount)

    async def resume(self, queue: str) -> None:
        def step() -> None:
            self._driver.database.write(lambda sql: sql.execute(QUEUES.set_paused, (queue, 0)).rowcount)
            self._broker.notify({queue})

        await self._driver.call(step)


class _Limits:
    """See `faena.broker.Limits`."""

    def __init__(self, broker: SqliteBroker) -> None:
        self._broker, self._driver = broker, broker.driver

    async def declare(self, terms: Mapping[str, Terms | None]) -> Mapping[str, Terms]:
        known = await self._driver.read(lanes.read_declared)
        if all(known.declared.get(family) == each for family, each in terms.items()):
            return known.in_force()
        return (await self._apply(lambda declared: declared.declare(terms))).in_force()

    async def change(self, family: str, change: Change | None) -> Terms:
        return (await self._apply(lambda declared: declared.change(family, change))).terms_of(family)

    async def list(self) -> Sequence[LimitStatus]:
        return await self._driver.read(lanes.statuses)

    async def obstacles(self, ids: Sequence[str]) -> Sequence[Sequence[Obstacle] | None]:
        return await self._driver.read(lambda sql: lanes.obstacles(sql, ids))

    async def _apply(self, do: Callable[[Declared], None]) -> Declared:
        def work(sql: Connection, touched: set[str]) -> Declared:
            before, after = lanes.read_declared(sql), lanes.read_declared(sql)
            do(after)
            effects = lanes.Effects(sql)
            lanes.write_declared(effects, before, after)
            touched.update(effects.names())
            return after

        return await self._broker.changed(work)


class _DeadLetters:
    """See `faena.broker.DeadLetters`."""

    def __init__(self, broker: SqliteBroker) -> None:
        self._broker, self._driver = broker, broker.driver

    async def list(self, queue: str | None, limit: int, offset: int = 0) -> Sequence[DeadLetter]:
        return await self._driver.read(partial(dead_letters.listed, queue=queue, limit=limit, offset=offset))

    async def find(self, task_id: str) -> DeadLetter | None:
        return await self._driver.read(partial(dead_letters.find, task_id=task_id))

    async def replace(self, task_id: str, message: Message) -> bool:
        largest_bytes = self._driver.location.largest_message_bytes
        return await self._driver.write(
            partial(dead_letters.replace, task_id=task_id, message=message, largest_bytes=largest_bytes)
        )

    async def requeue(
        self, queue: str | None = None, ids: Sequence[str] | None = None, reason: DeadReason | None = None
    ) -> int:
        def step() -> int:
            back = self._driver.database.write(
                partial(dead_letters.requeue, queue=queue, ids=ids, reason=reason, now_s=time.time())
            )
            self._broker.notify(set(back))
            return len(back)

        return await self._driver.call(step)

    async def purge(self, queue: str | None = None, ids: Sequence[str] | None = None, before_s: float | None = None) -> int:
        return await self._driver.write(partial(dead_letters.purge, queue=queue, ids=ids, before_s=before_s))
