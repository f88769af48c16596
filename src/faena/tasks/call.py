"""From a call to a message: a pure function of the call, the settings and what is handed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from faena.errors import InvalidArguments, UnknownQueue
from faena.model.message import HIGHEST_PRIORITY, LOWEST_PRIORITY, Link, Message
from faena.model.queue import COPY_MARK, Queue, refused_name, refused_when_full
from faena.tasks.context import Request
from faena.tasks.options import SendOptions, check_send_options, seconds

if TYPE_CHECKING:
    from faena.tasks.flow import Flow


class Call(Struct, frozen=True, gc=False):
    """A task by name, its arguments and options: not yet a message."""

    task: str
    args: Any
    kwargs: Mapping[str, Any]
    options: SendOptions


class Declared(Struct, frozen=True):
    """What a sender has to mind of `task_queues`."""

    special: Mapping[str, Queue]  # the queues that have options for messages
    known: frozenset[str] | None = None  # no other queue may be used; None: any


class Encoder(Protocol):
    def encode(self, name: str, value: Any) -> bytes: ...


class Sender(Struct, frozen=True):
    """What is the same for all messages of one app."""

    encoder: Encoder
    origin: str
    serializer: str
    default_queue: str
    default_priority: int
    zone: tzinfo
    route: Callable[[Call], Mapping[str, Any]] | None = None  # task_routes
    declared: Declared | None = None  # None: nothing is said of queues that a sender has to mind
    flow: Flow | None = None  # limits; None: there are none
    tells: bool = False  # task_send_sent_event
    check_home: Callable[[str, str], None] | None = None  # raises where a queue does not live on a broker that is named


def build_message(call: Call, sender: Sender, *, now_s: float, new_id: str, parent: Request | None) -> Message:
    """Make the message of a call. Raises InvalidArguments, EncodeError."""
    options = call.options
    if options:
        check_send_options(call.task, options)
    if sender.route is not None:
        options = {**sender.route(call), **options}  # type: ignore[typeddict-item]
    serializer = options.get("serializer") or sender.serializer
    body = sender.encoder.encode(serializer, [call.args, call.kwargs])
    parent_id = options.get("parent_id")
    root_id = options.get("root_id")
    if parent is not None and parent.message is not None and parent_id is None:
        parent_id, root_id = parent.id, root_id or parent.root_id
    if not options:
        lane = None if sender.flow is None else _lane(call, sender.default_queue, sender.flow)
        message = Message(
            new_id, call.task, sender.default_queue, body, serializer, sender.default_priority, now_s,
            root_id=root_id, parent_id=parent_id, origin=sender.origin, lane=lane,
        )  # fmt: skip
        return message if sender.declared is None else _minded(message, sender.declared)
    queue = _checked_queue(call.task, options.get("queue") or sender.default_queue, sender)
    message = Message(
        id=_checked_id(call.task, options.get("task_id")) or new_id,
        task=call.task,
        queue=queue,
        body=body,
        content=serializer,
        priority=_checked_priority(call.task, options.get("priority"), sender.default_priority),
        sent_at_s=now_s,
        due_at_s=due_at_s(call.task, options, now_s, sender.zone),
        expires_at_s=expires_at_s(options, now_s, sender.zone),
        root_id=root_id,
        parent_id=parent_id,
        soft_time_limit_s=options.get("soft_time_limit"),
        time_limit_s=options.get("time_limit"),
        ignore_result=options.get("ignore_result"),
        headers=dict(headers) if (headers := options.get("headers")) else None,
        on_success=_links(options.get("link"), sender),
        on_failure=_links(options.get("link_error"), sender),
        origin=sender.origin,
        result_expires_s=seconds(options.get("result_expires")),
        lane=None if sender.flow is None else _lane(call, queue, sender.flow),
    )
    if options.get("when_full") is not None:
        _check_when_full(call.task, options, message.queue, sender.declared)
    return message if sender.declared is None else _minded(message, sender.declared)


def _check_when_full(task: str, options: Mapping[str, Any], name: str, declared: Declared | None) -> None:
    """Raise InvalidArguments where the answer to a full queue is none."""
    if reason := refused_when_full(options["when_full"]):
        raise InvalidArguments(task, reason)
    queue = declared.special.get(name) if declared is not None else None
    if queue is None or queue.max_length is None:
        raise InvalidArguments(task, f"when_full: queue '{name}' has no max_length; declare it in task_queues")
    if options["when_full"] == "spill" and queue.spill_to is None:
        raise InvalidArguments(task, f"when_full='spill': queue '{name}' is declared without spill_to")


def _minded(message: Message, declared: Declared) -> Message:
    """Return the message as the declaration of its queue has it. Raises UnknownQueue."""
    if declared.known is not None and message.queue not in declared.known:
        of = declared.special.get(message.queue.partition(COPY_MARK)[0])
        if of is None or not of.broadcast:
            raise UnknownQueue(message.queue, declared.known)
    queue = declared.special.get(message.queue)
    if queue is None or queue.message_ttl_s is None or message.expires_at_s is not None:
        return message
    return replace(message, expires_at_s=max(message.sent_at_s, message.due_at_s or 0.0) + queue.message_ttl_s)


def _lane(call: Call, queue: str, flow: Flow) -> str | None:
    try:
        return flow.lane_of(call.task, queue, call.args, call.kwargs)
    except Exception as error:
        raise InvalidArguments(call.task, f"no key of its limits can be made of the arguments: {error!r}") from error


def due_at_s(task: str, options: Mapping[str, Any], now_s: float, zone: tzinfo) -> float | None:
    """Return the moment before which the task must not run, in unix seconds; None: now."""
    eta, countdown = options.get("eta"), seconds(options.get("countdown"))
    if eta is not None:
        if countdown is not None:
            raise InvalidArguments(task, "give countdown or eta, not both")
        due = _moment_s(eta, zone)
    elif countdown is not None:
        due = now_s + countdown
    else:
        return None
    return due if due > now_s else None


def expires_at_s(options: Mapping[str, Any], now_s: float, zone: tzinfo) -> float | None:
    """Return the moment after which the task must not begin, in unix seconds; None: never."""
    expires = options.get("expires")
    if expires is None:
        return None
    if isinstance(expires, datetime):
        return _moment_s(expires, zone)
    return now_s + (expires.total_seconds() if isinstance(expires, timedelta) else float(expires))


def _moment_s(moment: datetime, zone: tzinfo) -> float:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC).timestamp()


def _links(value: Any, sender: Sender) -> tuple[Link, ...]:
    if value is None:
        return ()
    signatures = value if isinstance(value, list | tuple) else [value]
    return tuple(signature.as_link(sender) for signature in signatures)


def _checked_id(task: str, task_id: Any) -> str | None:
    if task_id is not None and (not isinstance(task_id, str) or not 0 < len(task_id.encode("utf-8", "replace")) <= 255):
        raise InvalidArguments(task, f"task_id must be a text of 1 to 255 bytes in UTF-8, not {task_id!r}")
    return task_id


def _checked_queue(task: str, queue: Any, sender: Sender) -> str:
    if type(queue) is str and len(queue) <= 200 and "\0" not in queue and "," not in queue:
        return queue
    if isinstance(queue, Queue):
        if queue.broker is not None and sender.check_home is not None:
            sender.check_home(queue.name, queue.broker)
        return queue.name
    if reason := refused_name(queue):
        raise InvalidArguments(task, reason)
    return str(queue)


def _checked_priority(task: str, priority: Any, default: int) -> int:
    if priority is None:
        return default
    if not isinstance(priority, int) or not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise InvalidArguments(
            task, f"priority must be a number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY} (higher runs first), "
            f"not {priority!r}"
        )  # fmt: skip
    return priority
