"""Commands to workers, their answers, who is there, and what must not run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import inf

import msgspec

from faena.drivers.redis.driver import Driver
from faena.drivers.redis.messages import Words
from faena.drivers.redis.waiting import Waiter
from faena.drivers.signals import Alarm
from faena.model.control import Command, Order, Reply, Revocation, WorkerInfo

_LONGEST_COMMAND_S = 3600.0  # a command without an expiry is forgotten after this time
_AT_ONCE = 1000

_encode = msgspec.msgpack.Encoder().encode
_command_in = msgspec.msgpack.Decoder(Command).decode
_reply_in = msgspec.msgpack.Decoder(Reply).decode
_order_in = msgspec.msgpack.Decoder(Order).decode
_info_in = msgspec.msgpack.Decoder(WorkerInfo).decode
_revocation_in = msgspec.msgpack.Decoder(Revocation).decode


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


class RedisMailbox:
    """See `faena.backend.Mailbox`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._alarm = Alarm()
        self._waiter = Waiter(driver)

    async def send(self, command: Command) -> None:
        left_s = command.expires_at_s - time.time() if command.expires_at_s else _LONGEST_COMMAND_S
        await self._driver.run("control", "send", _ms(left_s), _encode(command), *command.to)

    async def receive(self, worker: str, wait_s: float) -> Sequence[Command]:
        deadline = time.monotonic() + wait_s
        keys, words = (self._driver.prefix,), ("commands", worker)
        found = await self._driver.run("control", *words) if wait_s <= 0 else ()
        while not found and not self._alarm.take():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            wake = [f"{self._driver.prefix}cw:{worker}"]
            found = await self._waiter.run_after(wake, left_s, inf, self._alarm, "control", keys, words)
        return [_command_in(body) for body in found]

    def interrupt(self) -> None:
        self._alarm.ring()

    def close(self) -> None:
        self._waiter.close()
        self._alarm.close()

    async def reply(self, reply: Reply, ttl_s: float) -> None:
        await self._driver.run("control", "reply", reply.command_id, reply.worker, _ms(ttl_s), _encode(reply))

    async def replies(self, command_id: str, expected: int, wait_s: float) -> Sequence[Reply]:
        deadline = time.monotonic() + wait_s
        keys, words = (self._driver.prefix,), ("replies", command_id)
        wake = [f"{self._driver.prefix}aw:{command_id}"]
        found = await self._driver.run("control", *words)
        waiter = Waiter(self._driver)
        try:
            while len(found) < expected and (left_s := deadline - time.monotonic()) > 0:
                found = await waiter.run_after(wake, left_s, inf, None, "control", keys, words)
        finally:
            waiter.close()
        return [_reply_in(body) for body in found]

    async def announce(self, info: WorkerInfo, ttl_s: float) -> WorkerInfo | None:
        before = await self._driver.run("control", "announce", info.name, _ms(ttl_s), _encode(info))
        return _info_in(before) if before else None

    async def withdraw(self, worker: str) -> None:
        await self._driver.run("control", "withdraw", worker)

    async def workers(self) -> Sequence[WorkerInfo]:
        return sorted(map(_info_in, await self._driver.run("control", "workers")), key=lambda info: info.name)


class RedisRevocations:
    """See `faena.backend.Revocations`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def add(self, revocations: Sequence[Revocation]) -> None:
        for at in range(0, len(revocations), _AT_ONCE):
            words: Words = []
            for each in revocations[at : at + _AT_ONCE]:
                left = _ms(each.expires_at_s - time.time()) if each.expires_at_s else ""
                words += (each.task_id, left, _encode(each))
            await self._driver.run("control", "revoke", *words)

    async def remove(self, ids: Sequence[str]) -> int:
        removed = 0
        for at in range(0, len(ids), _AT_ONCE):
            removed += await self._driver.run("control", "unrevoke", *ids[at : at + _AT_ONCE])
        return removed

    async def since(self, mark: int) -> tuple[int, Sequence[Revocation]]:
        last, found = await self._driver.run("control", "since", mark)
        return int(last), [_revocation_in(body) for body in found]


class RedisOrders:
    """See `faena.backend.Orders`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def give(self, orders: Sequence[Order]) -> None:
        for each in orders:
            left = _ms(each.expires_at_s - time.time()) if each.expires_at_s else ""
            await self._driver.run("control", "order", f"{each.kind}/{each.name}", left, _encode(each))

    async def withdraw(self, kind: str, names: Sequence[str]) -> int:
        removed = 0
        for at in range(0, len(names), _AT_ONCE):
            part = names[at : at + _AT_ONCE]
            removed += await self._driver.run("control", "withdraw-orders", *(f"{kind}/{name}" for name in part))
        return removed

    async def standing(self) -> Sequence[Order]:
        if not await self._driver.command(
            "EXISTS", f"{self._driver.prefix}orders"
        ):  # nearly always, and asked all the time
            return ()
        orders = map(_order_in, await self._driver.run("control", "orders"))
        return sorted(orders, key=lambda order: (order.kind, order.name))
