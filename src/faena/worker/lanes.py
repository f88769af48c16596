"""Where plain functions run: the main thread of a process, and further threads if asked for.

Lanes take deliveries from one deque, which the I/O thread fills and may empty again; what they finish goes into another.
The two sides exchange batches: a lane wakes the I/O thread once for many completions, never once per task.

To interrupt a lane, an exception is raised in it. In the main thread a signal does that, which also breaks a blocking call
(sleep, socket, lock); in other threads CPython can do it between two bytecodes only, so a blocking call ends first.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias
from weakref import ReferenceType, ref

from faena.backend import Completion
from faena.engine.attempt import Attempt, Ended, Runner
from faena.engine.batch import BatchRun, Bundle, flat
from faena.engine.completion import Completer
from faena.engine.hooks import call_hooks
from faena.engine.outcome import Outcome
from faena.engine.usual import Usual
from faena.errors import SoftTimeLimitExceeded, TimeLimitExceeded
from faena.model.control import TimeLimits
from faena.model.delivery import Delivery
from faena.model.event import Event
from faena.signals import ControlSignal
from faena.tasks.context import current_request
from faena.worker.refusals import Refusals
from faena.worker.slots import Slots

log = logging.getLogger("faena.worker")

WAKE_SIGNAL: int = getattr(signal, "SIGRTMAX", signal.SIGUSR2)
HARD_LIMIT_GRACE_S = 1.0  # between asking a task that is over its hard limit and killing its process

Finished: TypeAlias = tuple[Completion, Event, Delivery]
_SIGNALS = (ControlSignal, SoftTimeLimitExceeded, TimeLimitExceeded)


class Lane:
    """One thread that runs plain functions, one after the other."""

    __slots__ = ("_is_main", "_lock", "attempt", "began_s", "busy_s", "fetched", "finished", "hard_at_s", "index",
                 "pending", "ran", "soft_at_s", "thread_id")  # fmt: skip

    def __init__(self, index: int, *, is_main: bool) -> None:
        self.index, self._is_main = index, is_main
        self._lock = threading.Lock()  # an interruption hits the attempt it is meant for, or none
        self.attempt: Attempt | None = None  # what runs now
        self.began_s = self.soft_at_s = self.hard_at_s = 0.0  # monotonic; 0: none
        self.pending: BaseException | None = None  # to be raised in the attempt that runs
        self.ran, self.busy_s = 0, 0.0  # since the I/O thread looked
        self.fetched = self.finished = 0  # by itself (see `loans`), and in all; since the start
        self.thread_id = 0

    def interrupt(self, attempt: Attempt, error: BaseException) -> bool:
        """Raise `error` in the function that runs, if it is still that of `attempt`. From another thread."""
        with self._lock:
            if self.attempt is not attempt or self.pending is not None:
                return False
            self.pending = error
            if self._is_main:
                signal.pthread_kill(self.thread_id, WAKE_SIGNAL)
            else:
                _raise_in_thread(self.thread_id, type(error))
        return True

    def raise_pending(self) -> None:
        """Raise what `interrupt` left, in the main thread, when its signal has come."""
        if self.attempt is not None and self.pending is not None:
            error, self.pending = self.pending, None
            raise error

    def add(self, ran: int, busy_s: float) -> None:
        """Take in that so many tasks have run, and for how long in all."""
        self.ran += ran
        self.busy_s += busy_s

    def end(self) -> None:
        """Let go of the attempt; an interruption that came too late to hit it is forgotten."""
        while True:
            try:
                self.attempt = None  # first, and without a call: from here on the signal handler raises nothing
                if not self._lock.locked() and self.pending is None:
                    return  # in this order: who has the lock still may have seen the attempt, and nobody else will
                with self._lock:
                    if self.pending is not None:
                        self.pending = None
                        if not self._is_main:
                            _raise_in_thread(self.thread_id, None)
            except _SIGNALS:
                continue
            return


class Lanes:
    """All lanes of a process, with the deques that join them to the I/O thread."""

    def __init__(
        self,
        count: int,
        runner: Runner,
        completer: Completer,
        slots: Slots,
        *,
        limits: tuple[float | None, float | None],
        main: bool,
        wake_io: Callable[[bool], None],
        refill: Callable[[], None],
    ) -> None:
        self.todo: deque[Delivery | Bundle] = deque()
        self.done: deque[Finished] = deque()
        self.lanes = [Lane(index, is_main=main and index == 0) for index in range(count)]
        self.refill_at = 0  # wake the I/O thread when this many are left
        self.revoked: Callable[[Delivery], Ended | None] = lambda _: None
        self.refusals = Refusals(0.0)  # what `revoked` looks at
        self.time_limits: Mapping[str, TimeLimits] = {}  # ordered at run time, by task
        self.on_start: Callable[[Attempt], None] | None = None
        self.on_take: Callable[[Sequence[Delivery]], None] | None = None  # while somebody wants to hear of it
        self._runner, self._completer, self._slots = runner, completer, slots
        self.wake_io, self._refill, self._limits = wake_io, refill, limits
        self._loan: Callable[[Lane], None] | None = None
        self.is_copy = False  # a function has forked, and this is the copy
        os.register_at_fork(after_in_child=partial(_mark_copy, ref(self)))
        self._usual = Usual(runner, completer, completer.rules, runner.tasks)
        self._is_limited = limits != (None, None)
        self._handed_over = 0  # to the lanes, less what was taken back
        self._ready = threading.Condition()
        self._waiting = 0
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._has_main = main

    def start(self) -> None:
        """Start every lane but that of the main thread, which calls `run_main`."""
        for lane in self.lanes[1 if self._has_main else 0 :]:
            thread = threading.Thread(target=self._work, args=(lane,), name=f"faena-lane-{lane.index}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def run_main(self) -> None:
        """Work in the main thread until `close`."""
        lane = self.lanes[0]

        def on_signal(_number: int, _frame: Any) -> None:
            lane.raise_pending()

        signal.signal(WAKE_SIGNAL, on_signal)
        self._work(lane)

    def put(self, deliveries: Sequence[Delivery | Bundle]) -> None:
        """Hand over deliveries, or bundles of them; called by the I/O thread."""
        self._handed_over += len(deliveries)
        if self.on_take is not None:
            self.on_take(flat(deliveries))
        self.todo.extend(deliveries)
        if self._waiting:
            with self._ready:
                self._ready.notify(len(deliveries))

    def lend(self, work: Callable[[Lane], None]) -> None:
        """Have the main thread, which is idle, work for itself; called by the I/O thread. See `loans`."""
        with self._ready:
            self._loan = work
            self._ready.notify()

    def take_back(self, most: int | None = None) -> list[Delivery]:
        """Return what no lane has begun, at most so many of the last ones; called by the I/O thread."""
        back: list[Delivery | Bundle] = []
        while most is None or len(back) < most:
            try:
                back.append(self.todo.pop())
            except IndexError:
                break
        back.reverse()
        self._handed_over -= len(back)
        return flat(back)

    def held(self) -> int:
        """Return how many deliveries were handed over and are not finished yet; a bundle counts as one."""
        return self._handed_over + sum(lane.fetched - lane.finished for lane in self.lanes)

    def running(self) -> int:
        """Return how many of them a lane has taken."""
        return self.held() - len(self.todo)

    def interrupt(self, reason: ControlSignal, ids: set[str] | None = None) -> None:
        """Raise it in what runs; with `ids`, in those alone, and in no batch: its calls cannot be stopped one by one."""
        for lane in self.lanes:
            attempt = lane.attempt
            if attempt is None or (
                ids is not None and (attempt.calls is not None or attempt.delivery.message.id not in ids)
            ):
                continue
            lane.interrupt(attempt, type(reason)(*reason.args))

    def interrupt_overdue(self, now_s: float) -> list[float]:
        """Interrupt what has run for longer than it may; return how long each runs that does, seconds."""
        running_s: list[float] = []
        for lane in self.lanes:
            attempt = lane.attempt
            if attempt is None:
                continue
            if lane.hard_at_s and now_s >= lane.hard_at_s:
                lane.interrupt(attempt, hard_limit_of(attempt, lane.hard_at_s - lane.began_s))
                lane.hard_at_s = 0.0
            elif lane.soft_at_s and now_s >= lane.soft_at_s:
                lane.interrupt(attempt, SoftTimeLimitExceeded())
                lane.soft_at_s = 0.0
            running_s.append(now_s - lane.began_s)
        return running_s

    def limits_of(self, attempt: Attempt) -> tuple[float | None, float | None]:
        """Return the soft and the hard limit of an attempt, seconds: of the call, ordered, of the task, or the settings."""
        message, task = attempt.delivery.message, attempt.task
        soft_s, hard_s = self._limits
        soft_s, hard_s = task.soft_time_limit or soft_s, task.time_limit or hard_s
        if self.time_limits and (ordered := self.time_limits.get(task.name)) is not None:
            soft_s = soft_s if ordered.soft_s is None else ordered.soft_s
            hard_s = hard_s if ordered.hard_s is None else ordered.hard_s
        if attempt.calls is not None:  # of the calls that say one themselves, the smallest holds for the run
            messages = [call.request.message for call in attempt.calls if call.request.message is not None]
            own_soft_s = [each.soft_time_limit_s for each in messages if each.soft_time_limit_s]
            own_hard_s = [each.time_limit_s for each in messages if each.time_limit_s]
            return min(own_soft_s, default=soft_s), min(own_hard_s, default=hard_s)
        return message.soft_time_limit_s or soft_s, message.time_limit_s or hard_s

    def close(self) -> None:
        """Let each lane end when it is idle."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def join(self, timeout_s: float) -> None:
        for thread in self._threads:
            thread.join(timeout_s)

    # -- in the lane's thread ------------------------------------------------------------------------------

    def _work(self, lane: Lane) -> None:
        lane.thread_id = threading.get_ident()
        todo, done = self.todo, self.done
        while True:
            delivery: Delivery | Bundle | None
            try:
                delivery = todo.popleft()
            except IndexError:
                delivery = None  # nothing runs here: this error would be the context of the task's own
            if delivery is None:
                found = self._wait()
                if found is None:
                    return
                if not isinstance(found, Delivery | Bundle):
                    found(lane)
                    continue
                delivery = found
            began_s = time.monotonic()
            if isinstance(delivery, Delivery):
                done.append(self.run(lane, delivery, began_s))
            else:
                self._run_bundle(lane, delivery, began_s)
            lane.finished += 1
            if self.is_copy:  # nothing here is its to do
                os._exit(0)
            lane.add(1, time.monotonic() - began_s)
            left = len(todo)
            if left == self.refill_at:
                self._refill()
            if left == 0:
                self.wake_io(True)
            elif len(done) == 1:
                self.wake_io(False)

    def _wait(self) -> Delivery | Bundle | Callable[[Lane], None] | None:
        with self._ready:
            self._waiting += 1  # before the look: who puts something in after it sees that somebody waits
            try:
                while True:
                    try:
                        return self.todo.popleft()
                    except IndexError:
                        if self._loan is not None:
                            loan, self._loan = self._loan, None
                            return loan
                        if self._closed:
                            return None
                    self._ready.wait()
            finally:
                self._waiting -= 1

    def run(self, lane: Lane, delivery: Delivery, began_s: float) -> Finished:
        """Run a delivery to its end, and return what is to be settled; called in the lane's thread."""
        if self.on_start is None and not (self.refusals.is_any or self.time_limits or self._is_limited):
            attempt = self._usual.begin(delivery)
            if attempt is not None:
                return self._run_usual(lane, attempt, began_s)
        begun = self.revoked(delivery) or self._runner.begin(delivery)
        if type(begun) is Attempt:
            if self.on_start is not None:
                self.on_start(begun)
            outcome = self._run_attempt(lane, begun, began_s)
            if begun.task.hooks:
                call_hooks(begun, outcome)
        else:
            assert isinstance(begun, Ended)
            outcome = begun.outcome
        completion, event = self._completer.complete(begun, outcome)
        return completion, event, delivery

    def _run_usual(self, lane: Lane, attempt: Attempt, began_s: float) -> Finished:
        """What `_run_attempt` and those that it calls do, where there are neither limits nor hooks."""
        task, delivery, index = attempt.task, attempt.delivery, lane.index
        self._slots.begin(index, delivery.message.id, began_s, 0.0)
        lane.began_s, lane.hard_at_s, lane.soft_at_s = began_s, 0.0, 0.0
        outcome: Outcome | None = None
        value, has_succeeded = None, False
        try:
            lane.attempt = attempt
            token = current_request.set(attempt.request)
            try:
                try:
                    if task.is_bound:
                        value = task.function(task, *attempt.args, **attempt.kwargs)
                    else:
                        value = task.function(*attempt.args, **attempt.kwargs)
                    has_succeeded = True
                except BaseException as error:  # noqa: BLE001 - around user code
                    outcome = self._runner.outcome_of(attempt, error)
            finally:
                current_request.reset(token)
            lane.end()
        except _SIGNALS as late:  # it came when the function had ended already, or not yet begun
            lane.attempt = None
            if outcome is None and not has_succeeded:
                outcome = self._runner.outcome_of(attempt, late)
            lane.end()
        self._slots.clear(index)
        if has_succeeded:
            completion, event = self._usual.succeeded(attempt, value)
        else:
            assert outcome is not None
            completion, event = self._completer.complete(attempt, outcome)
        return completion, event, delivery

    def _run_bundle(self, lane: Lane, bundle: Bundle, began_s: float) -> None:
        batch = BatchRun(self._runner, [self.revoked(each) or self._runner.begin(each) for each in bundle.deliveries])
        if self.on_start is not None:
            for member in batch.members:
                self.on_start(member)
        whole = self._run_attempt(lane, batch.whole, began_s) if batch.whole is not None else None
        for begun, outcome in batch.outcomes(whole):
            if type(begun) is Attempt and begun.task.hooks:
                call_hooks(begun, outcome)
            completion, event = self._completer.complete(begun, outcome)
            self.done.append((completion, event, begun.delivery))
        self.wake_io(True)

    def _run_attempt(self, lane: Lane, attempt: Attempt, began_s: float) -> Outcome:
        soft_s, hard_s = self.limits_of(attempt)
        hard_at_s = began_s + hard_s if hard_s else 0.0
        kill_at_s = hard_at_s + HARD_LIMIT_GRACE_S if hard_at_s else 0.0
        is_batch = attempt.calls is not None
        self._slots.begin(lane.index, attempt.delivery.message.id, began_s, kill_at_s, is_batch=is_batch)
        lane.began_s, lane.hard_at_s = began_s, hard_at_s
        lane.soft_at_s = began_s + soft_s if soft_s else 0.0
        outcome: Outcome | None = None
        try:
            lane.attempt = attempt
            outcome = self._runner.run(attempt)
            lane.end()
        except _SIGNALS as late:  # it came when the function had ended already, or not yet begun
            lane.attempt = None
            if outcome is None:
                outcome = self._runner.outcome_of(attempt, late)
            lane.end()
        self._slots.clear(lane.index)
        return outcome


def hard_limit_of(attempt: Attempt, limit_s: float) -> TimeLimitExceeded:
    """Return what is raised in a task that has run for longer than it may."""
    return TimeLimitExceeded(f"task '{attempt.task.name}' ran longer than its time limit of {limit_s:g} s")


def _raise_in_thread(thread_id: int, kind: type[BaseException] | None) -> None:
    """Raise `kind` in a thread at its next bytecode; None takes back what was not raised yet."""
    what = ctypes.py_object(kind) if kind is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), what)


def _mark_copy(lanes: ReferenceType[Lanes]) -> None:
    found = lanes()
    if found is not None:
        found.is_copy = True


def drain(source: deque[Any], most: int) -> list[Any]:
    """Take out what another thread puts in."""
    found: list[Any] = []
    try:
        while len(found) < most:
            found.append(source.popleft())
    except IndexError:
        pass
    return found
