"""Runs the commands that an app declares itself, in a worker process, beside its tasks.

A coroutine runs in the loop of the process, a plain function in a thread of its own: neither holds up what the process
fetches and settles, and a thread that never ends keeps no process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from faena._lib.plain import plain
from faena.errors import FaenaError, did_you_mean
from faena.model.control import RESERVED

if TYPE_CHECKING:
    from faena.app.app import Faena


async def run_command(app: Faena, name: str, arguments: Mapping[str, Any]) -> Any:
    """Return what the command returns, as plain data.

    Raises FaenaError: there is none of that name; InvalidArguments; and whatever the command raises.
    """
    command = app.control.commands.get(name)
    if command is None:
        known = (*RESERVED, *app.control.commands)
        raise FaenaError(f"unknown command '{name}'{did_you_mean(name, known)}")
    args, kwargs = command.coerce(arguments)
    if iscoroutinefunction(command.function):
        return plain(await command.function(*args, **kwargs))
    return plain(await _in_thread(lambda: command.function(*args, **kwargs)))


async def _in_thread(function: Callable[[], Any]) -> Any:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def work() -> None:
        value, error = None, None
        try:
            value = function()
        except BaseException as raised:  # noqa: BLE001 - around user code
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, value, error)

    def tell(value: Any, error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result((value, error))

    threading.Thread(target=work, name="faena-command", daemon=True).start()
    value, error = await ended
    if error is not None:
        raise error
    return value
