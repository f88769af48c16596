"""Right calls, and what type checkers know of their results."""

from __future__ import annotations

from typing import assert_type

from shop.tasks import Order, remind, stock_of, total_cents


def call_all() -> None:
    sent = total_cents.delay(Order(1, [500, 250]), discount_percent=10)
    assert_type(sent.get(timeout=10), int)
    assert_type(total_cents(Order(2, [])), int)  # the plain call
    assert_type(remind.delay("ada@example.org").get(timeout=10), str)  # `self` is not the caller's affair


async def await_all() -> None:
    sent = await stock_of.adelay("tea")
    assert_type(await sent, dict[str, int])
    assert_type(await stock_of("tea"), dict[str, int])  # the plain call of a coroutine
    assert_type(await (await total_cents.adelay(Order(3, [1]))), int)
