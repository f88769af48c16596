"""The connection of a worker process."""

from __future__ import annotations

import asyncio
import time

from faena import Faena
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
