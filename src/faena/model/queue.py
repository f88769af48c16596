"""What an app says of a queue: `Queue("mail", max_length=1000)`. Values, and the laws that bind them; no I/O.

Queues need not be declared. One that is has options: what becomes of a message for which there is no room, how those that
have waited long rise, how much of a worker it gets beside others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypeAlias, get_args

from faena._lib.arguments.convert import to_seconds
from faena.errors import InvalidQueue, did_you_mean

WhenFull: TypeAlias = Literal["reject", "block", "drop-oldest", "spill"]

_WHEN_FULL: tuple[str, ...] = get_args(WhenFull)
_LONGEST_NAME = 200
_BROADCAST_TTL_S = 3600.0
COPY_MARK = "/"  # between a broadcast queue and the worker whose copies wait there


class Queue:
    """A queue and its options, a value. `exchange` and `routing_key` are those of Celery: routes may name them.

    Not a dataclass: every program that sends would pay for how those are made.
    """

    __slots__ = (
        "ageing_s", "broadcast", "broker", "concurrency", "exchange", "max_length", "message_ttl_s", "name", "rate_limit",
        "routing_key", "spill_to", "weight", "when_full",
    )  # fmt: skip

    name: str
    max_length: int | None
    when_full: WhenFull
    spill_to: str | None
    broadcast: bool
    ageing_s: float | None
    weight: int
    message_ttl_s: float | None
    rate_limit: str | float | None
    concurrency: int | None
    broker: str | None
    exchange: str
    routing_key: str

    def __init__(
        self,
        name: str,
        exchange: Any = None,
        routing_key: str = "",
        *,
        max_length: int | None = None,
        when_full: WhenFull = "reject",
        spill_to: str | None = None,
        broadcast: bool = False,
        ageing: float | str | timedelta | None = None,
        weight: int = 1,
        message_ttl: float | str | timedelta | None = None,
        rate_limit: str | float | None = None,
        concurrency: int | None = None,
        broker: str | None = None,
    ) -> None:
        """Declare a queue.

        `max_length`: so many messages wait at most, from those who send; `when_full` says what becomes of one more: the
        sender gets QueueFull ("reject"), waits ("block"), the message that has waited longest is dropped ("drop-oldest"),
        or this one goes to the queue `spill_to` ("spill").
        `ageing`: a message rises by one priority for each such time that it has waited.
        `weight`: how much a worker takes from it beside its others, in the order "weighted".
        `message_ttl`: how long a message may wait, where the call says no `expires`.
        `rate_limit`, `concurrency`: so many of its tasks begin in a time ("100/m"), and run at once, over all workers.
        `broadcast`: each worker that takes from it runs every message once.
        `broker`: the name of the one of the app's `brokers` that it lives on; None: the default one.
        Raises InvalidQueue.
        """
        reason = refused_name(name)
        if reason:
            raise InvalidQueue(name, reason)
        ageing_s = _seconds(name, "ageing", ageing)
        message_ttl_s = _seconds(name, "message_ttl", message_ttl)
        if broadcast and message_ttl_s is None:
            message_ttl_s = _BROADCAST_TTL_S  # a copy for a worker that is gone must not wait for ever
        values = {
            "name": name, "max_length": max_length, "when_full": when_full, "spill_to": spill_to, "broadcast": broadcast,
            "ageing_s": ageing_s, "weight": weight, "message_ttl_s": message_ttl_s,
            "rate_limit": rate_limit, "concurrency": concurrency, "broker": broker,
            "exchange": _exchange_name(exchange), "routing_key": routing_key or name,
        }  # fmt: skip
        for field, value in values.items():
            object.__setattr__(self, field, value)
        reason = _refused(self)
        if reason:
            raise InvalidQueue(name, reason)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a queue does not change; to have another '{name}', declare another one")

    def __setstate__(self, state: tuple[None, Mapping[str, Any]]) -> None:
        for field, value in state[1].items():
            object.__setattr__(self, field, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Queue) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Queue({', '.join(f'{field}={getattr(self, field)!r}' for field in self.__annotations__)})"

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, field) for field in self.__slots__])


def queues_of(declared: Any) -> dict[str, Queue]:
    """Read `task_queues`: names, queues, mappings of options, queues of kombu; in a list, or by name in a mapping.

    Raises InvalidQueue.
    """
    if not declared:
        return {}
    if isinstance(declared, Mapping):
        declared = [(name, options or {}) for name, options in declared.items()]
    found: dict[str, Queue] = {}
    for each in declared:
        queue = _queue_of(each)
        if queue.name in found:
            raise InvalidQueue(queue.name, "it is declared twice")
        found[queue.name] = queue
    _check_spills(found)
    return found


def refused_name(name: Any) -> str | None:
    """Say why a queue cannot be called so; None: it can."""
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or "," in name:
        said = repr(name) if len(str(name)) <= _LONGEST_NAME else f"one of {len(str(name))}"
        return f"a queue is named by a printable text of 1 to {_LONGEST_NAME} characters without a comma, not {said}"
    return None


def refused_when_full(choice: Any) -> str | None:
    """Say why this is no answer to a full queue; None: it is one."""
    if choice in _WHEN_FULL:
        return None
    return f"when_full is one of {', '.join(_WHEN_FULL)}, not {choice!r}{did_you_mean(str(choice), _WHEN_FULL)}"


def is_special(queue: Queue) -> bool:
    """Whether those who send have to mind something."""
    return queue.max_length is not None or queue.message_ttl_s is not None or queue.broadcast


def broadcasts_in(queues: Mapping[str, Queue]) -> frozenset[str]:
    """Return the names of the queues whose messages every worker runs."""
    return frozenset([queue.name for queue in queues.values() if queue.broadcast])


def is_limited(queue: Queue) -> bool:
    """Whether it has a limit of rate or concurrency."""
    return queue.rate_limit is not None or queue.concurrency is not None


def copies_of(queue: str, worker: str) -> str:
    """Return the queue in which the copies for one worker wait."""
    return f"{queue}{COPY_MARK}{worker.replace(',', '.')}"[:_LONGEST_NAME]


def _refused(queue: Queue) -> str | None:
    if queue.max_length is not None and (not _is_whole(queue.max_length) or queue.max_length < 1):
        return f"max_length is a whole number of 1 or more, not {queue.max_length!r}"
    if reason := refused_when_full(queue.when_full):
        return reason
    if queue.when_full != "reject" and queue.max_length is None:
        return f"when_full={queue.when_full!r} needs a max_length"
    if queue.when_full == "spill" and not queue.spill_to:
        return "when_full='spill' needs spill_to, the queue that takes what finds no room"
    if queue.spill_to is not None and queue.max_length is None:
        return "spill_to needs a max_length"
    if queue.spill_to is not None and (reason := refused_name(queue.spill_to)):
        return f"spill_to: {reason}"
    if not _is_whole(queue.weight) or not 1 <= queue.weight <= 1000:
        return f"weight is a whole number from 1 to 1000, not {queue.weight!r}"
    if queue.concurrency is not None and (not _is_whole(queue.concurrency) or queue.concurrency < 1):
        return f"concurrency is a whole number of 1 or more, not {queue.concurrency!r}; to stop a queue, pause it"
    if queue.rate_limit is not None and (reason := _refused_rate(queue.rate_limit)):
        return reason
    if queue.broker is not None and not _is_name(queue.broker):
        return f"broker is the name of one of the app's brokers, not {queue.broker!r}"
    if queue.broadcast and queue.max_length is not None:
        return "a broadcast queue has no max_length: its copies wait for one worker each"
    if queue.broadcast and queue.ageing_s is not None:
        return "a broadcast queue has no ageing: its copies wait for one worker each"
    return None


def _refused_rate(rate: Any) -> str | None:
    from faena.model.limit import parse_rate  # only for those who have one

    try:
        parse_rate(rate)
    except ValueError as error:
        return str(error)
    return None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _seconds(name: str, option: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        found = value.total_seconds() if isinstance(value, timedelta) else to_seconds(str(value).replace(" ", ""))
    except ValueError:
        found = 0.0
    if isinstance(value, bool) or not 0 < found < 1e10:
        raise InvalidQueue(name, f"{option} is a time such as 90, '30s', '10m', not {value!r}")
    return float(found)


# -- what others declare -----------------------------------------------------------------------------------

_OPTIONS = frozenset(
    {
        "name",
        "exchange",
        "routing_key",
        "max_length",
        "when_full",
        "spill_to",
        "broadcast",
        "ageing",
        "weight",
        "message_ttl",
        "rate_limit",
        "concurrency",
        "broker",
    }
)
_WITHOUT_EFFECT = frozenset(
    {"exchange_type", "durable", "auto_delete", "exclusive", "no_declare", "alias", "delivery_mode", "max_priority",
     "binding_key", "no_ack", "exchange_durable", "exchange_auto_delete"}
)  # fmt: skip
"""Options of a kombu queue that change nothing here: every queue is durable, has ten priorities, and takes by its name."""
_INSTEAD = {
    "expires": "queues do not expire; message_ttl says how long a message may wait",
    "max_length_bytes": "max_length bounds the number of messages",
    "queue_arguments": "write them as options: max_length, message_ttl",
    "consumer_arguments": "set priorities of messages, or the order of queues (worker_queue_order)",
    "binding_arguments": "name the queue in task_routes",
    "bindings": "name the queue in task_routes",
}


def _queue_of(each: Any) -> Queue:
    if isinstance(each, Queue):
        return each
    if isinstance(each, str):
        return Queue(each)
    if isinstance(each, Mapping):
        return _from_options(dict(each))
    if isinstance(each, tuple) and len(each) == 2 and isinstance(each[1], Mapping):
        return _from_options({"name": each[0], **each[1]})
    if hasattr(each, "name") and hasattr(each, "routing_key"):
        return _from_kombu(each)
    raise InvalidQueue(each, "a queue is declared by its name, a faena.Queue, or a mapping with its name and options")


def _from_options(options: dict[str, Any]) -> Queue:
    name = options.pop("name", None)
    for option in list(options):
        if option in _WITHOUT_EFFECT:
            if options.pop(option) in ("topic", "headers"):
                raise InvalidQueue(name, _NO_PATTERNS)
        elif option in _INSTEAD:
            raise InvalidQueue(name, f"there is no option '{option}': {_INSTEAD[option]}")
        elif option not in _OPTIONS:
            raise InvalidQueue(name, f"there is no option '{option}'{did_you_mean(str(option), _OPTIONS)}")
    exchange, routing_key = options.pop("exchange", None), options.pop("routing_key", None)
    return Queue(name or "", exchange, routing_key or "", **options)


_NO_PATTERNS = (
    "an exchange that sends by patterns (topic, headers) is not known; write the pattern into task_routes, such as "
    "{'feed.*': 'feeds'}"
)


def _from_kombu(queue: Any) -> Queue:
    """Read a `kombu.Queue`: what it says of its name, its bound and the time of its messages."""
    name = str(queue.name)
    kind = getattr(getattr(queue, "exchange", None), "type", None)
    if kind in ("topic", "headers"):
        raise InvalidQueue(name, _NO_PATTERNS)
    is_broadcast = kind == "fanout"
    if is_broadcast:
        name = getattr(queue, "alias", None) or getattr(queue.exchange, "name", None) or name
    for option in ("expires", "max_length_bytes", "bindings"):
        if getattr(queue, option, None):
            raise InvalidQueue(name, f"there is no option '{option}': {_INSTEAD[option]}")
    arguments = dict(getattr(queue, "queue_arguments", None) or {})
    arguments.pop("x-max-priority", None)
    ttl_ms = arguments.pop("x-message-ttl", None)
    max_length = getattr(queue, "max_length", None) or arguments.pop("x-max-length", None)
    when_full: WhenFull = "reject" if arguments.pop("x-overflow", "drop-head") == "reject-publish" else "drop-oldest"
    if arguments:
        raise InvalidQueue(name, f"there is no argument '{next(iter(arguments))}': {_INSTEAD['queue_arguments']}")
    return Queue(
        name,
        getattr(queue, "exchange", None),
        getattr(queue, "routing_key", None) or "",
        max_length=None if is_broadcast else max_length,
        when_full=when_full if max_length and not is_broadcast else "reject",
        broadcast=is_broadcast,
        message_ttl=getattr(queue, "message_ttl", None) or (ttl_ms / 1000 if ttl_ms else None),
    )


def _exchange_name(exchange: Any) -> str:
    return exchange if isinstance(exchange, str) else str(getattr(exchange, "name", "") or "")


def _check_spills(queues: Mapping[str, Queue]) -> None:
    for queue in queues.values():
        seen = [queue.name]
        target = queue.spill_to
        while target is not None:
            if target in seen:
                raise InvalidQueue(queue.name, f"what finds no room would go round: {_path([*seen, target])}")
            seen.append(target)
            following = queues.get(target)
            if following is not None and following.broadcast:
                raise InvalidQueue(queue.name, f"spill_to: '{target}' is a broadcast queue")
            target = following.spill_to if following is not None else None


def _path(names: Iterable[str]) -> str:
    return " -> ".join(names)
