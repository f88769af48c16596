"""Schedules and how far they are, in one SQLite file."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from faena.backend import Vigil
from faena.drivers.signals import Listener, name_of
from faena.drivers.sqlite import steps
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.driver import Driver
from faena.drivers.sqlite.results import ids_json
from faena.drivers.sqlite.statements import statements_of
from faena.drivers.sqlite.stepping import shares_file
from faena.model.message import Message
from faena.model.schedule import Change, Manifest, Standing

SCHEDULES = statements_of("schedules")

_NET_S = 5.0  # who keeps vigil looks of its own accord after this time, should a token have been lost
_POLL_S = 0.5  # where there are no FIFOs
_FIFO = name_of("s", "schedules")

_encode = msgspec.msgpack.Encoder().encode
_standing_in = msgspec.msgpack.Decoder(Standing).decode
_manifest_in = msgspec.msgpack.Decoder(Manifest).decode
_message_in = msgspec.msgpack.Decoder(Message).decode


class SqliteSchedules:
    """See `faena.backend.Schedules`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def get(self, names: Sequence[str]) -> Sequence[Standing | None]:
        rows = await self._driver.read(lambda sql: sql.execute(SCHEDULES.get, (ids_json(names),)).fetchall())
        found = {standing.schedule.name: standing for standing in (_standing_in(body) for (body,) in rows)}
        return [found.get(name) for name in names]

    async def every(self) -> Sequence[Standing]:
        rows = await self._driver.read(lambda sql: sql.execute(SCHEDULES.every).fetchall())
        return [_standing_in(body) for (body,) in rows]

    async def due(self, now_s: float, limit: int) -> Sequence[Standing]:
        rows = await self._driver.read(lambda sql: sql.execute(SCHEDULES.due, (now_s, limit)).fetchall())
        return [_standing_in(body) for (body,) in rows]

    async def next_due_s(self) -> float | None:
        row = await self._driver.read(lambda sql: sql.execute(SCHEDULES.next_due).fetchone())
        return None if row is None else row[0]

    async def change(self, changes: Sequence[Change], broker: object, *, tells: bool = True) -> Sequence[bool]:
        if not changes:
            return ()
        return await self._driver.call(self._change, changes, shares_file(self._driver, broker), tells)

    async def unpublished(self, before_s: float, limit: int) -> Sequence[Message]:
        rows = await self._driver.read(lambda sql: sql.execute(SCHEDULES.unpublished, (before_s, limit)).fetchall())
        return [_message_in(body) for (body,) in rows]

    async def published(self, ids: Sequence[str]) -> None:
        if ids:
            rows = [(task_id,) for task_id in ids]
            await self._driver.write(lambda sql: sql.executemany(SCHEDULES.published, rows).rowcount)

    async def declare(self, manifest: Manifest, ttl_s: float) -> None:
        now_s, body = time.time(), _encode(manifest)

        def work(sql: Connection) -> None:
            sql.execute(SCHEDULES.expire, (now_s,))
            sql.execute(SCHEDULES.declare, (manifest.app, manifest.key, now_s + ttl_s, body))

        await self._driver.write(work)

    async def manifests(self, app: str) -> Sequence[Manifest]:
        now_s = time.time()
        rows = await self._driver.read(lambda sql: sql.execute(SCHEDULES.manifests, (app, now_s)).fetchall())
        return [_manifest_in(body) for (body,) in rows]

    def vigil(self) -> Vigil:
        return _Vigil(self._driver)

    # -- on the thread that may wait for the disk ----------------------------------------------------------

    def _change(self, changes: Sequence[Change], is_joint: bool, tells: bool) -> list[bool]:
        largest_bytes = self._driver.location.largest_message_bytes
        rows = [[steps.row_of(message, largest_bytes) for message in change.publish] for change in changes]

        def work(sql: Connection) -> list[bool]:
            made = [_change_one(sql, change) for change in changes]
            follows = [row for lined_up, is_made in zip(rows, made, strict=True) if is_made for row in lined_up]
            if is_joint:
                steps.insert(sql, follows)
            else:
                now_s = time.time()
                sql.executemany(SCHEDULES.keep, [(task_id, now_s, body) for _, _, _, task_id, body in follows])
            return made

        made = self._driver.database.write(work)
        touched = {row[0] for lined_up, is_made in zip(rows, made, strict=True) if is_made and is_joint for row in lined_up}
        names = [name_of("q", queue) for queue in touched]
        self._driver.signals.notify([*names, _FIFO] if tells and any(made) else names)
        return made


class _Vigil:
    """See `faena.backend.Vigil`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._listener: Listener | None = driver.signals.listen([_FIFO])

    async def wait(self, timeout_s: float) -> bool:
        listener = self._listener
        if listener is None:
            return True
        net_s = _NET_S if listener.is_pushed else _POLL_S
        rest_s = min(timeout_s, net_s)
        is_told = listener.wait(rest_s) if self._driver.io == "blocking" else await listener.await_token(rest_s)
        return is_told or net_s <= timeout_s

    async def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()


def _change_one(sql: Connection, change: Change) -> bool:
    standing = change.standing
    if standing is None:
        return sql.execute(SCHEDULES.remove, (change.name, change.seen)).rowcount == 1
    row = (standing.revision, change.wakes_at_s, _encode(standing))
    if not change.seen:
        return sql.execute(SCHEDULES.add, (change.name, *row)).rowcount == 1
    return sql.execute(SCHEDULES.replace, (change.name, change.seen, *row)).rowcount == 1
