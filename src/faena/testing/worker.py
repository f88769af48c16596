"""Workers for tests: in this process, with the same inside as those in production.

`run_pending` runs what waits in the calling thread, one task after the other, and returns: for unit tests, and with a clock
that is moved by hand. `InProcessWorker` works in threads beside the test: for what needs tasks that wait for one another.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from faena._lib.drive import run
from faena.app.app import Faena
from faena.app.links import Link
from faena.backend import JointSettler
from faena.broker import Consumer
from faena.engine.attempt import Attempt, Ended, Runner
from faena.engine.batch import BatchRun
from faena.engine.completion import Completer, FourSteps
from faena.engine.hooks import call_hooks
from faena.engine.outcome import Outcome, Revoked
from faena.model.delivery import Ack, Bury, DeadReason, Delivery, Malformed
from faena.model.event import Event, EventKind
from faena.model.inputs import Outdated
from faena.scheduler.breakers import turn_breakers
from faena.scheduler.declaring import Declarer
from faena.scheduler.loop import do_duties
from faena.scheduler.ticking import Ticker
from faena.worker.broadcasting import Broadcasts
from faena.worker.choice import chosen
from faena.worker.core import Core
from faena.worker.limits import Limiter
from faena.worker.options import CoreOptions
from faena.worker.refusals import Refusals
from faena.worker.slots import Slots

_LEASE_S = 3600.0  # nobody takes a test's work away
_HOSTNAME = "test"


def run_pending(
    app: Faena, *, queues: Sequence[str] | None = None, most: int = 10_000, was_down: bool = False
) -> list[Event]:
    """Run every task that is due, and those that they send, until none is left; return what happened.

    Schedules tick as if a scheduler had been there all the time that the app's clock has passed, each tick when those
    before it have run. With `was_down` none has been: what is due now was missed, or is late.
    Raises AssertionError after `most` tasks: they seem to send one another for ever.
    """
    link = app.links.blocking()
    holder = run(link.broker.leases.open_holder("run_pending", _LEASE_S))
    choice = chosen(app, tuple(queues or ()), ())
    runner = Runner(app.tasks, app.codecs, hostname=_HOSTNAME, crash_limit=app.conf.task_crash_limit, clock=app.clock)
    completer = Completer(app.codecs, app.sender, app.rules(_HOSTNAME), app.tasks, clock=app.clock)
    broadcasts = Broadcasts(app, _HOSTNAME, runner, completer)
    consumer = link.broker.consumer(holder, broadcasts.with_copies(choice.queues), choice.taking)
    settler = link.backend.joint(link.broker, holder) or FourSteps(link.broker, consumer, link.backend)
    refusals = Refusals(app.conf.worker_revokes_expire)
    limiter = Limiter(app, runner)
    run(limiter.load(link))
    limiter.breakers.serve(completer, lambda: None)
    events: list[Event] = []
    gathered: dict[str, list[Delivery]] = {}  # of batch tasks, by name
    ticker = Ticker(app)
    try:
        if not app.declared.is_empty:
            run(Declarer(app).keep(link, at_once=True))
        while True:
            if limiter.breakers.has_news:
                run(limiter.breakers.act(link))
            batch = _next(link, consumer, app)
            if not batch and gathered:  # nothing else is due: no company will come
                events += _run_batch(runner, completer, settler, gathered.pop(next(iter(gathered))), refusals)
                continue
            batch = batch or _next_tick(link, consumer, ticker, app.clock(), was_down=was_down)
            if not batch:
                break
            item = batch[0]
            run(refusals.load(link))  # tasks revoke tasks
            if isinstance(item, Malformed):
                run(consumer.settle([Bury(item, DeadReason.MALFORMED, item.reason)]))
                continue
            if item.message.member is not None:
                item = replace(item, input=run(link.backend.workflows.inputs([item.message.member]))[0])
                if isinstance(item.input, Outdated):
                    run(consumer.settle([Ack(item)]))
                    continue
            if broadcasts.concerns(item) and (copied := broadcasts.copied(item, ())) is not None:
                run(settler.complete([copied[0]]))
                events.append(copied[1])
                continue
            if limiter.is_any and (to_its_lane := limiter.sent_back(item)) is not None:
                run(settler.complete([to_its_lane]))
                continue
            task = app.tasks.get(item.message.task)
            if task is not None and task.batch is not None:
                together = gathered.setdefault(task.name, [])
                together.append(item)
                if len(together) >= task.batch.size:
                    events += _run_batch(runner, completer, settler, gathered.pop(task.name), refusals)
            else:
                completion, event = completer.complete(*_run_one(runner, item, refusals))
                run(settler.complete([completion]))
                events.append(event)
            if len(events) >= most:
                raise AssertionError(f"{most} tasks have run and still more wait; the last one was {item.message.task}")
    finally:
        run(consumer.close())
        run(link.broker.leases.recover(holder, {}))
    return events


def _next(link: Link, consumer: Consumer, app: Faena) -> Sequence[Delivery | Malformed]:
    """Return the next message, if one is due now; those that a scheduler would wake are."""
    batch = run(consumer.receive(1, 0.0))
    if not batch:
        run(do_duties(link, grace_s=0.0))
        run(turn_breakers(link, app.clock(), app.tasks))
        batch = run(consumer.receive(1, 0.0))
    return batch


def _next_tick(
    link: Link, consumer: Consumer, ticker: Ticker, now_s: float, *, was_down: bool
) -> Sequence[Delivery | Malformed]:
    """Return the next message that a schedule sends, if there is one up to now."""
    batch: Sequence[Delivery | Malformed] = ()
    while not batch and (due_s := run(link.backend.schedules.next_due_s())) is not None and due_s <= now_s:
        run(ticker.send_due(link, now_s if was_down else due_s, sent_at_s=now_s))
        batch = run(consumer.receive(1, 0.0))
    return batch


def _run_one(runner: Runner, delivery: Delivery, refusals: Refusals) -> tuple[Attempt | Ended, Outcome]:
    begun = _begin(runner, delivery, refusals)
    if not isinstance(begun, Attempt):
        return begun, begun.outcome
    outcome = _run(runner, begun)
    call_hooks(begun, outcome)
    return begun, outcome


def _run_batch(
    runner: Runner,
    completer: Completer,
    settler: JointSettler | FourSteps,
    deliveries: Sequence[Delivery],
    refusals: Refusals,
) -> list[Event]:
    batch = BatchRun(runner, [_begin(runner, each, refusals) for each in deliveries])
    events = []
    for begun, outcome in batch.outcomes(_run(runner, batch.whole) if batch.whole is not None else None):
        if isinstance(begun, Attempt):
            call_hooks(begun, outcome)
        completion, event = completer.complete(begun, outcome)
        run(settler.complete([completion]))
        events.append(event)
    return events


def _begin(runner: Runner, delivery: Delivery, refusals: Refusals) -> Attempt | Ended:
    begun = runner.begin(delivery)
    return Ended(delivery, Revoked("was revoked"), begun.task) if refusals.refuses(delivery.message) else begun


def _run(runner: Runner, begun: Attempt) -> Outcome:
    if begun.task.is_coroutine:

        async def whole() -> Outcome:
            current = asyncio.current_task()
            assert current is not None
            return await runner.run_coroutine(begun, current.uncancel)

        return asyncio.run(whole())
    return runner.run(begun)


class Recorder:
    """A sink that keeps what happens; `wait_for` waits for it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def emit(self, events: Sequence[Event]) -> None:
        with self._changed:
            self.events.extend(events)
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing to let go of."""

    def wait_for(self, kind: EventKind, count: int = 1, timeout: float = 10.0) -> list[Event]:
        """Wait until so many events of a kind have come; return them. Raises TimeoutError."""

        def found() -> list[Event]:
            return [event for event in self.events if event.kind is kind]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= count, timeout):
                raise TimeoutError(f"{len(found())} of {count} events '{kind.value}' came within {timeout:g} s")
            return found()


class InProcessWorker:
    """A worker in threads of this process, for the time of a `with` block.

    What it does not have is what only processes can do: hard limits that kill, crashes, recycling.
    """

    def __init__(
        self,
        app: Faena,
        *,
        queues: Sequence[str] | None = None,
        threads: int = 1,
        coroutines: int = 100,
        stop_timeout: float = 10.0,
    ) -> None:
        self.app, self.recorder = app, Recorder()
        self._choice = chosen(app, tuple(queues or ()), ())
        self._threads, self._coroutines, self._stop_timeout_s = threads, coroutines, stop_timeout

    @property
    def events(self) -> list[Event]:
        """What has happened so far."""
        return list(self.recorder.events)

    def __enter__(self) -> Self:
        conf = self.app.conf
        link = self.app.links.blocking()
        self._holder = run(link.broker.leases.open_holder("in-process", _LEASE_S))
        self._slots = Slots.create(self._threads + self._coroutines)
        options = CoreOptions(
            holder=self._holder,
            queues=self._choice.queues,
            taking=self._choice.taking,
            hostname=_HOSTNAME,
            threads=self._threads,
            coroutines=self._coroutines,
            crash_limit=conf.task_crash_limit,
            acks_late=conf.task_acks_late,
            track_started=conf.task_track_started,
            soft_time_limit_s=conf.task_soft_time_limit,
            time_limit_s=conf.task_time_limit,
        )
        self._core = Core(self.app, options, self._slots, sinks=[self.recorder], main_lane=False)
        self._core.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._core.stop()
        self._core.join(self._stop_timeout_s)
        if self._core.is_alive():
            self._core.interrupt()
            self._core.join(self._stop_timeout_s)
        stuck = self._core.is_alive()
        run(self.app.links.blocking().broker.leases.recover(self._holder, {}))
        if stuck:
            raise TimeoutError(f"a task did not end within {2 * self._stop_timeout_s:g} s: {self._core.active()}")
        self._slots.close()
