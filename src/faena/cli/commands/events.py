"""`faena events`: what happens to tasks and workers, as it happens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from faena._lib.arguments import Option
from faena._lib.arguments.convert import to_seconds
from faena._lib.plain import plain
from faena.app.events import EventStream, wanted_kinds
from faena.cli.output import Output
from faena.cli.session import Session
from faena.errors import FaenaError
from faena.model.event import Event, EventKind
from faena.telemetry.logs import parts_of

_STYLES = {
    EventKind.TASK_SUCCEEDED: "ok",
    EventKind.TASK_FAILED: "fail",
    EventKind.TASK_LOST: "fail",
    EventKind.TASK_RETRIED: "warn",
    EventKind.TASK_REJECTED: "warn",
    EventKind.TASK_REVOKED: "warn",
    EventKind.WORKER_HEARTBEAT: "dim",
}


def _kinds(text: str) -> str:
    try:
        wanted_kinds(text)
    except FaenaError as error:
        raise ValueError(f"kinds such as failed,retried or worker-online: {error}") from None
    return text


_OfTask = Annotated[str, Option("--task", metavar="NAME", help="Of tasks of this name; * and ? fit.")]
_OfQueue = Annotated[str, Option("-Q", "--queue", metavar="NAME", help="Of this queue; * and ? fit.")]
_OfWorker = Annotated[str, Option("--worker", metavar="NAME", help="Of this worker; * and ? fit.")]
_Kinds = Annotated[
    str, Option("-k", "--kind", metavar="A,B", convert=_kinds, help="Of these kinds only: failed,retried, worker-online.")
]
_Timeout = Annotated[
    float | None,
    Option("-t", "--timeout", metavar="TIME", convert=to_seconds, help="End when nothing has come for so long."),
]
_Json = Annotated[bool, Option("--json", help="Print one JSON object a line.")]


def events(
    session: Session,
    *,
    kind: _Kinds = "",
    task: _OfTask = "",
    queue: _OfQueue = "",
    worker: _OfWorker = "",
    timeout: _Timeout = None,
    json: _Json = False,
) -> int:
    """Show what happens to tasks and workers, as it happens; Ctrl-C ends it.

    Workers tell it that were started with -E (worker_send_task_events), or are told to: faena control enable-events. Who
    sends calls tells of them with task_send_sent_event.
    """
    app = session.connected_app
    try:
        with app.events(kind, task=task, queue=queue, worker=worker, timeout=timeout) as stream:
            session.out.remark("listening; Ctrl-C ends it")
            _show(session.out, stream, timeout, json=json)
    except KeyboardInterrupt:
        pass  # that is how one ends it
    return 0


COMMAND = events


def _show(out: Output, stream: EventStream, timeout: float | None, *, json: bool) -> None:
    missed = 0
    while True:
        found = stream.receive(3600.0 if timeout is None else timeout)
        if not found and timeout is not None:
            return
        for event in found:
            out.line(_json(event) if json else _text(out, event))
        out.stdout.flush()
        if stream.missed != missed:
            missed = stream.missed
            out.remark("some events were missed")


def _json(event: Event) -> str:
    at = datetime.fromtimestamp(event.at_s, UTC).isoformat(timespec="milliseconds")
    found: dict[str, Any] = {"kind": event.kind.value, "time": at, "worker": event.worker}
    if event.task_id:
        found |= {"task": event.task, "task_id": event.task_id, "queue": event.queue, "retries": event.retries}
    optional = {
        "runtime_s": None if event.runtime_s is None else round(event.runtime_s, 6),
        "due_at_s": event.due_at_s,
        "text": event.text or None,
        "traceback": event.traceback or None,
        "about": event.about,
    }
    found |= {name: value for name, value in optional.items() if value is not None}
    return msgspec.json.encode(plain(found)).decode()


def _text(out: Output, event: Event) -> str:
    at = datetime.fromtimestamp(event.at_s).astimezone().strftime("%H:%M:%S.%f")[:-3]
    kind = f"{event.kind.value:<16}"
    if event.kind in _STYLES:
        kind = out.styled(_STYLES[event.kind], kind)
    if not event.task_id:
        numbers = " ".join(f"{name}={value}" for name, value in (event.about or {}).items())
        return f"{at} {kind} {event.worker} {numbers}".rstrip()
    _, took, text, _ = parts_of(event)
    shown = "".join(each if each.isprintable() else " " for each in text)  # of a stranger's: it shall not steer a terminal
    return f"{at} {kind} {event.task}[{event.task_id}]{took}{shown}"
