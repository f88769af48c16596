"""Wait for results: who records one finds the channels of those who watch it, and tells them.

Who sends one task after the other, and waits for each, would ask the server twice each time: to take it, and to tell of its
result. So whoever has waited for what was sent last is told what is sent next (`Driver.expectant`), and the message takes
the channel along. Where nobody waits for it after all, the news of it are dropped, and the next message goes without.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence

from faena.drivers.memory.bell import Bell
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.records import record_of
from faena.drivers.redis.subscription import Subscription
from faena.drivers.redis.wire import Wire
from faena.errors import ServerUnavailable
from faena.model.result import ResultRecord

_ADD_AT_ONCE = 1000  # ids in one script, so that others get their turn
_RENEW_S = 60.0
"""Who waits that long registers again and looks, should a registration have been lost (a cluster moved our keys)."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_TERMINAL = ord("T")
_SIZES = struct.Struct(">II")


class RedisWatch:
    """See `faena.backend.Watch`."""

    def __init__(self, driver: Driver, subscription: Subscription) -> None:
        self._driver, self._subscription = driver, subscription
        self.bell = Bell(driver.io)
        self.watched: set[str] = set()
        self._news: dict[str, bool] = {}  # id -> whether its state is terminal
        self._has_missed = False
        self._added_at_s = 0.0
        self._is_attached = False
        self._expected: tuple[str, Wire] | None = None  # what was sent with our channel, and what the news of it come by

    @property
    def has_news(self) -> bool:
        return bool(self._news) or self._has_missed

    def take_news(self, news: bytes) -> None:
        """Take what was told to our channel. Called by whoever reads."""
        at, found = 0, False
        while at < len(news):
            id_bytes, value_bytes = _SIZES.unpack_from(news, at + 1)
            begin = at + 1 + _SIZES.size
            end = begin + id_bytes
            task_id = news[begin:end].decode()
            if task_id in self.watched:
                found, self._news[task_id] = True, news[at] == _TERMINAL
                if value_bytes:
                    self._driver.keep(task_id, news[end : end + value_bytes])
            at = end + value_bytes
        if found:
            self.bell.ring()

    def miss(self) -> None:
        self._has_missed = True
        self.bell.ring()

    def expect(self, task_id: str) -> str | None:
        wire = self._subscription.wire
        if wire is None or wire.is_broken or not self._is_attached:
            return None
        self._expected = (task_id, wire)
        self.watched.add(task_id)
        return self._subscription.channel

    def expect_no_more(self, task_id: str) -> None:
        self._expected = None
        self.watched.discard(task_id)
        self._news.pop(task_id, None)

    def _was_expected(self, ids: Sequence[str]) -> bool:
        """Whether the news of this one come without our asking."""
        expected, self._expected = self._expected, None
        if expected is not None:
            task_id, wire = expected
            if len(ids) == 1 and ids[0] == task_id and wire is self._subscription.wire:
                return True
            if task_id not in ids:
                self.expect_no_more(task_id)
        return False

    def soon(self, task_id: str, timeout_s: float) -> ResultRecord | None:
        """See `faena.backend.Expecting`."""
        expected = self._expected
        if expected is None or expected[0] != task_id or self.has_news:
            return None
        news = self._subscription.hear(expected[1], timeout_s)
        if news is None:
            return None
        id_bytes, value_bytes = _SIZES.unpack_from(news, 1)
        begin = 1 + _SIZES.size + id_bytes
        is_all = news[0] == _TERMINAL and value_bytes and begin + value_bytes == len(news)
        if not is_all or news[1 + _SIZES.size : begin] != task_id.encode():
            self.take_news(news)
            return None
        self._expected = None
        self.watched.discard(task_id)
        if task_id == self._driver.sent_last:
            self._driver.expectant = self
        return record_of(news[begin:])

    async def add(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]:
        if not ids:
            return ()
        if len(ids) == 1 and ids[0] == self._driver.sent_last:
            self._driver.expectant = self
        if self._was_expected(ids):
            self._added_at_s = time.monotonic()
            return (None,)
        if not self._is_attached:
            self._subscription.attach(self)
            self._is_attached = True
        await self._subscription.start(self, self._driver)
        self.watched.update(ids)  # before the server knows: what it tells from then on is for us
        records = await self._register(ids)
        ended = {record.id for record in records if record is not None and record.is_terminal}
        self.watched -= ended
        for task_id in ended:
            self._news.pop(task_id, None)
        return records

    async def _register(self, ids: Sequence[str]) -> list[ResultRecord | None]:
        found: list[ResultRecord | None] = []
        if len(ids) == 1:
            value = await self._driver.run("watch_one", self._subscription.channel, ids[0])
            if value != 0:
                self._added_at_s = time.monotonic()
                return [record_of(value)]
        for at in range(0, len(ids), _ADD_AT_ONCE):
            part = ids[at : at + _ADD_AT_ONCE]
            found += map(record_of, await self._driver.run("results", "watch", self._subscription.channel, *part))
        self._added_at_s = time.monotonic()
        return found

    async def changed(self, timeout_s: float | None) -> Sequence[str]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self.watched:
            if self._has_missed or time.monotonic() - self._added_at_s > _RENEW_S:
                await self._look_patiently()
            if self._news:
                return self._taken()
            left_s = _RENEW_S if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                return ()
            await self._subscription.wait(self, self._driver, min(left_s, _RENEW_S))
        return ()

    def _taken(self) -> list[str]:
        news, self._news = self._news, {}
        found = [task_id for task_id in news if task_id in self.watched]
        self.watched.difference_update([task_id for task_id in found if news[task_id]])
        return found

    async def _look_patiently(self) -> None:
        """Look; where the server takes nothing yet (it loads its data), again, for as long as one call may take."""
        until_s, pause_s = time.monotonic() + self._driver.location.timeout_s, _FIRST_PAUSE_S
        while True:
            self._has_missed = False  # before the look: what is missed from here on is missed by it
            try:
                return await self._look()
            except ServerUnavailable:
                self._has_missed = True
                if time.monotonic() + pause_s > until_s:
                    raise
            await self.bell.rest(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    async def _look(self) -> None:
        """Register again, and take everything that is recorded for a change: it may be one."""
        for record in await self._register(list(self.watched)):
            if record is not None:
                self._news[record.id] = record.is_terminal

    async def remove(self, ids: Sequence[str]) -> None:
        gone = [task_id for task_id in ids if task_id in self.watched]
        self.watched.difference_update(gone)
        for task_id in gone:
            self._news.pop(task_id, None)
        others = [each for each in self._subscription.others(self) if isinstance(each, RedisWatch)]
        unwatched = [task_id for task_id in gone if not any(task_id in each.watched for each in others)]
        for at in range(0, len(unwatched), _ADD_AT_ONCE):
            part = unwatched[at : at + _ADD_AT_ONCE]
            await self._driver.run("results", "unwatch", self._subscription.channel, *part)

    async def close(self) -> None:
        if self._is_attached:
            self._is_attached = False
            if self._driver.expectant is self:
                self._driver.expectant = None
            self._subscription.detach(self)
            await self.remove(list(self.watched))
