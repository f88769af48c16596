"""Logs of a worker: text for people or JSON for machines, with the id of the task that speaks; and a line per task, as long
as a person could read them.

A line per task is what one wants to see, and at ten thousand tasks a second it would halve the speed. So the sink writes
lines while there are few, and one line a second that sums up when there are many. Failures are always written.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from faena.model.event import Event, EventKind
from faena.tasks.context import current_request

TASK_LOGGER = "faena.task"
_LINES_PER_SECOND = 40
_FAILURES_PER_SECOND = 100

_log = logging.getLogger(TASK_LOGGER)
_json = msgspec.json.Encoder(enc_hook=repr)


def set_up_logging(level: str, form: str, *, process: int | None = None, stream: Any = None) -> None:
    """Let everything that is logged go to `stream` (stderr) in the form asked for. Handlers of the user's own stay."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter(process) if form == "json" else _TextFormatter(process))
    handler.set_name("faena")
    root = logging.getLogger()
    for present in list(root.handlers):
        if present.get_name() == "faena":
            root.removeHandler(present)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)


class LogSink:
    """Writes what happens to tasks. `mode`: "all" lines, "none" but failures, or "adaptive"."""

    def __init__(self, mode: Literal["adaptive", "all", "none"], process: int = 0) -> None:
        self._mode, self._process = mode, process
        self._second = 0
        self._lines = self._failures = 0
        self._summed: Counter[EventKind] = Counter()
        self._enabled = _log.isEnabledFor(logging.INFO)

    @property
    def wants_text(self) -> bool:
        """Whether the result's text of the next event may be written."""
        return self._enabled and self._mode != "none" and (self._mode == "all" or self._lines < _LINES_PER_SECOND)

    def emit(self, events: Sequence[Event]) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._sum_up()
            self._second, self._lines, self._failures = second, 0, 0
        if self._lines >= _LINES_PER_SECOND and self._mode == "adaptive":
            kinds = [event.kind for event in events]
            if kinds.count(EventKind.TASK_SUCCEEDED) == len(kinds):  # the usual case under load, and it shall cost little
                self._summed[EventKind.TASK_SUCCEEDED] += len(kinds)
                return
        for event in events:
            self._one(event)

    def close(self) -> None:
        self._sum_up()

    def _one(self, event: Event) -> None:
        if event.kind is EventKind.TASK_FAILED or event.kind is EventKind.TASK_LOST:
            self._failures += 1
            if self._failures <= _FAILURES_PER_SECOND:
                _write(event, logging.ERROR)
            else:
                self._summed[event.kind] += 1
            return
        if not self._enabled or self._mode == "none":
            return
        if event.kind is EventKind.TASK_RELEASED and event.runtime_s is None:
            return  # it had not begun here: nobody needs to know
        self._lines += 1
        if self._mode == "all" or self._lines <= _LINES_PER_SECOND:
            _write(event, logging.WARNING if event.kind is EventKind.TASK_REJECTED else logging.INFO)
        else:
            self._summed[event.kind] += 1

    def _sum_up(self) -> None:
        if self._summed:
            parts = ", ".join(f"{count:,} more {kind.value.removeprefix('task-')}" for kind, count in self._summed.items())
            _log.info("and %s in the last second (worker_log_tasks='all' writes a line for each)", parts)
            self._summed.clear()


_VERBS = {
    EventKind.TASK_SUCCEEDED: "succeeded",
    EventKind.TASK_FAILED: "failed",
    EventKind.TASK_RETRIED: "will be retried",
    EventKind.TASK_REVOKED: "revoked:",
    EventKind.TASK_REJECTED: "rejected:",
    EventKind.TASK_SUSPENDED: "suspended",
    EventKind.TASK_RELEASED: "handed back unfinished",
    EventKind.TASK_LOST: "lost:",
}


def _write(event: Event, level: int) -> None:
    took = f" in {event.runtime_s:.3f}s" if event.runtime_s is not None else ""
    later = f" in {max(0.0, event.due_at_s - event.at_s):.1f}s" if event.due_at_s is not None else ""
    text = f": {event.text}" if event.text else ""
    lines = f"\n{event.traceback.rstrip()}" if event.traceback and event.kind is EventKind.TASK_FAILED else ""
    _log.log(
        level,
        "%s[%s] %s%s%s%s",
        event.task,
        event.task_id,
        _VERBS.get(event.kind, event.kind.value),
        later or took,
        text,
        lines,
        extra={"faena_event": event},
    )


class _TextFormatter(logging.Formatter):
    def __init__(self, process: int | None) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(where)s%(message)s")
        self._where = f"[{process}] " if process is not None else ""

    def format(self, record: logging.LogRecord) -> str:
        request = current_request.get()
        task = f"{request.task}[{request.id}] " if request is not None and request.id else ""
        record.where = self._where + task
        return super().format(record)


class _JsonFormatter(logging.Formatter):
    def __init__(self, process: int | None) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        event: Event | None = getattr(record, "faena_event", None)
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage() if event is None else event.kind.value,
        }
        if self._process is not None:
            found["process"] = self._process
        request = current_request.get()
        if event is not None:
            found |= {"task": event.task, "task_id": event.task_id, "queue": event.queue, "retries": event.retries}
            if event.runtime_s is not None:
                found["runtime_s"] = round(event.runtime_s, 6)
            if event.text:
                found["text"] = event.text
            if event.traceback:
                found["traceback"] = event.traceback
        elif request is not None and request.id:
            found |= {"task": request.task, "task_id": request.id}
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        return _json.encode(found).decode()
