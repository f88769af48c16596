"""Run the steps of a plan on several threads, each as soon as what it waits for is done.

    workers:  take the ready step of the lowest index ─▶ run it ─▶ count down those that wait for it
    the main thread waits; Ctrl-C there cancels what runs and starts nothing more

After a failure nothing new starts (with `keep_going`: nothing that waits for it); what runs is let finish, as make
does. A failed step's output is held back to the end, so that it stands last on the screen.
"""

from __future__ import annotations

import heapq
import sys
import threading

from faena.model.graph import Readiness
from faena.runner.ending import TICK_S
from faena.runner.outcome import Outcome
from faena.runner.process import GRACE_S
from faena.runner.sinks import Direct, Grouped, Prefixed, Routing, group_marks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from faena.runner.execute import Runner
    from faena.runner.plan import Step
    from faena.runner.scope import Scope


def run_parallel(runner: Runner, steps: Sequence[Step]) -> list[Outcome]:
    """Run a plan with `settings.jobs` threads; outcomes come in the order of their ends.

    Raises KeyboardInterrupt after everything was ended and undone; SystemExit when a task asked for it.
    """
    with Routing() as direct:
        pool = _Pool(runner, steps, direct)
        try:
            pool.run()
        except BaseException:
            runner.undo()
            raise
        if any(not each.is_good for each in runner.outcomes):
            runner.undo()
        pool.show_held()
    if pool.exit_request is not None:
        raise pool.exit_request
    return runner.outcomes


class _Pool:
    def __init__(self, runner: Runner, steps: Sequence[Step], direct: Direct) -> None:
        self._runner = runner
        self._steps = steps
        self._direct = direct
        self._ready = Readiness({step.index: step.waits_for for step in steps})
        self._queue = self._ready.first()
        heapq.heapify(self._queue)
        self._changed = threading.Condition()
        self._running = 0
        self._active: dict[int, str] = {}
        self._has_status = direct.is_terminal and self._form_of(runner) == "grouped"
        self._workers = 0
        # not `Thread.join`: one that Ctrl-C interrupts takes the thread for ended (CPython 3.11, bpo-45274)
        self._finished = threading.Event()
        self._is_stopping = False
        self._held: list[Grouped] = []
        self._marks = group_marks()
        self._form = self._form_of(runner)
        self.exit_request: SystemExit | None = None

    @staticmethod
    def _form_of(runner: Runner) -> str:
        return runner.settings.grouping or "grouped"

    def _show_status(self) -> None:
        """One line at the bottom of a terminal: how far it is, and what runs."""
        if self._has_status:
            names = ", ".join(self._active.values())
            done = len(self._runner.outcomes)
            self._direct.show_status(f"[{done}/{len(self._steps)}] {names}" if names else "")

    def run(self) -> None:
        count = min(self._runner.settings.jobs, len(self._steps))
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
            self._take_steps()
        finally:
            with self._changed:
                self._workers -= 1
                if self._workers == 0:
                    self._finished.set()

    def _take_steps(self) -> None:
        while True:
            with self._changed:
                while not self._queue and self._running and not self._is_stopping:
                    self._changed.wait()
                if self._is_stopping or not self._queue:
                    self._changed.notify_all()
                    return
                index = heapq.heappop(self._queue)
                self._running += 1
                self._active[index] = self._steps[index].title
                self._show_status()
            outcome = self._run_one(self._steps[index])
            with self._changed:
                self._running -= 1
                del self._active[index]
                self._runner.outcomes.append(outcome)
                self._settle(index, outcome)
                self._show_status()
                self._changed.notify_all()

    def _settle(self, index: int, outcome: Outcome) -> None:
        if outcome.is_good:
            for each in self._ready.done(index):
                heapq.heappush(self._queue, each)
            return
        for each in sorted(self._ready.abandon(index)):
            reason = "what it needs failed"
            self._runner.outcomes.append(Outcome(self._steps[each], "cancelled", reason=reason))
        if not self._runner.settings.keep_going:
            self._is_stopping = True

    def _run_one(self, step: Step) -> Outcome:
        sink: Grouped | Prefixed | Direct
        match self._form:
            case "prefixed":
                sink = Prefixed(self._direct, step.title)
            case "plain":
                sink = self._direct
            case _:
                sink = Grouped(self._direct, step.title, self._marks)
        try:
            outcome = self._runner.run_step(step, has_keyboard=False, sink=sink)
        except SystemExit as error:
            self.exit_request = self.exit_request or error
            self._is_stopping = True
            outcome = Outcome(step, "done" if not error.code else "cancelled", reason="ended the run")
        except BaseException as error:  # noqa: BLE001  the edge of the thread: an interrupted command
            outcome = Outcome(step, "cancelled", reason=type(error).__name__)
        if outcome.status == "failed" and isinstance(sink, Grouped):
            self._held.append(sink)
        else:
            sink.finish()
        return outcome

    def show_held(self) -> None:
        """Let out what failed steps said."""
        for sink in self._held:
            sink.finish()
        sys.stdout.flush()


def _signal(scope: Scope, number: int) -> None:
    scope.is_cancelled = True
    for process in list(scope.processes.values()):
        process.signal(number)
