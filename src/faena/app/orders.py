"""Orders that stand for every worker: what must not run by what it is, and time limits that are changed at run time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import to_builtins

from faena.app.links import Link
from faena.broker import home_of
from faena.errors import FaenaError
from faena.model.control import Order, OrderKind, RevokeRule
from faena.model.message import Message

ORDERS = "orders that stand for every worker"
MOST = 1000  # of each kind; every worker looks at them before each task
_PAGE = 1000
_MOST_LOOKED_AT = 100_000  # waiting messages of each queue; the others end when their turn comes


async def give(link: Link, order: Order) -> None:
    """Let an order stand. Raises FaenaError: too many do."""
    standing = [each for each in await link.backend.orders.standing() if each.kind == order.kind]
    if len(standing) >= MOST and order.name not in {each.name for each in standing}:
        raise FaenaError(f"{MOST:,} orders of kind '{order.kind}' stand already; withdraw some: faena control withdraw")
    await link.backend.orders.give([order])


def order_of(rule: RevokeRule, now_s: float, expires_at_s: float | None) -> Order:
    return Order(OrderKind.REVOKE, rule.text(), to_builtins(rule), now_s, expires_at_s)


async def end_waiting(link: Link, rule: RevokeRule, end: Callable[[Sequence[Message]], Awaitable[None]]) -> int:
    """End the tasks that a rule is about and that wait, where the broker lets them be taken out; return how many."""
    broker, journal = link.broker, link.backend.journal
    waits = [each.message.id for each in await journal.waiting(None, _MOST_LOOKED_AT) if rule.matches(each.message)]
    unparked = await journal.unpark(waits)
    await end(unparked)
    count = len(unparked)
    if not (broker.capabilities.cancels and broker.capabilities.browses):
        return count
    for status in await broker.queues.status():
        can = home_of(broker, status.name).capabilities
        if not (can.cancels and can.browses):
            continue
        ids: list[str] = []
        for offset in range(0, _MOST_LOOKED_AT, _PAGE):
            page = await broker.queues.browse(status.name, _PAGE, offset)
            ids += [message.id for _, message in page if rule.matches(message)]
            if len(page) < _PAGE:
                break
        for at in range(0, len(ids), _PAGE):
            cancelled = await broker.cancel(ids[at : at + _PAGE])
            await end(cancelled)
            count += len(cancelled)
    return count
