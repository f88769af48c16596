"""Circuit breakers at run time: `app.breakers`, and the steps by which one is opened, half-opened and closed.

What stands is an order in the backend; what holds the messages back is a family of limits in the broker. The order goes
first, and is gone last: who dies in between leaves an order that the limits do not obey, which is seen and repaired by who
holds the scheduler's lease.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import ValidationError, convert, to_builtins

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.app.links import Link
from faena.app.orders import give
from faena.errors import InvalidArguments, NotRegistered, NotSupported
from faena.model.breaker import Standing, family_of_breaker, opened
from faena.model.control import Command, Order, OrderKind
from faena.tasks.breaker import Duration, duration_s

if TYPE_CHECKING:
    from faena.app.app import Faena

log = logging.getLogger("faena.worker")

_COMMAND_KEPT_S = 60.0


class AppBreakers:
    """Looks at the circuit breakers of an app, and opens and closes them."""

    def __init__(self, app: Faena) -> None:
        self._app = app

    def list(self) -> Mapping[str, Standing]:
        """Return those that are not closed, by task."""
        return run(standing_breakers(self._app.links.blocking()))

    async def alist(self) -> Mapping[str, Standing]:
        """Do as `list`, without blocking the event loop."""
        return await standing_breakers(await self._app.links.asyncio())

    def open(self, task: str, pause: Duration | None = None) -> Standing:
        """Hold a task back for `pause`, or for that of its declaration; then it is tried as if it had failed.

        Raises NotRegistered, InvalidArguments: it has no circuit breaker.
        """
        return run(self._open(self._app.links.blocking(), task, pause))

    async def aopen(self, task: str, pause: Duration | None = None) -> Standing:
        """Do as `open`, without blocking the event loop."""
        return await self._open(await self._app.links.asyncio(), task, pause)

    def close(self, task: str) -> bool:
        """Let a task go on, now; return whether it was held back."""
        return run(close_breaker(self._app.links.blocking(), task))

    async def aclose(self, task: str) -> bool:
        """Do as `close`, without blocking the event loop."""
        return await close_breaker(await self._app.links.asyncio(), task)

    async def _open(self, link: Link, task: str, pause: Duration | None) -> Standing:
        declared = self._app.tasks.get(task)
        if declared is None:
            raise NotRegistered(task, self._app.tasks, where=f"app '{self._app.main or 'faena'}'")
        if declared.breaker is None:
            raise InvalidArguments(task, "it has no circuit_breaker=; to hold it back, pause it: faena limits pause")
        try:
            pause_s = declared.breaker.rule.pause_s if pause is None else duration_s("pause", pause)
        except ValueError as error:
            raise InvalidArguments(task, str(error)) from None
        standing = opened(pause_s, self._app.clock(), by_hand=True)
        await set_breaker(link, task, standing)
        return standing


async def standing_breakers(link: Link) -> dict[str, Standing]:
    """Return the breakers that are not closed, by task."""
    found: dict[str, Standing] = {}
    for order in await link.backend.orders.standing():
        if order.kind == OrderKind.BREAKER:
            try:
                found[order.name] = convert(order.value, Standing)
            except ValidationError as error:
                log.warning("the circuit breaker of task '%s' is not understood: %s", order.name, error)
    return found


async def set_breaker(link: Link, task: str, standing: Standing) -> None:
    """Let a breaker stand so. Repeating it is harmless."""
    _refuse_unless_limited(link)
    await give(link, Order(OrderKind.BREAKER, task, to_builtins(standing), standing.since_s))
    await obey(link, task, standing)


async def close_breaker(link: Link, task: str) -> bool:
    """Let the task go on; return whether it was held back. Repeating it is harmless."""
    _refuse_unless_limited(link)
    await link.broker.limits.change(family_of_breaker(task), None)
    count = await link.backend.orders.withdraw(OrderKind.BREAKER, [task])
    await _tell(link)
    return count > 0


async def obey(link: Link, task: str, standing: Standing) -> None:
    """Let the limits be as a breaker wants them, and have every process look."""
    await link.broker.limits.change(family_of_breaker(task), standing.change())
    await _tell(link)


async def _tell(link: Link) -> None:
    now_s = time.time()
    await link.backend.mailbox.send(Command(new_id(), "limits", {}, (), now_s, now_s + _COMMAND_KEPT_S))


def _refuse_unless_limited(link: Link) -> None:
    if not link.broker.capabilities.limits:
        raise NotSupported(
            "a circuit breaker", "this broker",
            "it hands out what it has in its own order; keep such tasks on Redis or SQLite",
        )  # fmt: skip
