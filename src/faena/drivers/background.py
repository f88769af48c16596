"""An event loop in a thread of its own, for adapters that are written for event loops only, used by who blocks.

    blocking caller ──call──▶ loop in the background ──▶ adapter
         ▲                          │
         └──────── result ──────────┘

One loop serves all threads of a process; a forked process makes its own. The deadline of the caller goes along.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Background:
    """A loop that turns until the process ends."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self._turn, name="faena-background", daemon=True).start()

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run what `work` makes in the loop, and return what it returns; a caller that is interrupted cancels it."""
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        begun: list[asyncio.Task[T]] = []
        context = contextvars.copy_context()

        def begin() -> None:
            task = self.loop.create_task(work(), context=context)
            begun.append(task)  # held until it is over: a loop keeps no hold of its tasks
            task.add_done_callback(lambda task: _hand_over(task, done))

        self.loop.call_soon_threadsafe(begin)
        try:
            return done.result()
        except BaseException:
            if not done.done():
                self.loop.call_soon_threadsafe(lambda: begun[0].cancel())
            raise

    def _turn(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


def _hand_over(task: asyncio.Task[T], done: concurrent.futures.Future[T]) -> None:
    if task.cancelled():
        done.cancel()
        return
    error = task.exception()
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


_background: Background | None = None
_making = threading.Lock()


def background() -> Background:
    """Return the loop of this process."""
    global _background
    with _making:
        if _background is None or _background.pid != os.getpid():
            _background = Background()
        return _background


os.register_at_fork(after_in_child=_making._at_fork_reinit)  # type: ignore[attr-defined]  # it may be held at the fork


class _Blocking:
    """Stands for an adapter: its coroutines run in the background, and so never suspend who awaits them."""

    def __init__(self, target: object) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if inspect.iscoroutinefunction(found):

            async def call(*args: Any, **kwargs: Any) -> Any:
                return background().run(lambda: found(*args, **kwargs))

            setattr(self, name, call)
            return call
        return found


def in_background(target: T) -> T:
    """Return `target` for callers that block."""
    return cast("T", _Blocking(target))
