"""The connection of a worker process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from faena import Faena
from faena.drivers.memory.stepping import MemoryWorkflows
from faena.model.delivery import Delivery
from faena.model.inputs import Input, Outdated
from faena.model.message import Member, Message
from faena.worker.connection import Connection


async def nothing(link: object) -> None: ...


def test_an_interruption_before_the_first_wait_ends_it() -> None:
    async def early() -> float:
        app = Faena("early", broker="memory://early", set_as_current=False)
        link = await app.links.asyncio()
        holder = await link.broker.leases.open_holder("test", 30.0)
        connection = Connection(app.links, holder, ["default"], on_open=nothing)
        connection.interrupt()
        began_s = time.monotonic()
        assert await connection.receive(1, 5.0) == ()
        waited_s = time.monotonic() - began_s
        await connection.close()
        await app.aclose()
        return waited_s

    assert asyncio.run(early()) < 2.5


def test_what_cannot_be_read_for_one_task_is_missing_for_that_one_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read = MemoryWorkflows.inputs

    async def inputs(self: MemoryWorkflows, members: Sequence[Member]) -> Sequence[Input]:
        if any(member.node == 1 for member in members):
            raise RecursionError("too deep")
        return await read(self, members)

    monkeypatch.setattr(MemoryWorkflows, "inputs", inputs)

    async def given() -> list[object]:
        app = Faena("deep", broker="memory://deep", set_as_current=False)
        connection = Connection(app.links, await (await app.links.asyncio()).broker.leases.open_holder("test", 30.0),
                                ["default"], on_open=nothing)  # fmt: skip
        batch = [
            Delivery(Message(id=f"w.{node}", task="t", queue="default", body=b"[[],{}]", member=Member("w", node)), None)
            for node in (0, 1, 2)
        ]
        found = await connection.with_inputs(batch)
        await connection.close()
        await app.aclose()
        return [item.input for item in found if isinstance(item, Delivery)]

    assert asyncio.run(given()) == [Outdated(), None, Outdated()]
