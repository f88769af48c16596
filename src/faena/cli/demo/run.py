"""One run: send what is not done yet, watch it get done, add it up.

Nothing is lost: the plan stands on disk before anything is sent, and all is sent in one step. Nothing is repeated: the id
of a task is made from the run and the file, and only a file of which neither broker nor backend knows is sent.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from faena.cli.demo.analysis import ModuleFacts, Unparsable
from faena.cli.demo.embedded import EmbeddedWorker, settings_for
from faena.cli.demo.folder import Plan, RunFolder
from faena.cli.demo.ledger import Ledger, repeated
from faena.cli.demo.progress import View
from faena.cli.demo.survey import Analysed, Failed, Survey, Timing, survey
from faena.cli.demo.tasks import analyse, app
from faena.model.result import ResultRecord, State

_LOOK_AFTER_WORKER_S = 1.0


class Finished(Struct, frozen=True):
    """Every file has its final result."""

    survey: Survey


class Interrupted(Struct, frozen=True):
    """Stopped by a signal; what was finished is kept."""

    signal: int
    done: int
    total: int


class WorkerEnded(Struct, frozen=True):
    """The worker ended by itself, which it should not; what was finished is kept."""

    exit_code: int
    done: int
    total: int


Outcome: TypeAlias = Finished | Interrupted | WorkerEnded


class _Stop(KeyboardInterrupt):
    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


class Run:
    """The work of one invocation, from the first message to the survey."""

    def __init__(self, folder: RunFolder, plan: Plan, processes: int, python: str, view: View) -> None:
        self._folder, self._plan, self._processes, self._python, self._view = folder, plan, processes, python, view
        self._files = {plan.task_id(file): file for file in plan.files}
        self._records: dict[str, ResultRecord] = {}
        self._in_broker: set[str] = set()
        self._retries_seen: dict[str, int] = {}

    def work(self) -> Outcome:
        """Do what is left of the plan. The worker has stopped when this returns, or raises."""
        app.conf.override(settings_for(self._folder.url, self._processes))
        began_at_s, began_s = time.time(), time.monotonic()
        worker = EmbeddedWorker(self._folder, self._processes)
        kept, ended_s = 0, 0.0
        try:
            with _stoppable():
                kept = self._read_what_is_done()
                self._view.begin(len(self._files), kept)
                if kept < len(self._files):
                    worker.start()
                    self._send_the_rest()
                    self._watch(worker)
                ended_s = time.monotonic()
        except _Stop as stop:
            self._view.say("stopping: what runs now may finish (once more to kill it)")
            worker.stop()
            return Interrupted(stop.number, self._read_what_is_done(), len(self._files))
        finally:
            worker.stop()
        if len(self._records) < len(self._files):
            return WorkerEnded(worker.exit_code or 0, len(self._records), len(self._files))
        attempts = Ledger(self._folder.ledger).read()
        finished_at_s = {record.id: record.finished_at_s or 0.0 for record in self._records.values()}
        timing = Timing(
            began_at_s=began_at_s,
            wall_s=ended_s - began_s,
            processes=self._processes,
            sent=len(self._files) - kept,
            kept=kept,
            executions=len(attempts),
            repeated=repeated(attempts, finished_at_s),
        )
        return Finished(self._survey(timing))

    # -- steps ---------------------------------------------------------------------------------------------

    def _read_what_is_done(self) -> int:
        """Find out what needs no sending: first what is in the broker, then what has its result.

        In this order: a task that ends in between, under a worker process that has outlived its supervisor, is then seen
        twice, and not missed and sent again.
        """
        self._in_broker = {task_id for task_id in self._files if app.results.is_known(task_id)}
        for record in app.results.read(list(self._files)):
            if record is not None and record.is_terminal:
                self._records[record.id] = record
        return len(self._records)

    def _send_the_rest(self) -> None:
        ledger, root = self._folder.ledger, self._plan.root
        app.send_many(
            analyse.s(ledger, root, file).set(task_id=task_id)
            for task_id, file in self._files.items()
            if task_id not in self._records and task_id not in self._in_broker
        )

    def _watch(self, worker: EmbeddedWorker) -> None:
        """Tell the view what happens, until all is done or the worker is gone."""
        while len(self._records) < len(self._files):
            had_ended = worker.exit_code is not None  # asked first: what it finished before it ended is still seen
            waiting = [task_id for task_id in self._files if task_id not in self._records]
            for record in app.results.wait(waiting, 0.0 if had_ended else _LOOK_AFTER_WORKER_S):
                self._see(record)
            if had_ended:
                return

    def _see(self, record: ResultRecord) -> None:
        file = self._files[record.id]
        if record.state == State.SUCCESS:
            self._view.finished(file)
        elif record.is_terminal:
            self._view.failed(file, _error_of(record))
        elif record.state == State.RETRY and self._retries_seen.get(record.id) != record.retries:
            self._retries_seen[record.id] = record.retries
            self._view.retried(file, _error_of(record), record.retries)
        if record.is_terminal:
            self._records[record.id] = record

    def _survey(self, timing: Timing) -> Survey:
        analysed: list[Analysed] = []
        failed: list[Failed] = []
        for task_id, file in self._files.items():
            record = self._records[task_id]
            if record.state == State.SUCCESS:
                analysed.append(_analysed(file, record))
            else:
                failed.append(Failed(file, _error_of(record), record.retries, not _is_unparsable(record)))
        return survey(self._plan.root, self._python, analysed, failed, timing)


def _analysed(file: str, record: ResultRecord) -> Analysed:
    value: dict[str, Any] = app.results.decode(record.content, record.value or b"null")
    return Analysed(
        file=file,
        facts=msgspec.convert(value["facts"], ModuleFacts, str_keys=True),
        retries=record.retries,
        runtime_s=(record.finished_at_s or 0.0) - (record.started_at_s or 0.0),
        finished_at_s=record.finished_at_s or 0.0,
        process=value["process"],
    )


def _is_unparsable(record: ResultRecord) -> bool:
    return record.failure is not None and record.failure.type_name == Unparsable.__name__


def _error_of(record: ResultRecord) -> str:
    failure = record.failure
    if failure is None:
        return "revoked" if record.state == State.REVOKED else "failed for an unknown reason"
    return failure.message if _is_unparsable(record) else f"{failure.type_name}: {failure.message}"


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn the signals that ask for an end into `_Stop`."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape of a handler
        raise _Stop(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
