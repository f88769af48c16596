"""Steps that a task remembers, so that a retry, a crash or a long wait goes on after the last one that has finished.

A task that is run again starts from its top. Each step that had finished gives what it gave before, without being done
again; what the function does outside of its steps happens every time. Steps are told apart by their name, and where a name
comes twice by how often it came: so a function must come by its steps in the same order every time.

What a step returns is kept in the backend before the next one begins. A crash in between does that one step twice.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from faena.errors import EventTimeout, WorkflowError
from faena.model.journal import Entry
from faena.signals import Suspend
from faena.tasks.context import Request
from faena.tasks.options import seconds

if TYPE_CHECKING:
    from faena.tasks.dispatcher import Journal
    from faena.tasks.task import Task

_TIMED_OUT = b""  # the value of an event that has not happened in time; no codec gives this


class Remembered:
    """What one run of a task knows of the runs before it."""

    __slots__ = ("_counts", "_entries")

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries
        self._counts: dict[str, int] = {}

    def key_of(self, name: str) -> str:
        """Return the name of the next step that is called so."""
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    def find(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def keep(self, entry: Entry) -> Entry:
        self._entries[entry.name] = entry
        return entry


def step(task: Task[..., Any], name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Do a step, or give what it gave before."""
    request = task.request
    if request.called_directly:
        return function(*args, **kwargs)
    journal, known = task.app.journal, _load(task.app.journal, request)
    key = known.key_of(f"step:{name}")
    entry = known.find(key)
    if entry is None:
        value = function(*args, **kwargs)
        if isinstance(value, Awaitable):
            raise WorkflowError("", f"step '{name}' of task '{task.name}' is a coroutine: write await self.astep(...)")
        entry = known.keep(_written(journal, request, journal.entry(key, value)))
    return journal.value_of(entry)


async def astep(task: Task[..., Any], name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Do as `step`; `function` may be a coroutine function."""
    request = task.request
    if request.called_directly:
        return await _awaited(function(*args, **kwargs))
    journal, known = task.app.journal, await _aload(task.app.journal, request)
    key = known.key_of(f"step:{name}")
    entry = known.find(key)
    if entry is None:
        made = journal.entry(key, await _awaited(function(*args, **kwargs)))
        entry = known.keep(await _awritten(journal, request, made))
    return journal.value_of(entry)


def sleep(task: Task[..., Any], duration: float | timedelta) -> None:
    """Suspend the task for a time; returns at once where that time is over."""
    request, journal = task.request, task.app.journal
    if request.called_directly:
        time.sleep(seconds(duration) or 0.0)
    if request.called_directly or request.is_eager:
        return
    known = _load(journal, request)
    key = known.key_of("sleep")
    entry = known.find(key)
    if entry is None:
        until_s = journal.now_s() + (seconds(duration) or 0.0)
        entry = known.keep(_written(journal, request, journal.entry(key, until_s), until_s))
    _go_on_or_suspend(journal, entry)


async def asleep(task: Task[..., Any], duration: float | timedelta) -> None:
    """Do as `sleep`, without blocking the event loop."""
    import asyncio  # who comes here has it

    request, journal = task.request, task.app.journal
    if request.called_directly:
        await asyncio.sleep(seconds(duration) or 0.0)
    if request.called_directly or request.is_eager:
        return
    known = await _aload(journal, request)
    key = known.key_of("sleep")
    entry = known.find(key)
    if entry is None:
        until_s = journal.now_s() + (seconds(duration) or 0.0)
        entry = known.keep(await _awritten(journal, request, journal.entry(key, until_s), until_s))
    _go_on_or_suspend(journal, entry)


def wait_for_event(task: Task[..., Any], event: str, timeout: float | timedelta | None) -> Any:
    """Return what came with an event; suspend the task until it happens. Raises EventTimeout."""
    request, journal = task.request, task.app.journal
    _refuse_eager(task, request, event)
    known = _load(journal, request)
    key, deadline_key = known.key_of(f"event:{event}"), known.key_of(f"deadline:{event}")
    entry, timeout_s = known.find(key), seconds(timeout)
    if entry is None and (happened := journal.event(event)) is not None:
        entry = known.keep(_written(journal, request, Entry(key, happened.value, happened.content, happened.at_s)))
    if entry is None:
        deadline_s = None
        if timeout_s is not None:
            deadline = known.find(deadline_key)
            if deadline is None:
                until_s = journal.now_s() + timeout_s
                deadline = known.keep(_written(journal, request, journal.entry(deadline_key, until_s), until_s))
            deadline_s = float(journal.value_of(deadline))
        if deadline_s is None or journal.now_s() < deadline_s:
            raise Suspend(deadline_s, event)
        entry = known.keep(_written(journal, request, Entry(key, _TIMED_OUT)))
    return _told(journal, entry, event, timeout_s)


async def await_for_event(task: Task[..., Any], event: str, timeout: float | timedelta | None) -> Any:
    """Do as `wait_for_event`, without blocking the event loop."""
    request, journal = task.request, task.app.journal
    _refuse_eager(task, request, event)
    known = await _aload(journal, request)
    key, deadline_key = known.key_of(f"event:{event}"), known.key_of(f"deadline:{event}")
    entry, timeout_s = known.find(key), seconds(timeout)
    if entry is None and (happened := await journal.aevent(event)) is not None:
        made = Entry(key, happened.value, happened.content, happened.at_s)
        entry = known.keep(await _awritten(journal, request, made))
    if entry is None:
        deadline_s = None
        if timeout_s is not None:
            deadline = known.find(deadline_key)
            if deadline is None:
                until_s = journal.now_s() + timeout_s
                deadline = known.keep(await _awritten(journal, request, journal.entry(deadline_key, until_s), until_s))
            deadline_s = float(journal.value_of(deadline))
        if deadline_s is None or journal.now_s() < deadline_s:
            raise Suspend(deadline_s, event)
        entry = known.keep(await _awritten(journal, request, Entry(key, _TIMED_OUT)))
    return _told(journal, entry, event, timeout_s)


# -- internals ---------------------------------------------------------------------------------------------


def _load(journal: Journal, request: Request) -> Remembered:
    if request.durable is None:
        entries = [] if request.is_eager else journal.read(request.id or "")
        request.durable = Remembered({entry.name: entry for entry in entries})
    known: Remembered = request.durable
    return known


async def _aload(journal: Journal, request: Request) -> Remembered:
    if request.durable is None:
        entries = [] if request.is_eager else await journal.aread(request.id or "")
        request.durable = Remembered({entry.name: entry for entry in entries})
    known: Remembered = request.durable
    return known


def _written(journal: Journal, request: Request, entry: Entry, until_s: float = 0.0) -> Entry:
    return entry if request.is_eager else journal.write(request.id or "", entry, until_s)


async def _awritten(journal: Journal, request: Request, entry: Entry, until_s: float = 0.0) -> Entry:
    return entry if request.is_eager else await journal.awrite(request.id or "", entry, until_s)


async def _awaited(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


def _go_on_or_suspend(journal: Journal, entry: Entry) -> None:
    until_s = float(journal.value_of(entry))
    if journal.now_s() < until_s:
        raise Suspend(until_s)


def _told(journal: Journal, entry: Entry, event: str, timeout_s: float | None) -> Any:
    if entry.value == _TIMED_OUT:
        raise EventTimeout(event, timeout_s or 0.0)
    return journal.value_of(entry)


def _refuse_eager(task: Task[..., Any], request: Request, event: str) -> None:
    if request.called_directly or request.is_eager:
        raise WorkflowError("", f"task '{task.name}' runs here and now: it cannot wait for event '{event}'")
