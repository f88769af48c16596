"""Type-checked, never run: what users write must be understood by mypy and pyright.

A wrong call carries a mark, and mypy reports a mark where it sees no mistake. examples/typed_project does so with both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

from faena import BatchCall, Faena, Unique
from faena.tasks.canvas import Chain
from faena.tasks.group_result import ResultSet
from faena.tasks.result import AsyncResult, EagerResult

app = Faena("typing")


@app.task
def add(x: int, y: int = 1) -> int:
    return x + y


@app.task(bind=True, queue="mail", max_retries=5)
def send(self: Any, address: str) -> bool:
    return bool(address) and self.request.retries == 0


@app.periodic("*/5 * * * *", tz="Europe/Madrid", overlap="skip", jitter=2.5)
@app.task
def tick(number: int = 1) -> str:
    return str(number)


assert_type(tick.delay(2), AsyncResult[str])
assert_type(app.periodic("5m", name="pairs")(add.s(1) | add.s(2)), Chain)
app.periodic(30.0, overlp="skip")  # type: ignore[call-arg]
app.schedules.add("s", tick, 30.0, catch_up="some")  # type: ignore[arg-type]


@app.task()
async def fetch(url: str, *, timeout_s: float = 5.0) -> bytes:
    return url.encode()[: int(timeout_s)]


@app.task(batch=(100, "2s"), max_retries=3)
def store(calls: Sequence[BatchCall]) -> list[int]:
    return [len(call.args) for call in calls]


@app.task(unique=Unique(key="x", on_conflict="replace"))
def rebuild(x: int) -> int:
    return x


def right() -> None:
    assert_type(store.delay("a", b=1), AsyncResult[Any])
    assert_type(rebuild.delay(1), AsyncResult[int])
    assert_type(rebuild.delay(1).is_duplicate, bool)
    rebuild.apply_async((1,), unique=False)
    assert_type(add.delay(1, y=2), AsyncResult[int])
    assert_type(add.delay(1).get(timeout=1), int)
    assert_type(add(1), int)
    assert_type(add.apply((1,)), EagerResult[int])
    assert_type(send.delay("a").get(), bool)
    assert_type(app.send_many(add.s(n) for n in range(3)), ResultSet[int])
    assert_type(app.send_many([add.s(1)]).join(), list[int])
    assert_type(fetch.delay("u", timeout_s=1.0), AsyncResult[bytes])


async def right_awaited() -> None:
    assert_type(await add.delay(1), int)
    assert_type(await (await fetch.adelay("u")), bytes)
    assert_type(await fetch("u"), bytes)


def wrong() -> None:
    add.delay("x")  # type: ignore[arg-type]
    add.delay()  # type: ignore[call-arg]
    add.delay(1, z=2)  # type: ignore[call-arg]
    send.delay(1)  # type: ignore[arg-type]
    fetch.delay("u", 1.0)  # type: ignore[call-arg]
    add.apply_async((1,), countdwon=3)  # type: ignore[call-arg]
    app.task(queu="x")  # type: ignore[call-overload]
    text: str = add.delay(1).get()  # type: ignore[assignment]
    assert text
