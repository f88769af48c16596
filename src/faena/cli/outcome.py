"""Wait for a task with its progress in view, and show what came of it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from faena.cli.output import shown
from faena.cli.session import Session
from faena.errors import ResultNotFound, ResultTimeout
from faena.model.result import EXCEPTION_STATES, ResultRecord, State
from faena.model.workflow import REFERENCE

if TYPE_CHECKING:
    from faena.tasks.result import AsyncResult

_NOBODY_AFTER_S = 1.5  # a worker that runs would have begun by now; if none does, say so instead of waiting in silence
_LINE_EVERY_S = 2.0
_FIRST_S, _LAST_S = -62_000_000_000.0, 253_402_000_000.0  # the years 5 and 9999, in every time zone
_NOBODY = "no worker is running; start one with: faena worker"


def wait_for(session: Session, result: AsyncResult[Any], timeout_s: float | None) -> ResultRecord:
    """Wait until the task has ended, and return its record.

    Raises ResultTimeout, ResultNotFound.
    """
    first_s = _NOBODY_AFTER_S if timeout_s is None else min(timeout_s, _NOBODY_AFTER_S)
    with _progress_view(session) as on_progress:
        try:
            try:
                result.get(first_s, propagate=False, on_progress=on_progress)
            except ResultTimeout:
                if first_s == timeout_s:
                    raise
                if not session.connected_app.control.workers():
                    session.out.remark(_NOBODY)
                left_s = None if timeout_s is None else timeout_s - first_s
                result.get(left_s, propagate=False, on_progress=on_progress)
        except ResultTimeout:
            raise ResultTimeout(result.id, timeout_s or 0.0, _hint(session)) from None
    record = result.record
    if record is None:
        raise ResultNotFound(result.id)
    return record


def _hint(session: Session) -> str:
    workers = session.connected_app.control.workers()
    return f"workers that are running: {', '.join(worker.name for worker in workers)}" if workers else _NOBODY


def _progress_view(session: Session) -> AbstractContextManager[Any]:
    if session.out.is_quiet:
        return nullcontext(None)
    if not session.out.stderr.isatty():
        return nullcontext(_LineProgress(session))
    from faena.cli.progress import BarProgress

    return BarProgress(session.out.stderr)


class _LineProgress:
    """Progress for those who read a log: a line now and then."""

    def __init__(self, session: Session) -> None:
        self._session, self._next_s = session, 0.0

    def __call__(self, meta: Any) -> None:
        line = progress_text(meta)
        now_s = time.monotonic()
        if line and now_s >= self._next_s:
            self._session.out.remark(line)
            self._next_s = now_s + _LINE_EVERY_S


def progress_text(meta: Any) -> str:
    """Say in a line what a task recorded with `progress`, or with a state of its own."""
    if not isinstance(meta, dict) or "current" not in meta:
        return shown(meta) if meta is not None and not isinstance(meta, BaseException) else ""
    current, total, text = meta["current"], meta.get("total"), meta.get("text") or ""
    share = f"{current:g}/{total:g} ({current / total:.0%})" if total else f"{current:g}"
    return f"{share} {text}".rstrip()


def exit_code_of(state: str) -> int:
    """Return 1 for a task that has ended without success."""
    return 1 if state in (State.FAILURE, State.REVOKED, State.UNKNOWN) else 0


def value_of(session: Session, record: ResultRecord) -> Any:
    """Return the result, or the meta data of a state that is not final; None where there is neither."""
    if record.value is None:
        return None
    if record.content == REFERENCE:  # it stands elsewhere: the values of a group, or of what stood in for a task
        return session.connected_app.workflows.resolve(record)
    return session.connected_app.results.decode(record.content, record.value)


def error_of(record: ResultRecord) -> str:
    """Return the error of a record in one line."""
    if record.failure is not None:
        name = record.failure.type_name
        return f"{name}: {record.failure.message}" if record.failure.message else name
    return "revoked" if record.state == State.REVOKED else ""


def print_outcome(session: Session, record: ResultRecord, *, json: bool) -> int:
    """Print the result, or the failure, of a task that has ended; return the exit code."""
    if json:
        session.out.json(as_dict(session, record.id, record, record.state))
    elif record.state == State.SUCCESS:
        session.out.line(shown(value_of(session, record)))
    else:
        if record.failure is not None and record.failure.traceback:
            session.out.stderr.write(record.failure.traceback.rstrip() + "\n")
        session.out.stderr.write(f"faena: task {record.id} ended as {record.state}: {error_of(record)}\n")
    return exit_code_of(record.state)


def print_details(
    session: Session, task_id: str, record: ResultRecord | None, state: str, *, traceback: bool, workflow: str = ""
) -> None:
    """Print everything that is known of a task, a line each; `workflow` says which one it belongs to."""
    out = session.out
    lines: list[tuple[str, str]] = [("id", task_id), ("state", state)]
    if record is not None:
        value = None if record.state in EXCEPTION_STATES else value_of(session, record)
        is_final = record.state == State.SUCCESS
        lines += [
            ("task", record.task),
            ("result" if is_final else "progress", shown(value) if is_final else progress_text(value)),
            ("error", error_of(record)),
            ("queue", record.queue),
            ("worker", record.worker),
            ("retries", str(record.retries) if record.retries else ""),
            ("started", local(record.started_at_s)),
            ("finished", local(record.finished_at_s)),
            ("runtime", _runtime(record)),
            ("children", ", ".join(record.children)),
        ]
    lines.append(("workflow", workflow))
    for name, text in lines:
        if text:
            out.line(f"{out.styled('dim', name.ljust(9))} {text}")
    if traceback and record is not None and record.failure is not None and record.failure.traceback:
        out.line()
        out.line(record.failure.traceback.rstrip())


def as_dict(session: Session, task_id: str, record: ResultRecord | None, state: str) -> dict[str, Any]:
    """Return what is known of a task, for JSON."""
    if record is None:
        return {"id": task_id, "state": state}
    failure = record.failure
    return {
        "id": task_id,
        "task": record.task,
        "state": record.state,
        "result": None if record.state in EXCEPTION_STATES else value_of(session, record),
        "error": None if failure is None else {"type": failure.type_name, "message": failure.message},
        "traceback": None if failure is None else failure.traceback,
        "queue": record.queue,
        "worker": record.worker,
        "retries": record.retries,
        "started_at": iso(record.started_at_s),
        "finished_at": iso(record.finished_at_s),
        "expires_at": iso(record.expires_at_s),
        "root_id": record.root_id,
        "parent_id": record.parent_id,
        "children": list(record.children),
    }


def _runtime(record: ResultRecord) -> str:
    if record.started_at_s is None or record.finished_at_s is None:
        return ""
    return f"{record.finished_at_s - record.started_at_s:.3f} s"


def local(moment_s: float | None) -> str:
    return "" if moment_s is None else _moment(moment_s).astimezone().isoformat(" ", "seconds")


def iso(moment_s: float | None) -> str | None:
    return None if moment_s is None else _moment(moment_s).isoformat(timespec="milliseconds")


def _moment(moment_s: float) -> datetime:
    return datetime.fromtimestamp(min(max(moment_s, _FIRST_S), _LAST_S), UTC)  # what a sender says may be beyond both
