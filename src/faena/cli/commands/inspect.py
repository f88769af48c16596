"""`faena inspect`: ask workers what they are doing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec.structs import asdict

from faena._lib.arguments import Argument
from faena._lib.drive import run
from faena.app.inspect import delayed
from faena.backend import need_backend
from faena.cli.options import Destination, Json, Limit, ReplyTimeout, to_id
from faena.cli.outcome import local
from faena.cli.output import ago, shown
from faena.cli.session import Session
from faena.errors import FaenaError
from faena.model.control import Order, OrderKind


def ping(session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 1.0, json: Json = False) -> int:
    """Ask every worker whether it is there."""
    answers = _ask(session, "ping", destination, timeout)
    return _print(
        session, answers, ("worker", "answer"), [(name, "pong" if each else None) for name, each in answers.items()], json
    )


def workers(session: Session, *, json: Json = False) -> int:
    """List the workers that are there, without asking them."""
    found = session.connected_app.control.workers()
    if json:
        session.out.json([asdict(each) for each in found])
        return 0
    now_s = time.time()
    session.out.table(
        ("worker", "pid", "processes", "running", "done", "failed", "queues", "up for", "seen"),
        [
            (
                each.name,
                str(each.pid),
                each.concurrency,
                (each.stats or {}).get("running"),
                (each.stats or {}).get("done"),
                (each.stats or {}).get("failed"),
                ", ".join(each.queues),
                ago(now_s - each.started_at_s),
                f"{ago(now_s - each.seen_at_s)} ago",
            )
            for each in found
        ],
        right="pid processes running done failed",
        empty=_NOBODY,
    )
    for each in found:
        away = [name for name, state in (each.stats or {}).get("brokers", {}).items() if state != "ok"]
        if away:
            session.out.remark(f"{each.name} cannot reach {' and '.join(away)}: it takes nothing from the queues there")
    return 0


def active(session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 1.0, json: Json = False) -> int:
    """List the tasks that run now."""
    return _tasks(session, "active", destination, timeout, json)


def reserved(session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 1.0, json: Json = False) -> int:
    """List the tasks that workers hold and have not begun."""
    return _tasks(session, "reserved", destination, timeout, json)


def scheduled(session: Session, *, limit: Limit = 50, json: Json = False) -> int:
    """List the delayed tasks of every queue; they wait in the broker, not in a worker."""
    found = run(delayed(session.link, limit))
    if json:
        session.out.json(
            [{"id": each.id, "task": each.task, "queue": each.queue, "due_at_s": each.due_at_s} for each in found[:limit]]
        )
        return 0
    now_s = time.time()
    session.out.table(
        ("id", "task", "queue", "due", "in"),
        [
            (each.id, each.task, each.queue, _local(each.due_at_s), ago((each.due_at_s or now_s) - now_s))
            for each in found[:limit]
        ],
        empty="no delayed tasks",
    )
    return 0


def registered(session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 1.0, json: Json = False) -> int:
    """List the tasks that workers can run."""
    answers = _ask(session, "registered", destination, timeout)
    rows = [(name, task) for name, tasks in answers.items() for task in tasks or (None,)]
    return _print(session, answers, ("worker", "task"), rows, json)


def stats(session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 2.0, json: Json = False) -> int:
    """Show numbers of every worker and of its processes."""
    answers = _ask(session, "stats", destination, timeout)
    rows: list[tuple[Any, ...]] = []
    for name, answer in answers.items():
        if answer is None:
            rows.append((name, None, None, None, None, None))
            continue
        rows.append((name, "all", answer["done"], answer["failed"], answer["running"], None))
        for process in answer.get("of_processes", ()):
            memory = f"{process['max_rss_kib'] // 1024} MiB, {process['cpu_s']:g} s CPU"
            rows.append((name, str(process["pid"]), process["done"], process["failed"], None, memory))
    return _print(
        session, answers, ("worker", "process", "done", "failed", "running", "used"), rows, json, "done failed running"
    )


def conf(session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 1.0, json: Json = False) -> int:
    """Show the settings that workers run with; secrets are masked."""
    answers = _ask(session, "conf", destination, timeout)
    rows = [(name, key, shown(value)) for name, answer in answers.items() for key, value in (answer or {}).items()]
    return _print(session, answers, ("worker", "setting", "value"), rows, json)


def revoked(session: Session, *, json: Json = False) -> int:
    """List the revoked tasks that are remembered."""
    need_backend(session.link.backend, "revoking tasks")
    _, found = run(session.link.backend.revocations.since(0))
    if json:
        session.out.json([asdict(each) for each in found])
        return 0
    now_s = time.time()
    session.out.table(
        ("id", "revoked", "running ones", "forgotten in"),
        [
            (
                each.task_id,
                f"{ago(now_s - each.revoked_at_s)} ago",
                (each.signal or "stopped") if each.terminate else "let finish",
                ago(each.expires_at_s - now_s),
            )
            for each in found
        ],
        empty="no revoked tasks",
    )
    return 0


def active_queues(
    session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 1.0, json: Json = False
) -> int:
    """List the queues that workers take from."""
    answers = _ask(session, "active_queues", destination, timeout)
    rows = [(name, queue["name"]) for name, queues in answers.items() for queue in queues or ()]
    return _print(session, answers, ("worker", "queue"), rows, json)


def query_task(
    session: Session,
    ids: Annotated[Sequence[str], Argument("Ids of tasks.", convert=to_id)],
    *,
    destination: Destination = (),
    timeout: ReplyTimeout = 1.0,
    json: Json = False,
) -> int:
    """Ask which worker has these tasks in hand."""
    answers = _ask(session, "query_task", destination, timeout, {"ids": list(ids)})
    rows = [
        (name, task_id, state, each["name"], each["queue"], _runtime(each))
        for name, found in answers.items()
        for task_id, (state, each) in (found or {}).items()
    ]
    code = _print(session, answers, ("worker", "id", "state", "task", "queue", "for"), rows, json)
    if not rows and not json:
        session.out.remark("no worker has them in hand; ask why with: faena explain ID")
    return code


def orders(session: Session, *, json: Json = False) -> int:
    """List what was ordered of all workers and stands: rules of revocation, time limits, open circuit breakers, pauses."""
    found = session.connected_app.control.orders()
    if json:
        session.out.json([asdict(each) for each in found])
        return 0
    now_s = time.time()
    session.out.table(
        ("kind", "name", "says", "given", "over in"),
        [
            (
                each.kind,
                each.name,
                _said(each),
                f"{ago(now_s - each.given_at_s)} ago",
                "" if each.expires_at_s is None else ago(each.expires_at_s - now_s),
            )
            for each in found
        ],
        empty="no orders stand",
    )
    return 0


def _said(order: Order) -> str:
    if order.kind == OrderKind.TIME_LIMIT:
        limits = {"soft": order.value.get("soft_s"), "hard": order.value.get("hard_s")}
        return ", ".join(
            f"{name} {f'{value:g} s' if value else 'none'}" for name, value in limits.items() if value is not None
        )
    if order.kind == OrderKind.BREAKER:
        return f"{order.value.get('phase')}: faena limits breakers"
    if order.kind == OrderKind.PAUSE:
        return f"faena queues resume {order.name}"
    if order.value.get("terminate"):
        return str(order.value.get("signal") or "running ones are stopped")
    return "running ones finish"


def commands(session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 1.0, json: Json = False) -> int:
    """List the commands that the app of each worker declares itself; run one with: faena control NAME."""
    answers = _ask(session, "commands", destination, timeout)
    rows = [
        (name, each["name"], each["arguments"], each["help"]) for name, found in answers.items() for each in found or ()
    ]
    code = _print(session, answers, ("worker", "command", "arguments", "what it does"), rows, json)
    if not rows and not json:
        session.out.remark("the app declares no commands of its own")
    return code


COMMANDS = {
    "ping": ping,
    "workers": workers,
    "active": active,
    "reserved": reserved,
    "query-task": query_task,
    "active-queues": active_queues,
    "scheduled": scheduled,
    "registered": registered,
    "stats": stats,
    "conf": conf,
    "revoked": revoked,
    "orders": orders,
    "commands": commands,
}
DEFAULT = "workers"

_NOBODY = "no worker is running; start one with: faena worker"


def _ask(
    session: Session,
    question: str,
    destination: Sequence[str],
    timeout_s: float,
    arguments: dict[str, Any] | None = None,
) -> dict[str, Any]:
    answers = session.connected_app.control.ask(question, arguments, destination=destination, timeout=timeout_s)
    if not answers:
        raise FaenaError(_NOBODY)
    return answers


def _print(
    session: Session,
    answers: dict[str, Any],
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    json: bool,
    right: str = "",
) -> int:
    """Print the rows; the exit code is 1 when a worker did not answer."""
    if json:
        session.out.json(answers)
    else:
        session.out.table(columns, rows, right=right)
    silent = [name for name, answer in answers.items() if answer is None]
    if silent:
        session.out.remark(f"no answer in time from {', '.join(silent)}")
    return 1 if silent else 0


def _tasks(session: Session, question: str, destination: Sequence[str], timeout_s: float, json: bool) -> int:
    answers = _ask(session, question, destination, timeout_s)
    rows = [
        (name, each["id"], each["name"], each["queue"], each["retries"], _runtime(each))
        for name, answer in answers.items()
        for each in answer or ()
    ]
    code = _print(session, answers, ("worker", "id", "task", "queue", "retries", "for"), rows, json, "retries")
    if not rows and not json:
        session.out.remark(f"nothing is {question}")
    return code


def _runtime(described: dict[str, Any]) -> str:
    runtime_s = described.get("runtime_s")
    return "" if runtime_s is None else ago(runtime_s)


def _local(moment_s: float | None) -> str:
    return local(moment_s)[:19]
