"""Calls of a block that are sent in batches: `with app.buffered(): add.delay(1, 2)`.

    delay ─▶ checked, encoded, given an id ─▶ pending ──full, flush(), a result is waited for, end of the block──▶ publish
                                                 ▲                                                                   │
                                                 └───────────────────────── not taken ───────────────────────────────┘

What is pending is in the memory of this process, and lost with it: at most `max_pending` calls. Nothing else is lost: what
the broker has not taken stays pending, and whoever caused the attempt is told (`NotAllSent`).

A block holds for the context that it stands in (its thread, its coroutine and the tasks made there), not for other threads;
those may use `send` of the block. A forked process begins with nothing pending, for its parent sends that.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from faena.app.results import AppResults
from faena.errors import ConfigurationError, FaenaError, MessageTooLarge, NotAllSent, PublishedInPart
from faena.model.message import Message
from faena.model.result import ResultRecord
from faena.tasks.signature import Signature

if TYPE_CHECKING:
    import asyncio

    from faena.app.app import Faena
    from faena.tasks.result import AsyncResult

R = TypeVar("R")

log = logging.getLogger("faena")

_ALONE = frozenset({"retry", "retry_policy", "when_full"})  # options of how one call is sent
_ONCE: Mapping[str, Any] = {"retry": False}
_innermost: ContextVar[Buffer | None] = ContextVar("faena_buffer", default=None)


class Buffers:
    """The blocks of one app, as its way out sees them."""

    def __init__(self, app: Faena) -> None:
        self._app = app

    def new(self, max_pending: int) -> Buffer:
        return Buffer(self._app, max_pending)

    def take(self, messages: Sequence[Message], options: Mapping[str, Any]) -> bool:
        """Let a message wait if we are in a block; say whether it does. Others are sent by the caller, after what waits."""
        buffer = self._here()
        if buffer is None:
            return False
        if len(messages) > 1 or not _ALONE.isdisjoint(options):
            buffer.flush()
            return False
        while not buffer.add(messages[0]):
            buffer.flush()
        return True

    async def atake(self, messages: Sequence[Message], options: Mapping[str, Any]) -> bool:
        """Do as `take`, without blocking the event loop."""
        buffer = self._here()
        if buffer is None:
            return False
        if len(messages) > 1 or not _ALONE.isdisjoint(options):
            await buffer.aflush()
            return False
        while not buffer.add(messages[0]):
            await buffer.aflush()
        return True

    def sent_before(self, results: AppResults) -> AppResults:
        """Return these results for handles that are made here: who waits for one lets the block be sent."""
        buffer = self._here()
        return results if buffer is None else _SentBefore(results, buffer)

    def _here(self) -> Buffer | None:
        buffer = _innermost.get()
        while buffer is not None and not buffer.takes_from(self._app):
            buffer = buffer.outer
        return buffer


class Buffer:
    """What `app.buffered()` gives. Safe in threads; every verb that waits has a twin with an `a`, to be awaited."""

    def __init__(self, app: Faena, max_pending: int) -> None:
        if max_pending < 1:
            raise ConfigurationError(f"app.buffered(max_pending={max_pending}): at least one call has to find room")
        self._app, self.max_pending = app, max_pending
        self.outer: Buffer | None = None
        self._is_open = False
        self._of_process()

    def _of_process(self) -> None:
        self._pid = os.getpid()
        self._pending: dict[str, Message] = {}
        self._lock, self._flushing = threading.RLock(), threading.RLock()  # a signal handler may call tasks, too
        self._aflushing: asyncio.Lock | None = None

    @property
    def pending(self) -> tuple[str, ...]:
        """The ids of the calls that the broker has not taken yet, oldest first."""
        self._forget_those_of_a_parent()
        with self._lock:
            return tuple(self._pending)

    # -- the block -----------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._is_open:
            raise ConfigurationError("this block of app.buffered() is open already: make another one for a block inside")
        self._is_open, self.outer = True, _innermost.get()
        _innermost.set(self)
        atexit.register(self._at_exit)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Send what is pending, after an exception as well: its callers have been given handles."""
        self._end()
        self._flush(_options_after(kind))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        await self._aflush(_options_after(kind))

    def takes_from(self, app: Faena) -> bool:
        return self._is_open and self._app is app

    def _end(self) -> None:
        self._is_open = False
        _innermost.set(self.outer)
        atexit.unregister(self._at_exit)

    def _at_exit(self) -> None:
        """Send what is pending in a block that the program never left, such as one of a generator."""
        try:
            self._flush(_ONCE)
        except FaenaError as error:
            log.error("%s", error)

    # -- calling -------------------------------------------------------------------------------------------

    def send(self, signature: Signature[R]) -> AsyncResult[R]:
        """Call from any thread. Raises NotAllSent when there is no room and the broker takes nothing: this call is none."""
        with _inside(self):
            return self._app.send_call(signature.as_call())

    async def asend(self, signature: Signature[R]) -> AsyncResult[R]:
        """Do as `send`, without blocking the event loop."""
        with _inside(self):
            return await self._app.asend_call(signature.as_call())

    def add(self, message: Message) -> bool:
        """Let a message wait; False: there is no room."""
        self._forget_those_of_a_parent()
        with self._lock:
            if len(self._pending) >= self.max_pending:
                return False
            self._pending.setdefault(message.id, message)  # of two with one id the broker would take the first
            return True

    def _forget_those_of_a_parent(self) -> None:
        if self._pid != os.getpid():
            self._of_process()  # its locks may be held by threads that are not here

    # -- sending -------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what is pending. Raises NotAllSent: some of it is still pending, or was refused."""
        self._flush({})

    async def aflush(self) -> None:
        """Do as `flush`, without blocking the event loop."""
        await self._aflush({})

    def _flush(self, options: Mapping[str, Any]) -> None:
        self._forget_those_of_a_parent()
        refused = _Refused()
        with self._flushing:
            while batch := self._taken_out():
                try:
                    with _inside(None):
                        self._app.publish(batch, options)
                except MessageTooLarge as error:
                    self._put_back(refused.others(batch, error))
                except FaenaError as error:
                    raise self._failed(batch, error, refused) from error
                except BaseException:
                    self._put_back(batch)  # whether the broker has taken some is not known; it takes no id twice
                    raise
                else:
                    break
        refused.check()

    async def _aflush(self, options: Mapping[str, Any]) -> None:
        import asyncio  # which synchronous programs do not pay for

        self._forget_those_of_a_parent()
        refused = _Refused()
        self._aflushing = self._aflushing or asyncio.Lock()
        async with self._aflushing:
            while batch := self._taken_out():
                try:
                    with _inside(None):
                        await self._app.apublish(batch, options)
                except MessageTooLarge as error:
                    self._put_back(refused.others(batch, error))
                except FaenaError as error:
                    raise self._failed(batch, error, refused) from error
                except BaseException:
                    self._put_back(batch)  # whether the broker has taken some is not known; it takes no id twice
                    raise
                else:
                    break
        refused.check()

    def _taken_out(self) -> Sequence[Message]:
        with self._lock:
            batch = tuple(self._pending.values())
            self._pending = {}
        return batch

    def _put_back(self, messages: Iterable[Message]) -> None:
        with self._lock:
            self._pending = {**{message.id: message for message in messages}, **self._pending}

    def _failed(self, batch: Sequence[Message], error: FaenaError, refused: _Refused) -> NotAllSent:
        accepted = error.accepted if isinstance(error, PublishedInPart) else frozenset()
        self._put_back(message for message in batch if message.id not in accepted)
        return NotAllSent(self.pending, refused.ids, accepted, str(error))


class _Refused:
    """Messages that the broker will never take."""

    def __init__(self) -> None:
        self.ids: tuple[str, ...] = ()
        self._error: MessageTooLarge | None = None

    def others(self, batch: Sequence[Message], error: MessageTooLarge) -> list[Message]:
        """Note what is refused; return what is not."""
        self.ids += tuple(message.id for message in batch if len(message.body) > error.limit_bytes)
        self._error = error
        return [message for message in batch if len(message.body) <= error.limit_bytes]

    def check(self) -> None:
        if self._error is not None:
            raise NotAllSent((), self.ids, frozenset(), str(self._error)) from self._error


class _SentBefore(AppResults):
    """The results of an app for who may hold handles of calls that wait to be sent."""

    def __init__(self, results: AppResults, buffer: Buffer) -> None:
        self.__dict__.update(results.__dict__)
        self._buffer = buffer

    def soon(self, task_id: str, timeout_s: float) -> None:
        """Nothing is, before the block is sent."""

    def wait(self, ids: Iterable[str], timeout_s: float | None) -> Iterator[ResultRecord]:
        self._buffer.flush()
        return super().wait(ids, timeout_s)

    def is_known(self, task_id: str) -> bool | None:
        return task_id in self._buffer.pending or super().is_known(task_id)

    async def ais_known(self, task_id: str) -> bool | None:
        return task_id in self._buffer.pending or await super().ais_known(task_id)

    async def await_(self, ids: Iterable[str], timeout_s: float | None) -> AsyncIterator[ResultRecord]:
        await self._buffer.aflush()
        async for record in super().await_(ids, timeout_s):
            yield record


def _options_after(kind: type[BaseException] | None) -> Mapping[str, Any]:
    """Return how to send at the end of a block: who was interrupted does not wait for a broker to come back."""
    return {} if kind is None or issubclass(kind, Exception) else _ONCE


@contextmanager
def _inside(buffer: Buffer | None) -> Iterator[None]:
    """Be in this block for a while, or in none."""
    token = _innermost.set(buffer)
    try:
        yield
    finally:
        _innermost.reset(token)
