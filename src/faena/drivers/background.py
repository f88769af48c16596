"""An event loop in a thread of its own, for adapters that are written for event loops only, used by who blocks.

    blocking caller ──call──▶ loop in the background ──▶ adapter
         ▲                          │
         └──────── result ──────────┘

One loop serves all threads of a process; a forked process makes its own. The deadline of the caller goes along. What nobody
holds any more, since the thread that used it has ended, is closed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import logging
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

log = logging.getLogger("faena")

T = TypeVar("T")


class Background:
    """A loop that turns until the process ends."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._begun: set[asyncio.Task[None]] = set()  # held until it is over: a loop keeps no hold of its tasks
        threading.Thread(target=self._turn, name="faena-background", daemon=True).start()

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run what `work` makes in the loop, and return what it returns; a caller that is interrupted cancels it."""
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        begun: list[asyncio.Task[T]] = []
        context = contextvars.copy_context()

        def begin() -> None:
            try:
                task = self.loop.create_task(work(), context=context)
            except Exception as error:  # noqa: BLE001 - it is the caller's, such as for arguments that do not fit
                done.set_exception(error)
                return
            begun.append(task)  # held until it is over: a loop keeps no hold of its tasks
            task.add_done_callback(lambda task: _hand_over(task, done))

        self.loop.call_soon_threadsafe(begin)
        try:
            return done.result()
        except BaseException:
            if not done.done():
                self.loop.call_soon_threadsafe(lambda: begun[0].cancel())
            raise

    def begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let what `work` makes run in the loop, and do not wait for it."""

        def begin() -> None:
            task = self.loop.create_task(work())
            self._begun.add(task)
            task.add_done_callback(self._begun.discard)

        self.loop.call_soon_threadsafe(begin)

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
    standing_in = _Blocking(target)
    close = getattr(target, "close", None)
    if inspect.iscoroutinefunction(close):
        weakref.finalize(standing_in, _close_later, close, os.getpid()).atexit = False
    return cast("T", standing_in)


def _close_later(close: Callable[[], Coroutine[Any, Any, None]], pid: int) -> None:
    """Close without waiting: this may be called in any thread at any moment. What was closed before is closed at once."""
    current = _background
    if current is None or current.pid != pid or pid != os.getpid():
        return

    async def quietly() -> None:
        try:
            await close()
        except Exception as error:  # noqa: BLE001 - nobody is there to be told
            log.debug("closing what nobody uses: %s", error)

    current.begin(quietly)
