"""Pausing queues: by the broker where it can, else by an order in the backend that every worker obeys.

An order goes first, the command to those who are there after it, as with all orders (`app/orders.py`): a worker that starts
in between reads what stands. So whoever is there is told at once, and nobody can miss it; until a worker has been told, it
may begin another message or two.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec import to_builtins
from msgspec.structs import replace

from faena._lib.ids import new_id
from faena.app.links import Link
from faena.app.orders import give
from faena.backend import need_backend
from faena.broker import home_of, opened_home
from faena.model.control import Command, Order, OrderKind
from faena.model.delivery import QueueStatus

_COMMAND_KEPT_S = 60.0
_ANSWER_WITHIN_S = 2.0


async def pause(link: Link, queues: Sequence[str]) -> None:
    """Let nothing more be handed out of these queues, to anybody. Raises NoBackend: nobody keeps that in mind."""
    by_order = [queue for queue in queues if not home_of(link.broker, queue).capabilities.pauses]
    orders = [Order(OrderKind.PAUSE, queue, {}, time.time()) for queue in by_order]
    if orders:
        need_backend(link.backend, "pausing queues of a broker that cannot do it itself")
    for order in orders:
        await give(link, order)
    for order in orders:
        await _tell(link, "order", {"order": to_builtins(order)})
    for queue in queues:
        if queue not in by_order:
            await link.broker.queues.pause(queue)


async def resume(link: Link, queues: Sequence[str]) -> None:
    """Let messages of these queues be handed out again. Raises NoBackend."""
    by_order = [queue for queue in queues if not home_of(link.broker, queue).capabilities.pauses]
    if by_order:
        need_backend(link.backend, "pausing queues of a broker that cannot do it itself")
        await link.backend.orders.withdraw(OrderKind.PAUSE, by_order)
        await _tell(link, "withdraw", {"kind": OrderKind.PAUSE, "names": by_order})
    for queue in queues:
        if queue not in by_order:
            await link.broker.queues.resume(queue)


async def statuses(link: Link, queue: str | None = None) -> Sequence[QueueStatus]:
    """Return what `Queues.status` does, and which queues are paused, whoever keeps that in mind.

    `queue`: only the broker that it lives on is asked.
    """
    broker = link.broker if queue is None else await opened_home(link.broker, queue)
    found = await broker.queues.status()
    if broker.capabilities.pauses:
        return found
    paused = {order.name for order in await link.backend.orders.standing() if order.kind == OrderKind.PAUSE}
    if not paused:
        return found
    absent = sorted(paused - {each.name for each in found})
    marked = [replace(each, paused=each.paused or each.name in paused) for each in found]
    return sorted([*marked, *(QueueStatus(name, 0, None, None, 0, True) for name in absent)], key=lambda each: each.name)


async def _tell(link: Link, name: str, arguments: dict[str, object]) -> None:
    """Tell the workers that are there, and give them a moment to say that they have heard it."""
    present, now_s = await link.backend.mailbox.workers(), time.time()
    if present:
        command = Command(new_id(), name, arguments, (), now_s, now_s + _COMMAND_KEPT_S)
        await link.backend.mailbox.send(command)
        await link.backend.mailbox.replies(command.id, len(present), _ANSWER_WITHIN_S)
