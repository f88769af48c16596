"""Which task has which key, in one SQLite file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from faena.drivers.signals import name_of
from faena.drivers.sqlite import steps
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.driver import Driver
from faena.drivers.sqlite.results import ids_json
from faena.drivers.sqlite.statements import statements_of
from faena.drivers.sqlite.stepping import shares_file
from faena.model.claim import Claim, Claimant, Until, counts
from faena.model.message import Message

UNIQUE = statements_of("unique")


class SqliteClaims:
    """See `faena.backend.Claims`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def take(self, messages: Sequence[Message], broker: object) -> Sequence[Claimant | None]:
        return await self._driver.call(self._take, messages, shares_file(self._driver, broker)) if messages else ()

    async def take_over(self, message: Message, present: str) -> bool:
        def work(sql: Connection) -> bool:
            row = sql.execute(UNIQUE.present, (_claim_of(message).key,)).fetchone()
            if row is None or row[0] not in (present, message.id) or row[7]:  # parked
                return False
            _keep(sql, message, time.time(), is_published=False)
            return True

        return await self._driver.write(work)

    async def replace(self, message: Message, broker: object) -> bool:  # noqa: ARG002 - it is ours
        return await self._driver.call(self._replace, message)

    async def published(self, messages: Sequence[Message]) -> None:
        keys = [(_claim_of(message).key, message.id) for message in messages]
        await self._driver.write(lambda sql: sql.executemany(UNIQUE.published, keys).rowcount)

    async def release(self, messages: Sequence[Message]) -> None:
        await self._driver.write(lambda sql: release(sql, messages))

    # -- on the thread that may wait for the disk ----------------------------------------------------------

    def _take(self, messages: Sequence[Message], is_joint: bool) -> list[Claimant | None]:
        rows = [steps.row_of(message, self._driver.location.largest_message_bytes) for message in messages]

        def work(sql: Connection) -> list[Claimant | None]:
            now_s = time.time()
            return [_take_one(sql, message, row, is_joint, now_s) for message, row in zip(messages, rows, strict=True)]

        found = self._driver.database.write(work)
        if is_joint:
            touched = {message.queue for message, present in zip(messages, found, strict=True) if present is None}
            self._driver.signals.notify([name_of("q", queue) for queue in touched])
        return found

    def _replace(self, message: Message) -> bool:
        row = steps.row_of(message, self._driver.location.largest_message_bytes)
        touched: set[str] = set()

        def work(sql: Connection) -> bool:
            now_s = time.time()
            found = sql.execute(UNIQUE.present, (_claim_of(message).key,)).fetchone()
            if found is None or found[0] != message.id:
                return False
            if not steps.cancel(sql, touched, ids_json([message.id])):
                return False
            _keep(sql, message, now_s, is_published=True, since_s=found[2])
            steps.insert_one(sql, row)
            touched.add(message.queue)
            return True

        is_replaced = self._driver.database.write(work)
        self._driver.signals.notify([name_of("q", queue) for queue in touched])
        return is_replaced


def release(connection: Connection, messages: Iterable[Message]) -> int:
    """Let go of the keys of these, within the transaction of the caller."""
    keys = [(_claim_of(message).key, message.id) for message in messages]
    return connection.executemany(UNIQUE.release, keys).rowcount


def _take_one(connection: Connection, message: Message, row: steps.Row, is_joint: bool, now_s: float) -> Claimant | None:
    claimant = _present(connection, _claim_of(message), is_joint, now_s)
    if claimant is not None and claimant.task_id != message.id:
        return claimant
    if claimant is None:
        _keep(connection, message, now_s, is_published=is_joint)
    if is_joint:
        steps.insert_one(connection, row)
    return None


def _present(connection: Connection, claim: Claim, is_joint: bool, now_s: float) -> Claimant | None:
    """Return who has a key."""
    row = connection.execute(UNIQUE.present, (claim.key,)).fetchone()
    if row is None:
        return None
    task_id, until, since_s, taken_at_s, is_published, expires_at_s, held, is_parked = row
    claimant = Claimant(task_id, Until(until), since_s, taken_at_s, bool(is_published), is_parked=bool(is_parked))
    if not is_joint:
        stands = expires_at_s > now_s or (is_parked and claimant.until is not Until.WINDOW)
        return claimant if stands else None
    is_here, is_held = held is not None, held == 1
    if not counts(claimant, expires_at_s, now_s, is_here=is_here, is_held=is_held, is_parked=bool(is_parked)):
        return None
    return replace(claimant, is_waiting=is_here and not is_held)


def _keep(
    connection: Connection, message: Message, now_s: float, *, is_published: bool, since_s: float | None = None
) -> None:
    claim = _claim_of(message)
    since_s = now_s if since_s is None else since_s
    row = (claim.key, message.id, claim.until.value, since_s, now_s, int(is_published), claim.expires_at_s)
    connection.execute(UNIQUE.keep, row)


def _claim_of(message: Message) -> Claim:
    assert message.claim is not None
    return message.claim
