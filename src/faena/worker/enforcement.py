"""What a supervisor enforces while processes run: time limits, memory limits, revocations, progress.

It reads the memory that it shares with each process and ends a process by force where nothing else helps. A coroutine that
blocks its loop is told of and no more: it may come to its end, as a function may that takes long.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from faena.model.delivery import Verdict, VerdictKind
from faena.worker.handle import ProcessHandle, ProcessState
from faena.worker.process import STOP_SIGNALS
from faena.worker.recycle import MemoryRule
from faena.worker.slots import Running
from faena.worker.wire import Stop

log = logging.getLogger("faena.worker")

_TERMINATE_GRACE_S = 5.0
_FORGET_AFTER_S = 1.0
_RECOVERY_S = 5.0  # that a process has, at most, to say that it turns again when what held up its loop has ended


class Enforcement:
    """Looks at one process at a time, whenever it is told to."""

    def __init__(self, settings: Mapping[str, Any], *, replace: Callable[[ProcessHandle, str], None]) -> None:
        self._memory = MemoryRule(settings["worker_max_memory_per_child"])
        self._patience_s = float(settings["worker_watchdog_timeout"] or 0)
        self._replace = replace
        self._doomed: dict[str, tuple[float, str]] = {}  # task id -> when to kill its process, with which signal
        self._blocked: set[int] = set()  # pids whose loop stands still, and that was told
        self._silent: dict[int, float] = {}  # pids that stand still and run nothing, and since when (monotonic)

    @property
    def is_urgent(self) -> bool:
        """Whether to look often."""
        return bool(self._doomed)

    def doom(self, ids: Sequence[str], signal_name: str, now_s: float) -> None:
        """End the processes that run these tasks: at once with a signal, else when they had time to end themselves."""
        at_s = now_s + (0.0 if signal_name else _TERMINATE_GRACE_S)
        self._doomed.update(dict.fromkeys(ids, (at_s, signal_name)))

    def look(self, handle: ProcessHandle, now_s: float) -> bool:
        """Do what is called for; return whether the process runs anything."""
        running = handle.running()  # not as the header says: a task can keep the process from writing it
        self._look_at_limits(handle, running, now_s)
        self._look_for_doomed(handle, running, now_s)
        self._look_at_memory(handle)
        self._look_for_progress(handle, running, now_s)
        return bool(running)

    # -- internals -----------------------------------------------------------------------------------------

    def _look_at_limits(self, handle: ProcessHandle, running: Sequence[Running], now_s: float) -> None:
        verdicts = {
            task.task_id: Verdict(VerdictKind.TIME_LIMIT, f"killed after {now_s - task.started_s:.1f} s")
            for task in running
            if task.deadline_s and now_s >= task.deadline_s
        }
        if verdicts:
            handle.kill(signal.SIGKILL, "time limit", verdicts)

    def _look_for_doomed(self, handle: ProcessHandle, running: Sequence[Running], now_s: float) -> None:
        for task in running:
            doom = self._doomed.get(task.task_id)
            if doom is None or now_s < doom[0]:
                continue
            if task.is_batch:  # its calls cannot be stopped one by one, and which of them is the first is chance
                continue
            del self._doomed[task.task_id]
            number = getattr(signal, doom[1] or "SIGKILL", signal.SIGKILL)
            if number in STOP_SIGNALS:  # for what the task has started: the process itself takes no notice of them
                handle.signal(number)
                self._doomed[task.task_id] = (now_s + _TERMINATE_GRACE_S, "")
                continue
            verdict = Verdict(VerdictKind.TERMINATED, f"its process was killed with {signal.Signals(number).name}")
            handle.kill(number, "revoked task", {task.task_id: verdict})
        for task_id, (at_s, _) in list(self._doomed.items()):
            if now_s > at_s + _FORGET_AFTER_S:
                del self._doomed[task_id]

    def _look_at_memory(self, handle: ProcessHandle) -> None:
        if self._memory.limit_kib is None:
            return
        rss_kib = handle.rss_kib()
        if self._memory.kills(rss_kib):
            why = f"memory: {rss_kib:,} KiB, far over max_memory_per_child of {self._memory.limit_kib:,} KiB"
            handle.kill(signal.SIGKILL, why)
        elif self._memory.replaces(rss_kib) and handle.state is ProcessState.WORKING:
            self._replace(handle, f"it uses {rss_kib:,} KiB, over max_memory_per_child")
            handle.say(Stop())

    def _look_for_progress(self, handle: ProcessHandle, running: Sequence[Running], now_s: float) -> None:
        beat_s, *_ = handle.slots.header()
        pid, stands_still = handle.pid, bool(self._patience_s and beat_s and now_s - beat_s > self._patience_s)
        if not stands_still:
            self._blocked.discard(pid)
        elif running and pid not in self._blocked:
            self._blocked.add(pid)
            log.warning(
                "process %d (pid %d) settles nothing: a task has held up its event loop for %.0f s; it runs %s",
                handle.index, pid, now_s - beat_s, ", ".join(task.task_id for task in running),
            )  # fmt: skip
        if not stands_still or running:
            self._silent.pop(pid, None)
        elif now_s - self._silent.setdefault(pid, now_s) >= min(self._patience_s, _RECOVERY_S):
            # not at once: a task that has just ended may have held it up, and it turns again
            del self._silent[pid]
            handle.kill(signal.SIGKILL, f"no progress for {now_s - beat_s:.0f} s")
