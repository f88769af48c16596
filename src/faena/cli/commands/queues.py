"""`faena queues`: what waits where, and stopping the flow of a queue for a while."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from faena._lib.arguments import Argument
from faena._lib.drive import run
from faena.app import pausing
from faena.backend import has_backend
from faena.broker import declare_queues, opened_home
from faena.cli.deed import Deed
from faena.cli.options import Json, Limit, to_queue
from faena.cli.output import ago
from faena.cli.session import Session
from faena.errors import NotSupported, UsageError, did_you_mean
from faena.model.delivery import QueueStatus
from faena.model.message import Message
from faena.model.queue import COPY_MARK, Queue, broadcasts_in, copies_of, refused_name

_OPTIONS = ("max_length", "when_full", "spill_to", "broadcast", "ageing_s", "weight", "message_ttl_s")

Names = Annotated[Sequence[str], Argument("Names of queues.")]


def status(session: Session, names: Names = (), *, json: Json = False) -> int:
    """Show how many messages wait, are delayed, are being worked on, are dead, in every queue."""
    consumers, declared = _consumers(session), session.any_app.queues
    sees_workers = has_backend(session.link.backend)
    found = [
        each
        for each in run(pausing.statuses(session.link))
        if (each.name in names if names else not _is_left_over(each, consumers, declared))
    ]
    absent = [name for name in names if name not in {each.name for each in found}]
    homes = session.any_app.links.homes
    found += [QueueStatus(name, 0, 0, 0, 0, False, broker="" if homes is None else homes.of(name)) for name in absent]
    if json:
        session.out.json(
            [
                {**_as_dict(each, consumers if sees_workers else None), **_declared_as_dict(declared.get(each.name))}
                for each in found
            ]
        )
        return 0
    now_s, are_limited = time.time(), any(each.limited for each in found)
    are_parted = any(each.broker for each in found)
    has_options = any(_options_text(declared.get(each.name)) for each in found)
    session.out.table(
        (
            "queue",
            *(["broker"] if are_parted else []),
            "waiting",
            *(["limited"] if are_limited else []),
            "delayed",
            "held",
            "dead",
            "oldest",
            "workers",
            "state",
            *(("options",) if has_options else ()),
        ),
        [
            (
                each.name,
                *([each.broker] if are_parted else []),
                each.waiting,
                *([each.limited] if are_limited else []),
                "?" if each.delayed is None else each.delayed,
                "?" if each.held is None else each.held,
                each.dead,
                "" if each.oldest_waiting_at_s is None else ago(now_s - each.oldest_waiting_at_s),
                len(consumers.get(each.name, ())) if sees_workers else "?",
                _state(each, consumers) if sees_workers else "?",
                *((_options_text(declared.get(each.name)),) if has_options else ()),
            )
            for each in found
        ],
        right="waiting limited delayed held dead oldest workers",
        empty="no queue holds anything",
    )
    return 0


def show(
    session: Session,
    name: Annotated[str, Argument("Name of the queue.", convert=to_queue)],
    *,
    limit: Limit = 20,
    json: Json = False,
) -> int:
    """List the messages of a queue in the order in which they will run."""
    broker = run(opened_home(session.link.broker, name))
    if not broker.capabilities.browses:
        raise NotSupported("listing messages", "this broker", "it hands messages out, and shows none")
    found = run(broker.queues.browse(name, limit))
    if json:
        session.out.json([{"place": str(place), **_message_as_dict(message)} for place, message in found])
        return 0
    now_s = time.time()
    session.out.table(
        ("id", "task", "priority", "state", "due in", "sent"),
        [
            (
                message.id,
                message.task,
                message.priority,
                str(place),
                "" if message.due_at_s is None else ago(message.due_at_s - now_s),
                f"{ago(now_s - message.sent_at_s)} ago",
            )
            for place, message in found
        ],
        right="priority",
        empty=f"queue '{name}' is empty",
    )
    return 0


def pause(session: Session, names: Names, *, json: Json = False) -> int:
    """Hand out nothing more of these queues, to any worker, until they are resumed; sending goes on."""
    for name in names:
        _refuse_name(name)
    deed = Deed(session, "paused", names, json=json)
    run(pausing.pause(session.link, names))
    for name in names:
        deed.remark(f"queue '{name}' is paused; go on with: faena queues resume {name}")
    _remark_on_unknown(session, names, deed)
    return deed.report()


def resume(session: Session, names: Names, *, json: Json = False) -> int:
    """Hand out messages of these queues again."""
    for name in names:
        _refuse_name(name)
    deed = Deed(session, "resumed", names, json=json)
    run(pausing.resume(session.link, names))
    for name in names:
        deed.remark(f"queue '{name}' is running")
    _remark_on_unknown(session, names, deed)
    return deed.report()


def declare(session: Session, names: Names = (), *, json: Json = False) -> int:
    """Make queues on the server, with all that belongs to them, for users who may not; without names those of the app.

    Brokers other than RabbitMQ need nothing of the kind.
    """
    wanted = list(names) or session.app.default_queues()
    for name in wanted:
        _refuse_name(name)
    deed = Deed(session, "declared", wanted, json=json)
    for name in wanted:
        is_made = run(declare_queues(run(opened_home(session.link.broker, name)), [name]))
        deed.remark(f"queue '{name}' is there" if is_made else f"queue '{name}' needs nothing before it is used")
    return deed.report()


COMMANDS = {"status": status, "declare": declare, "show": show, "pause": pause, "resume": resume}
DEFAULT = "status"


def _refuse_name(name: str) -> None:
    refused = refused_name(name)
    if refused is not None:
        raise UsageError(refused)


def _remark_on_unknown(session: Session, names: Sequence[str], deed: Deed) -> None:
    """Say which of them nobody takes from or declares: that is allowed, and mostly a slip."""
    known = {*session.any_app.default_queues(), *_consumers(session)}
    known |= {each.name for each in run(session.link.broker.queues.status()) if each.name not in names}
    for name in names:
        if name not in known:
            deed.remark(f"no queue '{name}' is declared, and no worker takes from it{did_you_mean(name, known)}")


def _consumers(session: Session) -> dict[str, list[str]]:
    """Return the workers of each queue, by name."""
    found: dict[str, list[str]] = {}
    broadcasts = broadcasts_in(session.any_app.queues)
    for worker in run(session.link.backend.mailbox.workers()):
        for queue in worker.queues:
            found.setdefault(queue, []).append(worker.name)
            if queue in broadcasts:
                found.setdefault(copies_of(queue, worker.name), []).append(worker.name)
    return found


def _is_left_over(status: QueueStatus, consumers: Mapping[str, Sequence[str]], declared: Mapping[str, Queue]) -> bool:
    """Whether it is the empty queue of a worker's copies of a broadcast, and that worker is gone."""
    queue = declared.get(status.name.partition(COPY_MARK)[0])
    is_empty = not (status.waiting or status.limited or status.delayed or status.held or status.dead or status.paused)
    return queue is not None and queue.broadcast and queue.name != status.name and is_empty and status.name not in consumers


def _options_text(queue: Queue | None) -> str:
    """Say what is special about a queue, in few words."""
    if queue is None:
        return ""
    found = []
    if queue.max_length is not None:
        target = f" to {queue.spill_to}" if queue.when_full == "spill" else ""
        found.append(f"at most {queue.max_length:,}, {queue.when_full}{target}")
    if queue.ageing_s is not None:
        found.append(f"rises every {ago(queue.ageing_s)}")
    if queue.weight != 1:
        found.append(f"weight {queue.weight}")
    if queue.broadcast:
        found.append("broadcast")
    if queue.message_ttl_s is not None:
        found.append(f"waits {ago(queue.message_ttl_s)} at most")
    return "; ".join(found)


def _declared_as_dict(queue: Queue | None) -> dict[str, Any]:
    """Return the options of a queue; None stands for one that is not declared."""
    if queue is None:
        return {"options": None}
    return {"options": {name: getattr(queue, name) for name in _OPTIONS}}


def _state(status: QueueStatus, consumers: Mapping[str, Sequence[str]]) -> str:
    return "paused" if status.paused else "running" if consumers.get(status.name) else "no worker"


def _as_dict(status: QueueStatus, consumers: Mapping[str, Sequence[str]] | None) -> dict[str, Any]:
    return {
        "name": status.name,
        "broker": status.broker or None,
        "waiting": status.waiting,
        "limited": status.limited,
        "delayed": status.delayed,
        "held": status.held,
        "dead": status.dead,
        "paused": status.paused,
        "oldest_waiting_at_s": status.oldest_waiting_at_s,
        "workers": None if consumers is None else consumers.get(status.name, []),
    }


def _message_as_dict(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "task": message.task,
        "queue": message.queue,
        "priority": message.priority,
        "sent_at_s": message.sent_at_s,
        "due_at_s": message.due_at_s,
        "expires_at_s": message.expires_at_s,
        "retries": message.retries,
        "root_id": message.root_id,
        "parent_id": message.parent_id,
        "origin": message.origin,
    }
