"""Wrong calls. Each is marked as an error that is expected; a checker that missed one would report its mark as unused."""

from __future__ import annotations

from shop.tasks import Order, remind, stock_of, total_cents


def call_wrongly() -> None:
    total_cents.delay("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    total_cents.delay()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    total_cents.delay(Order(1, []), 0, 0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    total_cents.delay(Order(1, []), discount="10")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    remind.delay(42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    total_cents("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    remind.apply_async(("ada@example.org",), countdwon=10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    number: str = total_cents.delay(Order(1, [])).get()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(number)


async def await_wrongly() -> None:
    await stock_of.adelay(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
