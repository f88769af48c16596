"""The connection of a worker process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from faena import Faena
from faena.drivers.memory.stepping import MemoryWorkflows
from faena.errors import BrokerUnavailable
from faena.model.delivery import Delivery
from faena.model.inputs import Input, Outdated
from faena.model.message import Member, Message
from faena.worker.connection import Connection


async def nothing(link: object) -> None: ...


class Receiving:
    """A consumer that receives until it is told what comes of it."""

    def __init__(self) -> None:
        self.begun, self.is_closed = asyncio.Event(), False
        self.outcome: asyncio.Future[Sequence[Delivery]] = asyncio.get_running_loop().create_future()

    async def receive(self, limit: int, wait_s: float) -> Sequence[Delivery]:
        self.begun.set()
        return await self.outcome

    def interrupt(self) -> None: ...

    async def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("lease", ["connection", "holder"])
@pytest.mark.parametrize("ends", ["with an error", "with a batch"])
def test_what_receives_on_a_connection_that_another_has_lost_is_closed(
    monkeypatch: pytest.MonkeyPatch, lease: str, ends: str
) -> None:
    """It would stay open else, and hold on the server what nobody here knows of."""
    delivery = Delivery(Message(id="1", task="t", queue="default", body=b"[[],{}]"), None)

    async def main() -> None:
        app = Faena("lost", broker="memory://lost", set_as_current=False)
        holder = await (await app.links.asyncio()).broker.leases.open_holder("test", 30.0)
        connection = Connection(app.links, holder, ["default"], on_open=nothing)
        link = await connection.link()
        opened, consumer = connection._opened, Receiving()
        assert opened is not None
        opened.consumer = consumer  # type: ignore[assignment]
        kind = type(link.broker)
        able = replace(link.broker.capabilities, lease=lease)
        monkeypatch.setattr(kind, "capabilities", property(lambda _: able))
        receiving = asyncio.create_task(connection.receive(1, 5.0))
        await consumer.begun.wait()
        await connection.mistrust(BrokerUnavailable("lost"))
        assert not consumer.is_closed  # it is in use
        if ends == "with an error":
            consumer.outcome.set_exception(BrokerUnavailable("lost"))
            assert await receiving == ()
        else:
            consumer.outcome.set_result([delivery])
            assert list(await receiving) == ([] if lease == "connection" else [delivery])
        assert consumer.is_closed
        await connection.close()
        await app.aclose()

    asyncio.run(main())


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
