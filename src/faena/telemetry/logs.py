"""Logs of a worker: text for people or JSON for machines, with the id of the task that speaks; and a line per task, as long
as a person could read them.

A line per task is what one wants to see, and nobody reads ten thousand a second, which cost a tenth of the speed. So the
sink writes lines while there are few, and one line a second that sums up when there are many. Failures are always written.
"""

from __future__ import annotations

import logging
import select
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from faena.model.event import Event, EventKind
from faena.tasks.context import current_request

TASK_LOGGER = "faena.task"
_HANDLER = "faena"
_PIPE_BUF_BYTES = getattr(select, "PIPE_BUF", 512)
_LINES_PER_SECOND = 40
_FAILURES_PER_SECOND = 100

_log = logging.getLogger(TASK_LOGGER)
_json = msgspec.json.Encoder(enc_hook=repr)


def set_up_logging(level: str, form: str, *, process: int | None = None, stream: Any = None) -> None:
    """Let everything that is logged go to `stream` (stderr) in the form asked for. Handlers of the user's own stay."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter(process) if form == "json" else _TextFormatter(process))
    handler.set_name(_HANDLER)
    root = logging.getLogger()
    for present in list(root.handlers):
        if present.get_name() == _HANDLER:
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
        lines = [(event, level) for event in events if (level := self._level_of(event)) is not None]
        if lines:
            _write(lines)

    def close(self) -> None:
        self._sum_up()

    def _level_of(self, event: Event) -> int | None:
        """Count an event; return the level of its line, None where it gets none."""
        if event.kind is EventKind.TASK_FAILED or event.kind is EventKind.TASK_LOST:
            self._failures += 1
            if self._failures <= _FAILURES_PER_SECOND:
                return logging.ERROR
            self._summed[event.kind] += 1
            return None
        if not self._enabled or self._mode == "none":
            return None
        if event.kind is EventKind.TASK_RELEASED and event.runtime_s is None:
            return None  # it had not begun here: nobody needs to know
        self._lines += 1
        if self._mode == "all" or self._lines <= _LINES_PER_SECOND:
            return logging.WARNING if event.kind is EventKind.TASK_REJECTED else logging.INFO
        self._summed[event.kind] += 1
        return None

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


def _write(lines: Sequence[tuple[Event, int]]) -> None:
    """Log a line for each; where only our own handler hears of them, in few writes and without a record for each.

    A record costs 13 to 15 us, more than an empty task; a line without one 2.
    """
    handler = _the_only_handler()
    if handler is not None:
        formatter: _TextFormatter | _JsonFormatter = handler.formatter
        kept = [(event, level) for event, level in lines if level >= handler.level and _log.isEnabledFor(level)]
        try:
            with handler.lock:
                for block in _blocks(formatter.lines(kept)):
                    handler.stream.write(block)
                    handler.flush()
        except (OSError, ValueError):
            pass  # closed, or nobody reads it: logging has a way to say so
        else:
            return
    for event, level in lines:
        parts = (event.task, event.task_id, *parts_of(event))
        _log.log(level, "%s[%s] %s%s%s%s", *parts, extra={"faena_event": event})


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Join lines to blocks that other processes on the same pipe cannot break into (pipe(7), PIPE_BUF)."""
    block, size = "", 0
    for line in lines:
        bytes_ = len(line.encode(errors="replace")) + 1
        if block and size + bytes_ > _PIPE_BUF_BYTES:
            yield block
            block, size = "", 0
        block += line + "\n"
        size += bytes_
    if block:
        yield block


def _the_only_handler() -> Any:
    """Return our handler if there is no other, and nothing in between that wants to see records; else None."""
    handlers: list[logging.Handler] = []
    logger: logging.Logger | None = _log
    while logger is not None:
        handlers += logger.handlers
        logger = logger.parent if logger.propagate else None
    if len(handlers) != 1 or handlers[0].get_name() != _HANDLER or current_request.get() is not None:
        return None
    if _log.filters or handlers[0].filters or logging.getLogRecordFactory() is not logging.LogRecord:
        return None
    return handlers[0] if isinstance(handlers[0].formatter, _TextFormatter | _JsonFormatter) else None


def parts_of(event: Event) -> tuple[str, str, str, str]:
    """Say what has happened, how long it took or when it goes on, what came out, and the lines of a traceback."""
    took = f" in {event.runtime_s:.3f}s" if event.runtime_s is not None else ""
    later = f" in {max(0.0, event.due_at_s - event.at_s):.1f}s" if event.due_at_s is not None else ""
    text = f": {event.text}" if event.text else ""
    lines = f"\n{event.traceback.rstrip()}" if event.traceback and event.kind is EventKind.TASK_FAILED else ""
    return _VERBS.get(event.kind, event.kind.value), later or took, text, lines


def _record_of_now() -> logging.LogRecord:
    return logging.LogRecord(TASK_LOGGER, logging.INFO, "", 0, "", (), None)


class _TextFormatter(logging.Formatter):
    def __init__(self, process: int | None) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(where)s%(message)s")
        self._where = f"[{process}] " if process is not None else ""

    def format(self, record: logging.LogRecord) -> str:
        request = current_request.get()
        task = f"{request.task}[{request.id}] " if request is not None and request.id else ""
        record.where = self._where + task
        return super().format(record)

    def lines(self, events: Iterable[tuple[Event, int]]) -> Iterator[str]:
        """Yield what `format` gives for these events, all of them logged now."""
        time_, where = self.formatTime(_record_of_now()), self._where
        for event, level in events:
            verb, took, text, more = parts_of(event)
            name = logging.getLevelName(level)
            yield f"{time_} {name:<7} {where}{event.task}[{event.task_id}] {verb}{took}{text}{more}"


class _JsonFormatter(logging.Formatter):
    def __init__(self, process: int | None) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        event: Event | None = getattr(record, "faena_event", None)
        message = record.getMessage() if event is None else event.kind.value
        found = self._head(_time_of(record), record.levelname, record.name, message)
        request = current_request.get()
        if event is not None:
            found |= _fields_of(event)
        elif request is not None and request.id:
            found |= {"task": request.task, "task_id": request.id}
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        return _json.encode(found).decode()

    def lines(self, events: Iterable[tuple[Event, int]]) -> Iterator[str]:
        """Yield what `format` gives for these events, all of them logged now."""
        time_ = _time_of(_record_of_now())
        for event, level in events:
            found = self._head(time_, logging.getLevelName(level), TASK_LOGGER, event.kind.value)
            found |= _fields_of(event)
            yield _json.encode(found).decode()

    def _head(self, time_: str, level: str, logger: str, message: str) -> dict[str, Any]:
        found: dict[str, Any] = {"time": time_, "level": level, "logger": logger, "message": message}
        if self._process is not None:
            found["process"] = self._process
        return found


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields_of(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {
        "task": event.task, "task_id": event.task_id, "queue": event.queue, "retries": event.retries,
    }  # fmt: skip
    if event.runtime_s is not None:
        found["runtime_s"] = round(event.runtime_s, 6)
    if event.text:
        found["text"] = event.text
    if event.traceback:
        found["traceback"] = event.traceback
    return found
