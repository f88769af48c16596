"""Dead letters. One for each id: a task that dies again replaces its letter."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from faena.drivers.redis.driver import Driver
from faena.drivers.redis.messages import body_of, message_of, row_of
from faena.model.delivery import DeadLetter, DeadReason
from faena.model.message import Message

_AT_ONCE = 500


class RedisDeadLetters:
    """See `faena.broker.DeadLetters`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def list(self, queue: str | None, limit: int, offset: int = 0) -> Sequence[DeadLetter]:
        found = await self._fitting(queue, None, None, offset + limit)
        return found[offset : offset + limit]

    async def find(self, task_id: str) -> DeadLetter | None:
        row = await self._driver.run("letters", "find", task_id)
        return None if row is None else _letter(row)

    async def replace(self, task_id: str, message: Message) -> bool:
        queue, _, _, _, value = row_of(message, self._driver.location.largest_message_bytes)
        return bool(await self._driver.run("letters", "replace", task_id, queue, value))

    async def requeue(
        self, queue: str | None = None, ids: Sequence[str] | None = None, reason: DeadReason | None = None
    ) -> int:
        return await self._move("requeue", await self._ids(queue, ids, reason, None))

    async def purge(self, queue: str | None = None, ids: Sequence[str] | None = None, before_s: float | None = None) -> int:
        return await self._move("remove", await self._ids(queue, ids, None, before_s))

    async def _ids(
        self, queue: str | None, ids: Sequence[str] | None, reason: DeadReason | None, before_s: float | None
    ) -> builtins.list[str]:
        """Return the ids of the letters that fit, the first first."""
        wanted = None if ids is None else frozenset(ids)
        letters = await self._fitting(queue, reason, before_s, None) if wanted != frozenset() else []
        found = [str(letter.key) for letter in reversed(letters)]
        return found if wanted is None else [task_id for task_id in found if task_id in wanted]

    async def _move(self, verb: str, ids: Sequence[str]) -> int:
        moved = 0
        for at in range(0, len(ids), _AT_ONCE):
            moved += await self._driver.run("letters", verb, *ids[at : at + _AT_ONCE])
        return moved

    async def _fitting(
        self, queue: str | None, reason: DeadReason | None, before_s: float | None, most: int | None
    ) -> builtins.list[DeadLetter]:
        found: list[DeadLetter] = []
        at = 0
        while most is None or len(found) < most:
            rows, looked_at = await self._driver.run(
                "letters", "list", "" if queue is None else f"={queue}", reason or "",
                "" if before_s is None else f"{before_s:.6f}", at, _AT_ONCE,
            )  # fmt: skip
            if not looked_at:
                break
            found += map(_letter, rows)
            at += looked_at
        return found


def _letter(row: Sequence[Any]) -> DeadLetter:
    task_id, queue, reason, detail, buried_at_s, deliveries, crashes, value = row
    message = message_of(value)
    return DeadLetter(
        task_id.decode(),
        queue.decode(),
        DeadReason(reason.decode()),
        detail.decode(),
        float(buried_at_s),
        int(deliveries),
        int(crashes),
        message,
        b"" if message else body_of(value),
    )
