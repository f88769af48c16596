"""Steps that a task remembers, so that a retry, a crash or a long wait goes on after the last one that has finished.

A task that is run again starts from its top. Each step that had finished gives what it gave before, without being done
again; what the function does outside of its steps happens every time. Steps are told apart by their name, and where a name
comes twice by how often it came: so a function must come by its steps in the same order every time.

What a step returns is kept in the backend before the next one begins. A crash in between does that one step twice.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from faena._lib.drive import run
from faena.errors import EventTimeout, InvalidArguments, WorkflowError
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
    if task.request.called_directly:
        return function(*args, **kwargs)
    return run(_step(_Blocking(task.app.journal), task, name, function, args, kwargs))


async def astep(task: Task[..., Any], name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Do as `step`; `function` may be a coroutine function."""
    if task.request.called_directly:
        value = function(*args, **kwargs)
        return await value if isinstance(value, Awaitable) else value
    return await _step(_Awaiting(task.app.journal), task, name, function, args, kwargs)


def sleep(task: Task[..., Any], duration: float | timedelta) -> None:
    """Suspend the task for a time; returns at once where that time is over."""
    if task.request.called_directly:
        time.sleep(seconds(duration) or 0.0)
    elif not task.request.is_eager:
        run(_sleep(_Blocking(task.app.journal), task.request, duration))


async def asleep(task: Task[..., Any], duration: float | timedelta) -> None:
    """Do as `sleep`, without blocking the event loop."""
    if task.request.called_directly:
        import asyncio  # who comes here has it

        await asyncio.sleep(seconds(duration) or 0.0)
    elif not task.request.is_eager:
        await _sleep(_Awaiting(task.app.journal), task.request, duration)


def wait_for_event(task: Task[..., Any], event: str, timeout: float | timedelta | None) -> Any:
    """Return what came with an event; suspend the task until it happens. Raises EventTimeout."""
    return run(_wait_for_event(_Blocking(task.app.journal), task, event, seconds(timeout)))


async def await_for_event(task: Task[..., Any], event: str, timeout: float | timedelta | None) -> Any:
    """Do as `wait_for_event`, without blocking the event loop."""
    return await _wait_for_event(_Awaiting(task.app.journal), task, event, seconds(timeout))


def checked_event(where: str, name: Any) -> str:
    """Return the name of an event. Raises InvalidArguments: by this name nobody can wait for one, nor signal one."""
    if not isinstance(name, str) or not 0 < len(name) <= 500:
        raise InvalidArguments(where, f"an event is named by a text of 1 to 500 characters, not {name!r}")
    return name


# -- one way to do it, and two ways to wait ----------------------------------------------------------------


class _Blocking:
    """The journal, for a plain function: nothing here suspends, so that `run` can drive it."""

    awaits = False

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def read(self, task_id: str) -> Sequence[Entry]:
        return self.journal.read(task_id)

    async def write(self, task_id: str, entry: Entry, until_s: float) -> Entry:
        return self.journal.write(task_id, entry, until_s)

    async def event(self, name: str) -> Entry | None:
        return self.journal.event(name)


class _Awaiting:
    """The journal, for a coroutine."""

    awaits = True

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def read(self, task_id: str) -> Sequence[Entry]:
        return await self.journal.aread(task_id)

    async def write(self, task_id: str, entry: Entry, until_s: float) -> Entry:
        return await self.journal.awrite(task_id, entry, until_s)

    async def event(self, name: str) -> Entry | None:
        return await self.journal.aevent(name)


async def _step(
    way: _Blocking | _Awaiting, task: Task[..., Any], name: str, function: Callable[..., Any], args: Any, kwargs: Any
) -> Any:
    known = await _load(way, task.request)
    key = known.key_of(f"step:{name}")
    entry = known.find(key)
    if entry is None:
        value = function(*args, **kwargs)
        if isinstance(value, Awaitable):
            if not way.awaits:
                raise WorkflowError("", f"step '{name}' of task '{task.name}' is a coroutine: write await self.astep(...)")
            value = await value
        entry = known.keep(await _written(way, task.request, way.journal.entry(key, value)))
    return way.journal.value_of(entry)


async def _sleep(way: _Blocking | _Awaiting, request: Request, duration: float | timedelta) -> None:
    known = await _load(way, request)
    until_s = await _moment(way, request, known, known.key_of("sleep"), seconds(duration) or 0.0)
    if way.journal.now_s() < until_s:
        raise Suspend(until_s)


async def _wait_for_event(way: _Blocking | _Awaiting, task: Task[..., Any], event: str, timeout_s: float | None) -> Any:
    request, journal = task.request, way.journal
    checked_event(task.name, event)
    if request.called_directly or request.is_eager:
        raise WorkflowError("", f"task '{task.name}' runs here and now: it cannot wait for event '{event}'")
    known = await _load(way, request)
    key, deadline_key = known.key_of(f"event:{event}"), known.key_of(f"deadline:{event}")
    entry = known.find(key)
    if entry is None and (happened := await way.event(event)) is not None:
        made = Entry(key, happened.value, happened.content, happened.at_s)
        entry = known.keep(await _written(way, request, made))
    if entry is None:
        deadline_s = None
        if timeout_s is not None:
            deadline_s = await _moment(way, request, known, deadline_key, timeout_s)
        if deadline_s is None or journal.now_s() < deadline_s:
            raise Suspend(deadline_s, event)
        entry = known.keep(await _written(way, request, Entry(key, _TIMED_OUT)))
    if entry.value == _TIMED_OUT:
        raise EventTimeout(event, timeout_s or 0.0)
    return journal.value_of(entry)


async def _moment(way: _Blocking | _Awaiting, request: Request, known: Remembered, key: str, after_s: float) -> float:
    """Return the moment `after_s` from when this was asked for the first time; unix seconds."""
    entry = known.find(key)
    if entry is None:
        until_s = way.journal.now_s() + after_s
        entry = known.keep(await _written(way, request, way.journal.entry(key, until_s), until_s))
    return float(way.journal.value_of(entry))


async def _load(way: _Blocking | _Awaiting, request: Request) -> Remembered:
    if request.durable is None:
        entries = [] if request.is_eager else await way.read(request.id or "")
        request.durable = Remembered({entry.name: entry for entry in entries})
    known: Remembered = request.durable
    return known


async def _written(way: _Blocking | _Awaiting, request: Request, entry: Entry, until_s: float = 0.0) -> Entry:
    return entry if request.is_eager else await way.write(request.id or "", entry, until_s)
