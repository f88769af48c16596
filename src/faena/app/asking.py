"""What people ask an app about its tasks. The answer takes modules that nobody else needs: they load with the question."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faena.app.app import Faena
    from faena.app.breakers import AppBreakers
    from faena.app.events import AsyncEventStream, EventStream
    from faena.model.explanation import Explanation
    from faena.model.message import Message


def explain(app: Faena, task_id: str) -> Explanation:
    """Say where a task is, why it is not running, and what to do about it: `print(app.explain(id).text())`."""
    from faena.app.explain import explain_task

    return explain_task(app, task_id)


async def aexplain(app: Faena, task_id: str) -> Explanation:
    """Do as `explain`, without blocking the event loop."""
    from faena.app.explain import aexplain_task

    return await aexplain_task(app, task_id)


def events(
    app: Faena,
    kinds: str | Sequence[str] = (),
    *,
    task: str = "",
    queue: str = "",
    worker: str = "",
    timeout: float | None = None,
) -> EventStream:
    """Listen to what happens from now on: `with app.events("failed", task="shop.*") as stream: for event in stream: ...`.

    `kinds` are one or several, as a list or "failed,retried"; names may hold *, ? and [...]. `timeout`: the iteration ends
    when nothing that fits has come for so many seconds.
    Raises NoBackend, NotSupported: nothing carries events; FaenaError: there is no such kind.
    """
    from faena.app.events import listen

    return listen(app, kinds, task, queue, worker, timeout)


def aevents(
    app: Faena,
    kinds: str | Sequence[str] = (),
    *,
    task: str = "",
    queue: str = "",
    worker: str = "",
    timeout: float | None = None,
) -> AsyncEventStream:
    """Do as `events`, without blocking the event loop: `async with app.aevents() as stream: async for ...`."""
    from faena.app.events import alisten

    return alisten(app, kinds, task, queue, worker, timeout)


def breakers(app: Faena) -> AppBreakers:
    """The circuit breakers that hold tasks back: look at them, open and close them."""
    from faena.app.breakers import AppBreakers

    return AppBreakers(app)


def tell_sent(app: Faena, messages: Sequence[Message]) -> None:
    """Tell that these were sent."""
    from faena.app.sent_events import tell_sent  # what few programs need

    tell_sent(app, messages)


async def atell_sent(app: Faena, messages: Sequence[Message]) -> None:
    from faena.app.sent_events import atell_sent

    await atell_sent(app, messages)
