"""What people ask an app about its tasks. The answer takes modules that nobody else needs: they load with the question."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.app.breakers import AppBreakers
    from faena.model.explanation import Explanation


def explain(app: Faena, task_id: str) -> Explanation:
    """Say where a task is, why it is not running, and what to do about it: `print(app.explain(id).text())`."""
    from faena.app.explain import explain_task

    return explain_task(app, task_id)


async def aexplain(app: Faena, task_id: str) -> Explanation:
    """Do as `explain`, without blocking the event loop."""
    from faena.app.explain import aexplain_task

    return await aexplain_task(app, task_id)


def breakers(app: Faena) -> AppBreakers:
    """The circuit breakers that hold tasks back: look at them, open and close them."""
    from faena.app.breakers import AppBreakers

    return AppBreakers(app)
