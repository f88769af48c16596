"""Run the steps of a plan on several threads, each as soon as what it waits for is done.

    workers:  take the ready step of the lowest index ─▶ run it ─▶ count down those that wait for it
              or a target of a rule that is being made
    the main thread waits; Ctrl-C there cancels what runs and starts nothing more

After a failure nothing new starts (with `keep_going`: nothing that waits for it); what runs is let finish, as make
does. A failed step's output is held back to the end, so that it stands last on the screen.
"""

from __future__ import annotations

import heapq
import sys
import threading
import time
from functools import partial

from faena.model.graph import Readiness
from faena.runner.ending import TICK_S
from faena.runner.outcome import LOST, Outcome
from faena.runner.process import GRACE_S
from faena.runner.sinks import Direct, Grouped, Prefixed, Routing, group_marks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from faena.runner.execute import Runner
    from faena.runner.plan import Step
    from faena.runner.rules import Batch
    from faena.runner.scope import Scope

    class Board(Protocol):
        def stop(self) -> None: ...


def run_parallel(
    runner: Runner, steps: Sequence[Step], board: Callable[[Direct, Callable[[], Progress]], Board] | None = None
) -> list[Outcome]:
    """Run a plan with `settings.jobs` threads; outcomes come in the order of their ends.

    `board` begins to draw the progress on a terminal, until it is stopped.

    Raises KeyboardInterrupt after everything was ended and undone; SystemExit when a task asked for it.
    """
    with Routing() as direct:
        pool = _Pool(runner, steps, direct)
        is_drawn = board is not None and direct.is_terminal and pool.form == "grouped"
        drawing = board(direct, pool.progress) if is_drawn and board is not None else None
        try:
            pool.run()
        except BaseException:
            if drawing is not None:
                drawing.stop()
            pool.close()  # what interrupted steps said last
            runner.undo()
            raise
        if drawing is not None:
            drawing.stop()
        pool.close()
        if any(not each.is_good for each in runner.outcomes):
            runner.undo()
    if pool.exit_request is not None:
        raise pool.exit_request
    return runner.outcomes


class Progress:
    """How far a parallel run is, for whoever draws it."""

    __slots__ = ("done", "running", "total")

    def __init__(self, done: int, total: int, running: list[tuple[str, float]]) -> None:
        self.done = done
        self.total = total
        self.running = running  # titles, and when each began on the monotonic clock


class _Pool:
    """Threads that take work as it becomes ready: steps, and the targets of the rules that are being made.

    A rule's step ends with its last target, in whichever thread made that: no thread waits for another, so that
    every one has work for as long as there is some.
    """

    def __init__(self, runner: Runner, steps: Sequence[Step], direct: Direct) -> None:
        self._runner = runner
        self._steps = steps
        self._direct = direct
        self._ready = Readiness({step.index: step.waits_for for step in steps})
        self._queue = self._ready.first()
        heapq.heapify(self._queue)
        self._changed = threading.Condition()
        self._running = 0
        self._active: dict[object, tuple[str, float]] = {}
        self._batches: dict[int, _Making] = {}  # by the index of their step
        self._workers = 0
        # not `Thread.join`: one that Ctrl-C interrupts takes the thread for ended (CPython 3.11, bpo-45274)
        self._finished = threading.Event()
        self._is_stopping = False
        self._held: list[Grouped] = []
        self._marks = group_marks()
        self.form = runner.settings.grouping or "grouped"
        self.exit_request: SystemExit | None = None

    def progress(self) -> Progress:
        """How far it is now."""
        with self._changed:
            running = list(self._active.values())
            for making in self._batches.values():
                batch = making.batch
                running.append((f"{batch.step.title} {batch.done}/{batch.count}", making.began_s))
            return Progress(len(self._runner.outcomes), len(self._steps), running)

    def run(self) -> None:
        count = self._runner.settings.jobs
        if not any(is_rule(step) for step in self._steps):
            count = min(count, len(self._steps))
        threads = [threading.Thread(target=self._work, name=f"fa {number}", daemon=True) for number in range(count)]
        try:
            for thread in threads:
                thread.start()
            while not self._finished.wait(TICK_S):
                pass
        except (KeyboardInterrupt, SystemExit):
            self._cancel()
            raise

    def _cancel(self) -> None:
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
            if self._workers == 0:  # a signal came before the first thread had begun
                return
        for number in (2, 15, 9):
            for scope in list(self._runner.scopes):
                _signal(scope, number)
            if self._finished.wait(GRACE_S):
                return

    def _work(self) -> None:
        with self._changed:
            self._workers += 1
        try:
            self._take_work()
        finally:
            with self._changed:
                self._workers -= 1
                if self._workers == 0:
                    self._finished.set()

    def _take_work(self) -> None:
        while True:
            with self._changed:
                making = self._next_making()
                while making is None and not self._queue and self._running and not self._is_stopping:
                    self._changed.wait()
                    making = self._next_making()
                if self._is_stopping or (making is None and not self._queue):
                    self._changed.notify_all()
                    return
                self._running += 1
                if making is not None:
                    work = partial(self._take_item, making, making.take())
                else:
                    index = heapq.heappop(self._queue)
                    self._active[index] = (self._steps[index].title, time.monotonic())
                    work = partial(self._take_step, index)
            work()

    def _next_making(self) -> _Making | None:
        """The batch that the next free thread works for: of a step before all that are ready."""
        first = min((index for index, making in self._batches.items() if not making.batch.is_drained), default=None)
        if first is None or (self._queue and self._queue[0] < first):
            return None
        return self._batches[first]

    def _take_step(self, index: int) -> None:
        result = self._run_one(self._steps[index])
        with self._changed:
            self._running -= 1
            del self._active[index]
            if isinstance(result, Outcome):
                self._end(index, result)
            else:
                self._batches[index] = result
                self._changed.notify_all()

    def _take_item(self, making: _Making, item: Any) -> None:
        sink = making.item_sink()
        is_good = self._guarded(making.batch.step, lambda: making.batch.make(item, has_keyboard=False, sink=sink))
        making.let_out(sink, is_good=is_good is True)
        with self._changed:
            making.running -= 1
            if is_good is not True and not self._runner.settings.keep_going:
                making.is_given_up = self._is_stopping = True
            is_over = making.running == 0 and (making.batch.is_drained or making.is_given_up)
        outcome = self._close(making) if is_over else None
        with self._changed:
            self._running -= 1
            if outcome is not None:
                del self._batches[making.batch.step.index]
                self._end(making.batch.step.index, outcome)
            elif self._is_stopping or self._running == 0:
                self._changed.notify_all()

    def _end(self, index: int, outcome: Outcome) -> None:
        self._runner.outcomes.append(outcome)
        if outcome.is_good:
            ready = self._ready.done(index)
            for each in ready:
                heapq.heappush(self._queue, each)
            if self._is_stopping or self._running == 0:
                self._changed.notify_all()
            else:  # whoever ended this one takes the next; waking more threads than there is work for costs much
                self._changed.notify(max(0, len(ready) - 1))
            return
        self._changed.notify_all()
        for each in sorted(self._ready.abandon(index)):
            self._runner.outcomes.append(Outcome(self._steps[each], "cancelled", reason=LOST))
        if not self._runner.settings.keep_going:
            self._is_stopping = True

    def _sink_of(self, step: Step) -> Grouped | Prefixed | Direct:
        match self.form:
            case "prefixed":
                return Prefixed(self._direct, step.title)
            case "plain":
                return self._direct
            case _:
                return Grouped(self._direct, step.title, self._marks)

    def _run_one(self, step: Step) -> Outcome | _Making:
        sink = self._sink_of(step)
        if is_rule(step):
            from faena.runner.extras import begin_targets

            found = self._guarded(step, lambda: begin_targets(self._runner, step, sink))
            if not isinstance(found, Outcome):
                if isinstance(sink, Grouped) and not sink.is_marked:
                    sink.finish()  # what was said about the rule comes before its targets
                return _Making(found, sink, lambda: self._sink_of(step))
            outcome = found
        else:
            outcome = self._guarded(step, lambda: self._runner.run_step(step, has_keyboard=False, sink=sink))
        self._show(outcome, sink)
        return outcome

    def _guarded(self, step: Step, work: Callable[[], Any]) -> Any:
        """What `work` returns; the outcome of a step that was ended where it ended the whole run."""
        try:
            return work()
        except SystemExit as error:
            self.exit_request = self.exit_request or error
            self._is_stopping = True
            return Outcome(step, "done" if not error.code else "cancelled", reason="ended the run")
        except BaseException as error:  # noqa: BLE001  the edge of the thread: an interrupted command
            return Outcome(step, "cancelled", reason=type(error).__name__)

    def _show(self, outcome: Outcome, sink: Grouped | Prefixed | Direct) -> None:
        if outcome.status == "failed" and isinstance(sink, Grouped):
            self._held.append(sink)
        else:
            sink.finish()

    def _close(self, making: _Making) -> Outcome:
        """Write down what a rule has made, and show what it said."""
        try:
            outcome = making.batch.end(making.sink)
        except OSError as error:  # the disk is full, the folder gone
            outcome = Outcome(making.batch.step, "failed", error=error)
        self._show(outcome, making.sink)
        return outcome

    def close(self) -> None:
        """End the batches that a failure left undone, and let out what failed steps said."""
        self._runner.outcomes.extend(self._close(making) for making in list(self._batches.values()))
        for sink in self._held:
            sink.finish()
        sys.stdout.flush()


class _Making:
    """A rule whose targets are being made by several threads."""

    def __init__(self, batch: Batch, sink: Grouped | Prefixed | Direct, make_sink: Callable[[], Any]) -> None:
        self.batch = batch
        self.sink = sink
        self.running = 0
        self.is_given_up = False
        self.began_s = time.monotonic()
        self._make_sink = make_sink

    def take(self) -> Any:
        self.running += 1
        return self.batch.take()

    def item_sink(self) -> Any:
        """Where one target's output goes: a piece of its own, as those of others come at the same time."""
        return self._make_sink()

    def let_out(self, sink: Any, *, is_good: bool) -> None:
        """Show one target's output when it is made; that of one that failed stays for the end."""
        if isinstance(sink, Grouped) and isinstance(self.sink, Grouped) and (self.sink.is_marked or not is_good):
            sink.move_to(self.sink)
        else:
            sink.finish()


def is_rule(step: Step) -> bool:
    extras = step.task.options.extras
    return extras is not None and extras.each is not None


def _signal(scope: Scope, number: int) -> None:
    scope.is_cancelled = True
    for process in list(scope.processes.values()):
        process.signal(number)
