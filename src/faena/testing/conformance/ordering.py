"""Conformance of a backend: what was ordered of all workers, and stands."""

from __future__ import annotations

import time
from typing import Any

from faena.model.control import Order, OrderKind
from faena.testing.conformance.stage import Stage, backend_expires_by_itself, staged


def order(name: str, kind: str = OrderKind.REVOKE, **fields: Any) -> Order:
    return Order(**{"kind": kind, "name": name, "value": {"task": "ñ*", "headers": {"tenant": [7, "x"]}}, **fields})


class Ordering:
    @staged
    async def test_orders_stand_by_kind_and_name_until_they_are_withdrawn(self, stage: Stage) -> None:
        orders, others = (await stage.backend()).orders, (await stage.backend()).orders
        assert list(await orders.standing()) == []
        limit, rule, ends = order("a", OrderKind.TIME_LIMIT), order("b/c ü"), order("d", expires_at_s=time.time() + 60)
        await orders.give([limit, ends, rule])
        assert list(await others.standing()) == [rule, ends, limit]
        assert await others.withdraw(OrderKind.REVOKE, ["b/c ü", "a", "unknown"]) == 1
        assert await others.withdraw(OrderKind.REVOKE, []) == 0
        assert list(await orders.standing()) == [ends, limit]

    @staged
    async def test_an_order_comes_in_the_place_of_the_one_of_its_kind_and_name(self, stage: Stage) -> None:
        orders = (await stage.backend()).orders
        first, second = order("a", given_at_s=1.0, expires_at_s=time.time() + 60), order("a", given_at_s=2.0)
        await orders.give([first])
        await orders.give([second])
        assert list(await orders.standing()) == [second]

    @staged
    async def test_an_order_whose_time_is_over_stands_no_more_and_is_removed(self, stage: Stage) -> None:
        backend = await stage.backend()
        past_s = time.time() - 1
        stands = order("stands")
        await backend.orders.give([order("over", expires_at_s=past_s), stands, order("past", expires_at_s=past_s)])
        assert list(await backend.orders.standing()) == [stands]
        removed = [await backend.expire(10), await backend.expire(10)]
        assert removed == [2, 0] or backend_expires_by_itself(removed, 2)
        assert list(await backend.orders.standing()) == [stands]
