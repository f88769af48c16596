"""The inside of a worker process: an I/O thread that fetches, settles and runs coroutines, and lanes for plain functions.

    broker ──receive──▶ I/O thread ──batches──▶ lanes (main thread, threads)
      ▲                  │  ▲  ▲                   │
      └──complete────────┘  │  └── coroutines      │
                            └────── completions ◀──┘

What is fetched is held under the lease of one holder. Everything that ends goes through `complete`, where the broker checks
the holder: what was taken away meanwhile is dropped, and said so. Any error of the broker tears the connection down and
builds it anew with a growing pause (law 10); completions wait in memory, under the lease, until they are settled.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from faena.app.links import Link
from faena.backend import Completion
from faena.engine.attempt import Attempt, Ended, Runner
from faena.engine.batch import Bundle, flat
from faena.engine.completion import Completer, outdated
from faena.engine.outcome import Revoked
from faena.errors import LeaseLost
from faena.model.control import Order
from faena.model.delivery import Bury, DeadReason, Delivery, Malformed, Release, VerdictKind
from faena.model.event import EventKind
from faena.model.inputs import Outdated
from faena.model.result import ResultRecord
from faena.scheduler.loop import Scheduler
from faena.signals import ControlSignal, Interrupted, Terminated
from faena.sink import Sink
from faena.tasks.task import Task
from faena.worker.batches import Batches
from faena.worker.begun import Begun
from faena.worker.broadcasting import Broadcasts
from faena.worker.connection import BROKEN
from faena.worker.coroutines import Coroutines
from faena.worker.describe import described, described_runs, lost, released
from faena.worker.event_loop import loop_factory
from faena.worker.joined import joined
from faena.worker.lanes import Finished, Lanes, drain
from faena.worker.limits import Limiter
from faena.worker.loans import Loans
from faena.worker.options import CoreOptions
from faena.worker.refusals import Refusals
from faena.worker.slots import Slots
from faena.worker.telling import Telling
from faena.worker.vital import vital
from faena.worker.window import LARGEST, Window

if TYPE_CHECKING:
    from faena.app.app import Faena

log = logging.getLogger("faena.worker")

_WAIT_S = 8.0  # of one fetch; a waiting worker turns its loop this often
_FLUSH_AFTER_S, _FLUSH_AT, _FLUSH_MOST = 0.005, 64, 1000
_TICK_S, _SHORT_TICK_S = 0.1, 0.01
_GIVE_BACK_AFTER_S, _MEASURED_S = 0.2, 0.05
_REFILL_COROUTINES_AT = 8


class Core:
    """One process's worth of work. Start it, let a thread run the main lane if it has one, stop it."""

    def __init__(
        self,
        app: Faena,
        options: CoreOptions,
        slots: Slots,
        *,
        sinks: Sequence[Sink] = (),
        main_lane: bool,
        on_end: Callable[[str], None] = lambda _: None,
        on_limit: Callable[[], None] = lambda: None,
    ) -> None:
        self.app, self.options, self._slots = app, options, slots
        self._on_end, self._on_limit = on_end, on_limit
        self._runner = Runner(
            app.tasks, app.codecs, hostname=options.hostname, crash_limit=options.crash_limit,
            acks_late=options.acks_late, clock=app.clock,
        )  # fmt: skip
        self._completer = Completer(app.codecs, app.sender, app.rules(options.hostname), app.tasks, clock=app.clock)
        self._telling = Telling(sinks, self._completer)
        self._broadcasts = Broadcasts(app, options.hostname, self._runner, self._completer, self._revoked_in_lane)
        self.lanes = Lanes(
            options.threads, self._runner, self._completer, slots, limits=(options.soft_time_limit_s, options.time_limit_s),
            main=main_lane, wake_io=self._wake_from_lane, refill=lambda: self.call(self._look_for_room),
        )  # fmt: skip
        self.lanes.revoked = self._revoked_in_lane
        tracks = options.track_started or any(task.track_started for task in app.tasks.values())
        self.lanes.on_start = self._started_in_lane if tracks else None
        self._window = Window(options.threads, options.prefetch)
        self._coroutines = Coroutines(
            options.coroutines, self._runner, self._completer, slots, self.lanes, finished=self._finished_coroutine
        )
        self._batches = Batches(self._start_batch, lambda: bool(self._alone or self._suspects))
        self._is_gathering = False  # the last messages were all of batch tasks
        self._suspects: deque[Delivery] = deque()  # may have crashed a process: each runs alone
        self._alone: str | None = None  # the id of the one that runs
        self._has_coroutines = any(task.is_coroutine for task in app.tasks.values())
        self._has_functions = not all(task.is_coroutine for task in app.tasks.values())
        self._limits = Limiter(app, self._runner)
        self._limits.breakers.serve(self._completer, self._give_back_unbegun)
        self._loans = Loans(
            app, options, self._runner, self.lanes, self._limits,
            has_main=main_lane, call=self.call, look=lambda: self._busy.set(),
        )  # fmt: skip
        self._begun = Begun()
        self._started_records: deque[ResultRecord] = deque()
        self._refusals = self.lanes.refusals = Refusals(app.conf.worker_revokes_expire)
        self._paused: frozenset[str] = frozenset()
        self.done_count = self.failed_count = 0
        self._stopping: str | None = None
        self._is_fetching, self._dirty = True, False
        self._in_flight = 0  # finished, and being settled now
        self._is_plain = False  # the last messages were all functions: there need not be room for coroutines
        self._plain_is_full = False  # a function came for which there is no room; see _limit
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run_loop, name="faena-io", daemon=True)
        self._started = threading.Event()

    # -- from any thread -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the I/O thread and the lanes, and return when the loop turns."""
        self._thread.start()
        self._started.wait()
        self.lanes.start()

    def join(self, timeout_s: float | None = None) -> None:
        self._thread.join(timeout_s)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Run `function` in the I/O thread."""
        assert self.loop is not None
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop has ended: there is nothing left to do it to
            pass

    def stop(self, reason: str = "stop") -> None:
        """Take nothing more, hand back what has not begun, finish the rest, end."""
        self.call(self._begin_stop, reason)

    def interrupt(self) -> None:
        """Ask the tasks that run to stop; they go back to their queue."""
        self.call(self._interrupt_all)

    def revoke(self, ids: Sequence[str], terminate: bool, remember: bool = True) -> None:
        """Do not run these; with `terminate`, ask those that run to end. `remember`: refuse those that come later, too."""
        self.call(self._revoke, tuple(ids), terminate, remember)

    def unrevoke(self, ids: Sequence[str]) -> None:
        """Run these again when they come."""
        self.call(self._refusals.remove, tuple(ids))

    def obey(self, order: Order) -> list[str]:
        """Take an order; return the ids of what runs and that it would end. To be called in the I/O thread."""
        rule = self._refusals.obey(order)
        self._follow_orders()
        if rule is None:
            return []
        running = [each.delivery.message for each in self.attempts() if each.calls is None]  # a batch stops as a whole only
        return [message.id for message in running if rule.matches(message)]

    def withdraw(self, kind: str, names: Sequence[str]) -> None:
        """Obey these orders no more. To be called in the I/O thread."""
        self._refusals.withdraw(kind, names)
        self._follow_orders()

    def consume(self, queues: Sequence[str]) -> None:
        """Take from these queues from now on; what has not begun goes back. To be called in the I/O thread."""
        queues = self._broadcasts.with_copies(queues)
        self.connection.consume(queues)
        self._loans.consume(queues)
        self._give_back_unbegun()

    def active(self) -> list[dict[str, Any]]:
        """Return what runs now. To be called in the I/O thread."""
        now_s = time.time()
        return [found for attempt in self.attempts() for found in described_runs(attempt, now_s)]

    def reserved(self) -> list[dict[str, Any]]:
        """Return what is held and has not begun. To be called in the I/O thread."""
        return [described(delivery) for delivery in self.held()]

    def held(self) -> list[Delivery]:
        return [*flat([*self.lanes.todo, *self._coroutines.todo]), *self._batches.waiting(), *self._suspects]

    # -- the I/O thread ------------------------------------------------------------------------------------

    def _run_loop(self) -> None:
        factory = loop_factory()
        with asyncio.Runner(loop_factory=factory) as loop_runner:
            loop_runner.run(self._main())

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._room, self._busy = asyncio.Event(), asyncio.Event()
        self._to_flush, self._ended = asyncio.Event(), asyncio.Event()
        self.connection = joined(
            self.app.links, self.options, self._broadcasts.with_copies(self.options.queues),
            on_open=self._load_orders, on_lost=self._give_back_unbegun, on_given_away=self._give_up,
        )  # fmt: skip
        self._room.set()
        self._started.set()
        try:
            async with asyncio.TaskGroup() as group:
                self._coroutines.group = group
                loops = [group.create_task(vital(work)) for work in (self._flush_forever(), self._tick_forever())]
                if self.options.schedules:
                    scheduler = Scheduler(self.options.hostname, self.connection.link, app=self.app)
                    loops.append(group.create_task(vital(scheduler.run_forever())))
                group.create_task(vital(self._fetch()))
                await self._ended.wait()
                for loop in loops:
                    loop.cancel()
        finally:
            self.lanes.close()
            self._telling.close()
            await self.connection.close()
            self._on_end(self._stopping or "failed")

    # -- fetching ------------------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        while not self._stopping:
            await self._room.wait()
            limit = self._limit()
            if limit <= 0:
                self._room.clear()
                continue
            if self._is_gathering and self.options.max_tasks is None:
                limit = max(limit, min(self._batches.missing(), LARGEST))
            if self._would_lend() and self._is_unsettled():  # as soon as what is at hand has ended
                self._room.clear()
                continue
            try:
                if self._would_lend():
                    batch = await self.connection.wanted(await self._loans.lend())
                else:
                    batch = await self.connection.receive(limit, _WAIT_S)
                    self._window.fetched(limit, len(batch))
                    self._loans.fetched(batch)
            except LeaseLost as error:
                log.error("%s; this process is replaced", error)
                self._stopping = "lease lost"
                self._interrupt_all()
                self._ended.set()
                return
            except BROKEN as error:
                await self.connection.mistrust(error)
                continue
            if batch:
                batch = await self.connection.with_inputs(batch)
                await self._take(await self._broadcasts.spread(batch, self.connection, self._telling.tell))
        self._is_fetching = False
        self._finish_if_idle()

    def _limit(self) -> int:
        """Return how many messages there is room for now.

        A fetch cannot choose between functions and coroutines. While functions are busy for long, coroutines are looked for
        one at a time, until a function comes that would have to wait: it goes back, for other processes.
        """
        if self._suspects or self._alone or self._stopping:
            return 0
        held = self.lanes.held()
        plain = self._window.size - held if held <= self._window.refill_at else 0
        if self.options.max_tasks is not None:
            plain = max(0, min(plain, self._tasks_left()))
        if not self._has_coroutines:
            return plain
        free = self._coroutines.room()
        enough = free if free >= min(_REFILL_COROUTINES_AT, self.options.coroutines) else 0
        if self.options.max_tasks is not None:
            enough = max(0, min(enough, self._tasks_left()))
        if not self._has_functions:
            return min(enough, LARGEST)
        if plain:
            return plain if enough and self._is_plain else min(plain, enough)
        return 1 if enough and held >= self._window.size and not self._plain_is_full else 0

    def _tasks_left(self) -> int:
        """Return how many tasks this process may still take before it is replaced."""
        held = self.lanes.held() + len(self._coroutines) + len(self._coroutines.todo) + len(self.lanes.done)
        held += len(self._batches)
        return (self.options.max_tasks or 0) - self.done_count - self._in_flight - held

    def _would_lend(self) -> bool:
        """Whether the main thread may fetch for itself, if it has nothing to do: there were functions only of late."""
        if self._is_gathering or self._stopping or self._batches or (self._has_coroutines and not self._is_plain):
            return False
        others = self._suspects or self._coroutines or self._coroutines.todo
        return not others and self._loans.may_lend() and self.connection.may_be_two

    def _is_unsettled(self) -> bool:
        return bool(self.lanes.held() or self.lanes.done or self._in_flight or self._loans.is_settling)

    async def _take(self, batch: Sequence[Delivery | Malformed]) -> None:
        plain: list[Delivery] = []
        coroutines: list[Delivery] = []
        back: list[Completion] = []
        early: list[Delivery] = []
        gathered: list[Delivery] = []
        full = self.lanes.held() >= self._window.size
        free = self._coroutines.room()
        for item in batch:
            if isinstance(item, Malformed):
                log.error("buried a malformed message of queue '%s': %s", item.queue, item.reason)
                back.append(Completion(Bury(item, DeadReason.MALFORMED, item.reason)))
                continue
            if item.ended is not None:
                back.append(self._completer.ended_before(item))
                continue
            if type(item.input) is Outdated:
                back.append(outdated(item))
                continue
            if self._limits.is_any and (to_its_lane := self._limits.sent_back(item)) is not None:
                back.append(to_its_lane)
                continue
            task = self.app.tasks.get(item.message.task)
            is_coroutine = task is not None and task.is_coroutine
            if self._stopping or (len(coroutines) >= free if is_coroutine else full):
                self._plain_is_full = self._plain_is_full or not (self._stopping or is_coroutine)
                back.append(Completion(Release(item)))
                continue
            if task is not None and not self._runner.acks_late(task):
                early.append(item)
            if item.crashes and item.verdict is not None and item.verdict.kind is VerdictKind.CRASHED:
                self._suspects.append(item)
            elif task is not None and task.batch is not None:
                gathered.append(item)
            elif is_coroutine:
                coroutines.append(item)
            else:
                plain.append(item)
        self._is_plain = bool(plain) and not coroutines
        self._is_gathering = 0 < len(gathered) == len(batch)
        if back:
            await self.connection.complete(back)
        if early:
            lost = await self._begun.note(self.connection, early)
            plain, coroutines, gathered = [
                [item for item in part if item.message.id not in lost] for part in (plain, coroutines, gathered)
            ]  # fmt: skip
        self._busy.set()
        self._coroutines.put(coroutines)
        if plain:
            self.lanes.refill_at = max(0, self._window.refill_at - self.options.threads)
            self.lanes.put(plain)
        for item in gathered:
            self._gather(item)
        self._start_suspect()
        self._look_for_room()

    def _gather(self, item: Delivery) -> None:
        task = self.app.tasks[item.message.task]
        if self._stopping:  # it was taken before
            self._start_batch(task, Bundle((item,)))
        else:
            self._batches.add(task, item)

    def _start_batch(self, task: Task[..., Any], bundle: Bundle) -> None:
        (self._coroutines if task.is_coroutine else self.lanes).put([bundle])
        self._busy.set()

    def _start_suspect(self) -> None:
        """Run what may have crashed a process, when nothing else runs here: then there is no doubt who did it."""
        if not self._suspects or self._alone or self.lanes.held() or self._coroutines or self._coroutines.todo:
            return
        delivery = self._suspects.popleft()
        self._alone = delivery.message.id
        task = self.app.tasks.get(delivery.message.task)
        if task is not None and task.batch is not None:
            self._start_batch(task, Bundle((delivery,)))
        elif task is not None and task.is_coroutine:
            self._coroutines.put([delivery])
        else:
            self.lanes.put([delivery])

    def _look_for_room(self) -> None:
        if self._limit() > 0:
            self._room.set()

    # -- completing ----------------------------------------------------------------------------------------

    def _wake_from_lane(self, now: bool) -> None:
        """Called by a lane. Once for many completions: the flag says that the loop knows already."""
        if now or not self._dirty:
            self._dirty = True
            self.call(self._flush_soon, now)

    def _finished_coroutine(self, finished: Finished) -> None:
        self.lanes.done.append(finished)
        self._flush_soon(not self._coroutines)
        self._look_for_room()

    def _flush_soon(self, now: bool) -> None:
        if now or len(self.lanes.done) >= _FLUSH_AT:
            self._to_flush.set()
        elif self.loop is not None:
            self.loop.call_later(_FLUSH_AFTER_S, self._to_flush.set)

    async def _flush_forever(self) -> None:
        while True:
            await self._to_flush.wait()
            self._to_flush.clear()
            self._dirty = False  # before the draining: a late completion asks again
            self._look_for_room()
            while self.lanes.done:
                await self._flush()
            if self._started_records:
                await self.connection.record(drain(self._started_records, _FLUSH_MOST))
            self._finish_if_idle()

    async def _flush(self) -> None:
        finished = drain(self.lanes.done, _FLUSH_MOST)
        self._in_flight += len(finished)
        if self._alone and any(item[2].message.id == self._alone for item in finished):
            self._alone = None
        self._measure()
        self._plain_is_full = False
        self._look_for_room()
        finished = self._begun.undone(finished)
        if self._limits.breakers.has_news:  # before anything can begin in the place of what has ended
            await self.connection.do(self._limits.breakers.act)
        await self.connection.settle(finished, self._settled)

    def _settled(self, finished: Sequence[Finished], ours: Sequence[bool]) -> None:
        """Tell and count what was settled, and let others begin in its place."""
        self._tell(finished, ours)
        self._in_flight -= len(finished)
        self._count(finished)
        self._start_suspect()
        self._look_for_room()
        self._finish_if_idle()
        if self.connection.is_receiving and self._would_lend() and not self._is_unsettled():
            self.connection.interrupt()

    def _collect(self) -> None:
        """Tell and count what the main thread has settled by itself."""
        for finished, ours in drain(self._loans.settled, len(self._loans.settled)):
            self._tell(finished, ours)
            self._count(finished)
            self._measure()

    def _tell(self, finished: Sequence[Finished], ours: Sequence[bool]) -> None:
        events = [item[1] for item in finished]
        if not all(ours):
            events = [event if kept else lost(event) for event, kept in zip(events, ours, strict=True)]
        self._telling.tell(events)

    def _count(self, finished: Sequence[Finished]) -> None:
        kinds = [item[1].kind for item in finished]
        self.done_count += len(kinds) - kinds.count(EventKind.TASK_RELEASED)
        self.failed_count += kinds.count(EventKind.TASK_FAILED)
        limit = self.options.max_tasks
        if limit is not None and self.done_count >= limit and not self._stopping:
            self._begin_stop("max_tasks_per_child")

    def _measure(self) -> None:
        tasks = sum(lane.ran for lane in self.lanes.lanes)
        busy_s = sum(lane.busy_s for lane in self.lanes.lanes)
        if busy_s < _MEASURED_S and self._loans.runs_many:  # one that was held up for a moment says nothing of the rest
            return
        for lane in self.lanes.lanes:
            lane.ran, lane.busy_s = 0, 0.0
        self._window.measured(tasks, busy_s)
        if self.options.prefetch is None and (surplus := self._window.surplus(len(self.lanes.todo))):
            self._give_back(self.lanes.take_back(surplus))

    # -- limits, revocations, stopping ---------------------------------------------------------------------

    async def _tick_forever(self) -> None:
        while True:
            self._collect()
            self._slots.beat(self._running(), self.done_count, self.failed_count)
            if self._loans.watch() or self._running() or self.lanes.todo:  # in this order, see `watch`
                await asyncio.sleep(_SHORT_TICK_S if self._loans.runs_many else _TICK_S)
            else:
                self._busy.clear()
                try:
                    async with asyncio.timeout(_WAIT_S):  # wait_for can swallow a cancellation (CPython issue 86296)
                        await self._busy.wait()
                except TimeoutError:
                    continue
            self._check_lanes()

    def _check_lanes(self) -> None:
        now_s = time.monotonic()
        running_s = self.lanes.interrupt_overdue(now_s)
        if self.lanes.done and any(each_s > _FLUSH_AFTER_S for each_s in running_s):  # left there by `loans`
            self._to_flush.set()
        slow = sum(each_s > _GIVE_BACK_AFTER_S for each_s in running_s)
        if slow == len(self.lanes.lanes):
            self._window.slowed()
            self._loans.slowed()
            self._room.set()
            if self.lanes.todo and self.options.prefetch is None:
                self._give_back(self.lanes.take_back())

    def _give_back(self, deliveries: list[Delivery]) -> None:
        """Hand unstarted work to those who have time for it."""
        if deliveries:
            self.lanes.done.extend([(Completion(Release(item)), released(item), item) for item in deliveries])
            self._to_flush.set()

    def _give_back_unbegun(self, more: Sequence[Delivery] = ()) -> None:
        """Let go of what has not begun. Where the connection has gone with it, that says only that it does not run here."""
        self._give_back([*self.lanes.take_back(), *self._coroutines.take_back(), *self._batches.take_back(), *more])

    def attempts(self) -> list[Attempt]:
        """Return what runs."""
        in_lanes = [lane.attempt for lane in self.lanes.lanes]
        return [*(attempt for attempt in in_lanes if attempt is not None), *self._coroutines.attempts()]

    def _running(self) -> int:
        return self.lanes.running() + len(self._coroutines)

    def _give_up(self, source: str) -> None:
        """End what runs of a broker that has given it to others, and let go of what has not begun."""
        ids = {each.delivery.message.id for each in self.attempts() if each.delivery.source == source}
        self._interrupt(Interrupted(f"broker '{source}' has given it to others"), ids)
        self._give_back_unbegun()

    def _begin_stop(self, reason: str) -> None:
        if self._stopping:
            return
        self._stopping = reason
        if reason != "stop":
            self._on_limit()
        self._room.set()
        self.connection.interrupt()
        self._loans.recall()
        self._give_back_unbegun([*self._suspects])
        self._suspects.clear()
        self._to_flush.set()

    def _finish_if_idle(self) -> None:
        if not (self._is_fetching or self._coroutines or self._is_unsettled()):
            self._collect()
            self._ended.set()

    def _interrupt_all(self) -> None:
        self._interrupt(Interrupted("the worker stops"))

    def _interrupt(self, reason: ControlSignal, ids: set[str] | None = None) -> None:
        self.lanes.interrupt(reason, ids)
        self._coroutines.interrupt(reason, ids)

    def _revoke(self, ids: Sequence[str], terminate: bool, remember: bool) -> None:
        if remember:
            self._refusals.add(ids)
        if terminate:
            self._interrupt(Terminated("revoked"), set(ids))

    def _revoked_in_lane(self, delivery: Delivery) -> Ended | None:
        if self._refusals.is_any and self._refusals.refuses(delivery.message):
            return Ended(delivery, Revoked("was revoked"), self.app.tasks.get(delivery.message.task))
        return None

    def look_at_limits(self) -> None:
        if self._coroutines.group is not None:
            self._coroutines.group.create_task(self.connection.do(self._limits.load))

    async def _load_orders(self, link: Link) -> None:
        await self._limits.load(link)
        await self._refusals.load(link)
        self._follow_orders()

    def _follow_orders(self) -> None:
        """Let those who run and fetch know what stands; when other queues are paused, what has not begun goes back."""
        self.lanes.time_limits = self._refusals.time_limits
        if self._refusals.paused != self._paused:
            self._paused = self._refusals.paused
            log.info("queues that are paused: %s", ", ".join(sorted(self._paused)) or "none")
            self.connection.skip(self._paused)
            self._give_back_unbegun()

    def _started_in_lane(self, attempt: Attempt) -> None:
        wanted = attempt.task.track_started
        if self.options.track_started if wanted is None else wanted:
            attempt.started_at_s = time.time()
            record = self._completer.started(attempt)
            if record is not None:
                self._started_records.append(record)
                self.call(self._to_flush.set)
