"""The tasks that every app has: those behind `map` and `starmap`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faena.tasks.dispatcher import Dispatcher


def declare_builtin(app: Dispatcher) -> dict[str, Any]:
    """Return the functions of the built-in tasks of `app`, by name."""

    def call_each(task: str, items: Iterable[Any]) -> list[Any]:
        return _call_all(app.tasks[task], [(item,) for item in items])

    def call_each_with_its_own(task: str, items: Iterable[Iterable[Any]]) -> list[Any]:
        return _call_all(app.tasks[task], items)

    return {"faena.map": call_each, "faena.starmap": call_each_with_its_own}


def _call_all(task: Any, calls: Iterable[Iterable[Any]]) -> list[Any]:
    """Call the function of a task with arguments after arguments, checked and converted as those of a call are."""
    ready = [task.arguments.coerce(list(arguments), {}) for arguments in calls]
    if not task.is_coroutine:
        return [task(*args, **kwargs) for args, kwargs in ready]

    import asyncio  # who only sends has no use for it

    async def one_after_the_other() -> list[Any]:
        return [await task(*args, **kwargs) for args, kwargs in ready]

    return asyncio.run(one_after_the_other())
