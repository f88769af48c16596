"""The tasks of the shop. What they are annotated with is what they get, also after the arguments have travelled as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faena import Faena

app = Faena("shop")


@dataclass(frozen=True)
class Order:
    number: int
    prices_cents: list[int]


@app.task
def total_cents(order: Order, discount_percent: int = 0) -> int:
    return sum(order.prices_cents) * (100 - discount_percent) // 100


@app.task(bind=True, max_retries=3)
def remind(self: Any, address: str, attempt: int = 1) -> str:
    return f"{address}: reminder {attempt + self.request.retries}"


@app.task
async def stock_of(article: str) -> dict[str, int]:
    return {article: len(article)}
