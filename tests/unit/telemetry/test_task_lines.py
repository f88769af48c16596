"""Lines of tasks are written many at once where nobody else hears of them, and are the same as one by one."""

import io
import json
import logging
import re

import pytest

from faena.model.event import Event, EventKind
from faena.telemetry.logs import TASK_LOGGER, LogSink, set_up_logging

EVENTS = [
    Event(EventKind.TASK_SUCCEEDED, 1.0, "w", "1", "add", "q", 0, 0.0123456, "'é\\n'"),
    Event(EventKind.TASK_FAILED, 1.0, "w", "2", "add", "q", 2, 0.1, "KeyError: 1", "Traceback:\n  x\n"),
    Event(EventKind.TASK_RETRIED, 1.0, "w", "3", "add", "q", 1, 0.1, "why", due_at_s=6.0),
    Event(EventKind.TASK_REJECTED, 1.0, "w", "4", "add", "q", 0, None, "no"),
    Event(EventKind.TASK_RELEASED, 1.0, "w", "5", "add", "q"),
]


class Ears(logging.Handler):
    def __init__(self):
        super().__init__()
        self.heard = []

    def emit(self, record):
        self.heard.append(record)


class Counting(io.StringIO):
    writes = 0

    def write(self, text):
        self.writes += 1
        return super().write(text)


@pytest.fixture(autouse=True)
def logging_as_it_was():
    root, task = logging.getLogger(), logging.getLogger(TASK_LOGGER)
    kept, level = list(root.handlers), root.level
    yield
    root.handlers, task.handlers, task.filters = kept, [], []
    root.setLevel(level)
    logging.captureWarnings(False)


def written(form, level="INFO", mode="all", events=EVENTS, stream=None):
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if isinstance(handler, Ears)]  # without those of pytest
    stream = stream or Counting()
    set_up_logging(level, form, process=3, stream=stream)
    LogSink(mode, 3).emit(events)
    text = re.sub(r"\d\d\d\d-\d\d-\d\d.\d\d:\d\d:\d\d[.,]\d\d\d(\+00:00)?", "NOW", stream.getvalue())
    return text, stream.writes


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("level", ["INFO", "WARNING", "ERROR"])
def test_many_at_once_are_what_one_by_one_are(form, level):
    at_once, writes = written(form, level)
    assert writes == 1
    ears = Ears()
    logging.getLogger(TASK_LOGGER).addHandler(ears)
    one_by_one, writes = written(form, level)
    assert writes == len(ears.heard)
    assert at_once == one_by_one != ""
    assert len(ears.heard) == {"INFO": 4, "WARNING": 1, "ERROR": 1}[level]


def test_no_write_is_so_long_that_another_process_could_break_into_it():
    class Pipe(Counting):
        def write(self, text):
            sizes.append(len(text.encode()))
            assert text.endswith("\n")
            return super().write(text)

    sizes = []
    events = [Event(EventKind.TASK_SUCCEEDED, 1.0, "w", str(n), "add", "q", 0, 0.1, "é" * (n % 200)) for n in range(500)]
    text, writes = written("json", events=[*events, Event(EventKind.TASK_SUCCEEDED, 1.0, text="x" * 9000)], stream=Pipe())
    assert len([json.loads(line) for line in text.splitlines()]) == 501
    assert max(sizes[:-1]) <= 4096
    assert writes < 60


def test_the_lines_are_these():
    assert written("text")[0].splitlines() == [
        "NOW INFO    [3] add[1] succeeded in 0.012s: 'é\\n'",
        "NOW ERROR   [3] add[2] failed in 0.100s: KeyError: 1",
        "Traceback:",
        "  x",
        "NOW INFO    [3] add[3] will be retried in 5.0s: why",
        "NOW WARNING [3] add[4] rejected:: no",
    ]
    assert [json.loads(line)["message"] for line in written("json")[0].splitlines()] == [
        "task-succeeded", "task-failed", "task-retried", "task-rejected",
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["handler of the task's logger", "handler of the root", "filter", "factory"])
def test_whoever_wants_to_see_records_sees_them(where, monkeypatch):
    seen = []
    if where == "filter":
        logging.getLogger(TASK_LOGGER).addFilter(lambda record: bool(seen.append(record)) or True)
    elif where == "factory":
        kept = logging.getLogRecordFactory()
        monkeypatch.setattr(logging, "_logRecordFactory", lambda *a, **k: seen.append(1) or kept(*a, **k))
    else:
        ears = Ears()
        seen = ears.heard
        logging.getLogger(TASK_LOGGER if "task" in where else None).addHandler(ears)
    text, _ = written("text")
    assert len(seen) == 4
    assert text.count("NOW") == 4


def test_a_stream_that_is_closed_ends_nothing(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    stream = Counting()
    logging.getLogger().handlers = []
    set_up_logging("INFO", "text", stream=stream)
    stream.close()
    LogSink("all").emit(EVENTS)
    assert stream.writes == 5, "at once, and then one by one, as logging does it"
