"""Commands to workers, their answers, who is there, and what must not run."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from faena.drivers.signals import Alarm, Listener, name_of
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.driver import Driver
from faena.drivers.sqlite.results import CONTROL, ids_json
from faena.model.control import Command, Order, Reply, Revocation, WorkerInfo

_NET_FIRST_S, _NET_LONGEST_S = 1.0, 5.0
"""Who waits looks of its own accord after this time, should a token have been lost."""
_POLL_FIRST_S, _POLL_LONGEST_S = 0.001, 0.05  # where there are no FIFOs
_LONGEST_COMMAND_S = 3600.0  # a command without an expiry is forgotten after this time

_encode = msgspec.msgpack.Encoder().encode
_command_in = msgspec.msgpack.Decoder(Command).decode
_reply_in = msgspec.msgpack.Decoder(Reply).decode
_order_in = msgspec.msgpack.Decoder(Order).decode
_info_in = msgspec.msgpack.Decoder(WorkerInfo).decode
_revocation_in = msgspec.msgpack.Decoder(Revocation).decode


class SqliteMailbox:
    """See `faena.backend.Mailbox`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._alarm = Alarm()

    async def send(self, command: Command) -> None:
        expires_at_s = command.expires_at_s or time.time() + _LONGEST_COMMAND_S
        row = (expires_at_s, _encode(command))

        def work(sql: Connection) -> list[str]:
            sql.execute(CONTROL.send, row)
            return [name for (name,) in sql.execute(CONTROL.worker_names).fetchall()]

        def step() -> None:
            known = self._driver.database.write(work)
            self._driver.signals.notify([name_of("c", name) for name in command.to or known])

        await self._driver.call(step)

    async def receive(self, worker: str, wait_s: float) -> Sequence[Command]:
        deadline = time.monotonic() + wait_s
        listener = self._driver.signals.listen([name_of("c", worker)])
        pause_s, longest_s = _pauses(listener)
        try:
            while not self._alarm.take():
                commands = await self._driver.call(self._fetch, worker)
                left_s = deadline - time.monotonic()
                if commands or left_s <= 0:
                    return commands
                await _rest(self._driver, listener, min(left_s, pause_s), self._alarm)
                pause_s = min(longest_s, pause_s * 2)
            return ()
        finally:
            listener.close()

    def _fetch(self, worker: str) -> list[Command]:
        """Return the commands that `worker` has not seen, and remember that it has."""
        now_s = time.time()
        database = self._driver.database

        def work(sql: Connection) -> list[tuple[int, bytes]]:
            row = sql.execute(CONTROL.seen, (worker,)).fetchone()
            return [] if row is None else sql.execute(CONTROL.commands_after, (row[0], now_s)).fetchall()

        def see(sql: Connection) -> list[tuple[int, bytes]]:
            rows = work(sql)
            if rows:
                sql.execute(CONTROL.see, (rows[-1][0], worker))
            return rows

        rows = database.write(see) if database.read(work) else []
        commands = [_command_in(body) for _, body in rows]
        return [command for command in commands if not command.to or worker in command.to]

    def interrupt(self) -> None:
        self._alarm.ring()

    def close(self) -> None:
        self._alarm.close()

    async def reply(self, reply: Reply, ttl_s: float) -> None:
        row = (reply.command_id, reply.worker, time.time() + ttl_s, _encode(reply))

        def step() -> None:
            self._driver.database.write_one(lambda sql: sql.execute(CONTROL.reply, row).rowcount)
            self._driver.signals.notify((name_of("r", reply.command_id),))

        await self._driver.call(step)

    async def replies(self, command_id: str, expected: int, wait_s: float) -> Sequence[Reply]:
        deadline = time.monotonic() + wait_s
        name = name_of("r", command_id)
        listener = self._driver.signals.listen([name])
        pause_s, longest_s = _pauses(listener)
        try:
            while True:
                wanted = (command_id, time.time())
                rows = await self._driver.read(lambda sql, wanted=wanted: sql.execute(CONTROL.replies, wanted).fetchall())  # type: ignore[misc]
                left_s = deadline - time.monotonic()
                if len(rows) >= expected or left_s <= 0:
                    return [_reply_in(body) for (body,) in rows]
                await _rest(self._driver, listener, min(left_s, pause_s), None)
                pause_s = min(longest_s, pause_s * 2)
        finally:
            listener.close()
            self._driver.signals.remove(name)

    async def announce(self, info: WorkerInfo, ttl_s: float) -> WorkerInfo | None:
        now_s = time.time()
        row, known = (info.name, now_s + ttl_s, _encode(info)), (info.name, now_s)

        def announce(sql: Connection) -> bytes | None:
            before: tuple[bytes] | None = sql.execute(CONTROL.worker, known).fetchone()
            sql.execute(CONTROL.announce, row)
            return before[0] if before else None

        before = await self._driver.write(announce)
        return _info_in(before) if before else None

    async def withdraw(self, worker: str) -> None:
        await self._driver.write(lambda sql: sql.execute(CONTROL.withdraw, (worker,)).rowcount)
        self._driver.signals.remove(name_of("c", worker))

    async def workers(self) -> Sequence[WorkerInfo]:
        now_s = time.time()
        rows = await self._driver.read(lambda sql: sql.execute(CONTROL.workers, (now_s,)).fetchall())
        return [_info_in(body) for (body,) in rows]


class SqliteRevocations:
    """See `faena.backend.Revocations`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def add(self, revocations: Sequence[Revocation]) -> None:
        rows = [(each.task_id, each.expires_at_s or None, _encode(each)) for each in revocations]
        if rows:
            await self._driver.write(lambda sql: sql.executemany(CONTROL.revoke, rows).rowcount)

    async def remove(self, ids: Sequence[str]) -> int:
        if not ids:
            return 0
        return await self._driver.write(lambda sql: sql.execute(CONTROL.unrevoke, (ids_json(ids),)).rowcount)

    async def since(self, mark: int) -> tuple[int, Sequence[Revocation]]:
        now_s = time.time()
        rows = await self._driver.read(lambda sql: sql.execute(CONTROL.revoked_since, (mark, now_s)).fetchall())
        return (rows[-1][0] if rows else mark), [_revocation_in(body) for _, body in rows]


class SqliteOrders:
    """See `faena.backend.Orders`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def give(self, orders: Sequence[Order]) -> None:
        rows = [(each.kind, each.name, each.expires_at_s or None, _encode(each)) for each in orders]
        if rows:
            await self._driver.write(lambda sql: sql.executemany(CONTROL.give, rows).rowcount)

    async def withdraw(self, kind: str, names: Sequence[str]) -> int:
        if not names:
            return 0
        return await self._driver.write(lambda sql: sql.execute(CONTROL.withdraw_order, (kind, ids_json(names))).rowcount)

    async def standing(self) -> Sequence[Order]:
        now_s = time.time()
        rows = await self._driver.read(lambda sql: sql.execute(CONTROL.standing, (now_s,)).fetchall())
        return [_order_in(body) for (body,) in rows]


def _pauses(listener: Listener) -> tuple[float, float]:
    return (_NET_FIRST_S, _NET_LONGEST_S) if listener.is_pushed else (_POLL_FIRST_S, _POLL_LONGEST_S)


async def _rest(driver: Driver, listener: Listener, timeout_s: float, alarm: Alarm | None) -> bool:
    if driver.io == "blocking":
        return listener.wait(timeout_s, alarm)
    return await listener.await_token(timeout_s, alarm)
