"""Redis or Valkey as a backend: results, workflows, what tasks remember, control, presence and revocations.

See docs/internals/redis.md for the design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from faena.backend import Claims, Events, JointSettler, Journal, Mailbox, Orders, Revocations, Schedules, Watch, Workflows
from faena.drivers.redis.driver import Driver, driver_for
from faena.drivers.redis.journal import RedisJournal
from faena.drivers.redis.mailbox import RedisMailbox, RedisOrders, RedisRevocations
from faena.drivers.redis.messages import Words
from faena.drivers.redis.records import record_of, record_words
from faena.drivers.redis.settling import RedisJoint
from faena.drivers.redis.subscription import subscription_for
from faena.drivers.redis.unique import RedisClaims
from faena.drivers.redis.watch import RedisWatch
from faena.drivers.redis.workflows import RedisWorkflows
from faena.model.result import ResultRecord
from faena.types import Io

_AT_ONCE = 500  # in one script: nobody else is served meanwhile
_READ_AT_ONCE = 1000
_RECENT_MOST = 10_000  # `latest` knows the last changes, no more


class RedisBackend:
    """See `faena.backend.Backend`."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._is_open = False
        self._mailbox, self._revocations = RedisMailbox(driver), RedisRevocations(driver)
        self._orders = RedisOrders(driver)
        self._workflows, self._journal = RedisWorkflows(driver), RedisJournal(driver)
        self._schedules: Schedules | None = None
        self._events: Events | None = None
        self._claims = RedisClaims(driver)
        self._swept_to = "0"
        self._led: dict[str, bytes] = {}  # by role: who got its lease here the last time

    @classmethod
    def connect(cls, url: str, *, io: Io, options: Mapping[str, object] = {}) -> RedisBackend:
        """Options: see `faena.drivers.redis.location`; they may stand in the query of the URL, too."""
        return cls(driver_for(url, io, options))

    @property
    def mailbox(self) -> Mailbox:
        return self._mailbox

    @property
    def revocations(self) -> Revocations:
        return self._revocations

    @property
    def orders(self) -> Orders:
        return self._orders

    @property
    def workflows(self) -> Workflows:
        return self._workflows

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def claims(self) -> Claims:
        return self._claims

    @property
    def schedules(self) -> Schedules:
        if self._schedules is None:
            from faena.drivers.redis.schedules import RedisSchedules  # what knows when; who only sends does not load it

            self._schedules = RedisSchedules(self.driver)
        return self._schedules

    @property
    def events(self) -> Events:
        if self._events is None:
            from faena.drivers.redis.events import RedisEvents  # likewise

            self._events = RedisEvents(self.driver)
        return self._events

    async def open(self) -> None:
        if not self._is_open:
            await self.driver.open()
            self._is_open = True

    async def close(self) -> None:
        was_open, self._is_open = self._is_open, False
        self._mailbox.close()
        await self.driver.close(was_open=was_open)

    async def record(self, records: Sequence[ResultRecord]) -> Sequence[bool]:
        kept: list[bool] = []
        for at in range(0, len(records), _AT_ONCE):
            words: Words = []
            for record in records[at : at + _AT_ONCE]:
                words += (record.id, *record_words(record))
            kept += [each == 49 for each in await self.driver.run("results", "record", *words)]
        return kept

    async def read(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]:
        if len(ids) == 1 and (kept := self.driver.take_kept(ids[0])) is not None:
            return [record_of(kept)]
        found: list[ResultRecord | None] = []
        for at in range(0, len(ids), _READ_AT_ONCE):
            found += map(record_of, await self.driver.run("read", *ids[at : at + _READ_AT_ONCE]))
        return found

    async def latest(self, limit: int, state: str | None = None) -> Sequence[ResultRecord]:
        """Return the records that changed last, of the last 10,000 changes."""
        found: dict[str, ResultRecord] = {}
        seen: set[bytes] = set()
        for at in range(0, _RECENT_MOST, _READ_AT_ONCE):
            if len(found) >= limit:
                break
            ids = await self.driver.command("LRANGE", f"{self.driver.prefix}recent", at, at + _READ_AT_ONCE - 1)
            fresh = [each for each in dict.fromkeys(ids) if each not in seen]
            seen.update(fresh)
            for record in await self.read([each.decode() for each in fresh]):
                if record is not None and (state is None or record.state == state):
                    found[record.id] = record
            if len(ids) < _READ_AT_ONCE:
                break
        return list(found.values())[:limit]

    async def forget(self, ids: Sequence[str]) -> int:
        gone = 0
        for task_id in ids:
            self.driver.take_kept(task_id)
        for at in range(0, len(ids), _READ_AT_ONCE):
            gone += await self.driver.run("results", "forget", *ids[at : at + _READ_AT_ONCE])
        return gone

    def watch(self) -> Watch:
        subscription = self.driver.subscription
        if subscription is None:
            subscription = self.driver.subscription = subscription_for(self.driver)
        return RedisWatch(self.driver, subscription)

    async def expire(self, limit: int) -> int:
        """Remove what the server does not, or only later: revocations, workflows and journals that are over, and watches of
        those who have gone.

        Everything else that has an end is removed by the server itself, and is not counted here.
        """
        self._swept_to, _ = [
            part.decode() if isinstance(part, bytes) else part
            for part in await self.driver.run("results", "sweep", self._swept_to)
        ]
        gone = 0
        for script in ("control", "workflow", "journal"):
            gone += await self.driver.run(script, "expire", max(0, limit - gone))
        return gone

    async def may_have_duties(self) -> bool:
        prefix = self.driver.prefix  # each would be asked for by itself, and there is hardly ever any of them
        return bool(await self.driver.command("EXISTS", *[f"{prefix}{key}" for key in ("pd", "pw", "wfu", "sx")]))

    async def lead(self, role: str, owner: str, lease_s: float) -> bool:
        lease_ms, name = round(lease_s * 1000), owner.encode()
        if lease_ms > 0 and self._led.get(role) == name and await self._goes_on(role, lease_ms) == name:
            return True
        is_ours = bool(await self.driver.run("lead", role, owner, lease_ms))
        if is_ours and lease_ms > 0:
            self._led[role] = name
        else:
            self._led.pop(role, None)
        return is_ours

    async def _goes_on(self, role: str, lease_ms: int) -> bytes | None:
        """Renew the lease of a role, whoever has it, and return who has: one command, where the script takes three."""
        owner: bytes | None = await self.driver.command("GETEX", f"{self.driver.prefix}lead:{role}", "PX", lease_ms)
        return owner

    def joint(self, broker: object, holder: str) -> JointSettler | None:
        driver = getattr(broker, "driver", None)
        if isinstance(driver, Driver) and (driver.location, driver.io) == (self.driver.location, self.driver.io):
            return RedisJoint(self.driver, holder)
        return None
