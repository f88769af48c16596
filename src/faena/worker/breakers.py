"""What a process does for circuit breakers: it counts how attempts end, and opens and closes by that.

    lanes, coroutines ──note──▶ counts ──too many errors, or a try has ended──▶ news ──▶ act, in the I/O thread

Who settles what has ended acts first, so that nothing is handed out in the place of a try before it is known what it says.
Each process judges by what it has run itself. While a breaker is closed here, an attempt costs a look at its counts; what
really stands is read before anything is changed, so that two processes do not open it twice. A process that was not told
what has changed looks by itself every now and then, when attempts end.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from faena.app.breakers import close_breaker, set_breaker, standing_breakers
from faena.app.links import Link
from faena.engine.attempt import Attempt, Ended
from faena.engine.completion import Completer
from faena.engine.outcome import Failed, Outcome, Replaced, Retried, Succeeded
from faena.errors import BackendError, BrokerError, FaenaError, StorageError, TimeLimitExceeded, WorkerLostError
from faena.model.breaker import Phase, Standing, Tally, opened
from faena.tasks.breaker import Breaker
from faena.tasks.task import Task

log = logging.getLogger("faena.worker")

_LOOK_EVERY_S = 30.0
_MOST_NEWS = 1000  # of each task: more do not say more
_BROKEN = (BrokerError, BackendError, StorageError, OSError)
_OF_RUNS = (TimeLimitExceeded, WorkerLostError)  # that end an attempt which was begun elsewhere


class _News(Struct, frozen=True):
    """An attempt after which it has to be seen what stands."""

    began_s: float
    attempts: int
    errors: int
    error: str | None


class _Kept:
    """One breaker, as this process knows it."""

    def __init__(self, breaker: Breaker) -> None:
        self.breaker, self.tally = breaker, Tally(breaker.rule.within_s)
        self.standing: Standing | None = None
        self.look_at_s = time.monotonic() + _LOOK_EVERY_S
        self.news: list[_News] = []


class Breakers:
    """The breakers of an app's tasks in one process. `note` may be called in any thread."""

    def __init__(self, tasks: Mapping[str, Task[..., Any]], clock: Callable[[], float]) -> None:
        self._clock, self._lock, self._acting = clock, threading.Lock(), asyncio.Lock()
        self._kept = {name: _Kept(task.breaker) for name, task in tasks.items() if task.breaker is not None}
        self._give_back: Callable[[], None] = lambda: None
        self.has_news = False  # `act` has something to do, or is doing it; that comes before settling what has ended

    def serve(self, completer: Completer, give_back: Callable[[], None]) -> None:
        """Take note of what a completer ends; `give_back` returns what has not begun."""
        if self._kept:
            completer.on_end, self._give_back = self.note, give_back

    def note(self, begun: Attempt | Ended, outcome: Outcome) -> None:
        """Take in how an attempt has ended."""
        task = begun.task
        kept = None if task is None else self._kept.get(task.name)
        if kept is None or task is None:
            return
        verdict = _verdict(kept.breaker, task, begun, outcome)
        if verdict is None:
            return
        now_s, is_error = self._clock(), isinstance(verdict, BaseException)
        with self._lock:
            attempts, errors = kept.tally.add(is_error, now_s)
            says_more = kept.standing is not None or (is_error and kept.breaker.rule.is_broken(attempts, errors))
            if not says_more and time.monotonic() < kept.look_at_s:
                return
            began_s = begun.started_at_s if isinstance(begun, Attempt) else now_s
            if len(kept.news) < _MOST_NEWS:
                text = f"{type(verdict).__name__}: {verdict}" if isinstance(verdict, BaseException) else None
                kept.news.append(_News(began_s, attempts, errors, text))
            self.has_news = True

    async def act(self, link: Link) -> None:
        """See what stands, and open and close what is to be. Raises what connections that have failed raise."""
        if not self._kept:
            return
        async with self._acting:  # who settles waits for what another has begun
            try:
                await self._act(link)
            finally:
                with self._lock:
                    self.has_news = any(kept.news for kept in self._kept.values())

    async def _act(self, link: Link) -> None:
        with self._lock:
            news = {name: kept.news for name, kept in self._kept.items() if kept.news}
            for name in news:
                self._kept[name].news = []
        standing: dict[str, Standing | None] = {**await standing_breakers(link)}
        for name, each in news.items():
            try:
                standing[name] = await self._judge(link, name, standing.get(name), each)
            except _BROKEN:
                raise
            except FaenaError as error:
                log.error("the circuit breaker of task '%s': %s", name, error)
        self._take_in(standing)

    async def _judge(self, link: Link, name: str, before: Standing | None, news: Sequence[_News]) -> Standing | None:
        """Return what stands now; carry it out where that is another."""
        rule, now_s, after = self._kept[name].breaker.rule, self._clock(), before
        was_closed = self._kept[name].standing is None
        for each in news:
            if after is not None:
                after = after.after(rule, each.began_s, now_s, each.error)
            elif before is None and was_closed and each.error and rule.is_broken(each.attempts, each.errors):
                after = opened(rule.pause_s, now_s, each.attempts, each.errors, each.error)
            if after is not before:
                break
        if after is before:
            return before
        if after is None:
            await close_breaker(link, name)
            log.warning("the circuit breaker of task '%s' is closed: a try has not failed", name)
        else:
            await set_breaker(link, name, after)
            log.warning("the circuit breaker of task '%s' is %s", name, after.text(now_s))
        return after

    def _take_in(self, standing: Mapping[str, Standing | None]) -> None:
        has_opened = False
        with self._lock:
            for name, kept in self._kept.items():
                found = standing.get(name)
                kept.look_at_s = time.monotonic() + _LOOK_EVERY_S
                if found != kept.standing:
                    has_opened |= found is not None and found.phase is Phase.OPEN
                    kept.standing = found
                    kept.tally.clear()  # what was before is no reason any more
        if has_opened:
            self._give_back()


def _verdict(
    breaker: Breaker, task: Task[..., Any], begun: Attempt | Ended, outcome: Outcome
) -> BaseException | bool | None:
    """Return the error that an attempt counts as, or False where it counts as none; None: it does not count."""
    match outcome:
        case Succeeded() | Replaced():
            return False
        case Failed(error=error) | Retried(error=error):
            if error is None or (isinstance(begun, Ended) and not isinstance(error, _OF_RUNS)):
                return None
            is_error = isinstance(error, breaker.errors) and not isinstance(error, tuple(task.throws))
            return error if is_error else False
    return None
