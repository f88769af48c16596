"""Which queue a call goes to when neither the call nor the task says so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from faena.errors import InvalidSetting, did_you_mean
from faena.model.message import Message
from faena.model.queue import Queue, is_limited, is_special
from faena.tasks.call import Call, Declared

if TYPE_CHECKING:
    from faena.tasks.flow import Flow
    from faena.tasks.task import Task

Route: TypeAlias = Callable[[Call], Mapping[str, Any]]
HomeCheck: TypeAlias = Callable[[str, str], None]
"""Takes a queue and the broker that a route names beside it; raises ConfigurationError where it lives on another."""

_ALLOWED = frozenset(
    {"queue", "priority", "serializer", "expires", "ignore_result", "result_expires", "time_limit", "soft_time_limit",
     "headers", "when_full", "broker"}
)  # fmt: skip
_OF_EXCHANGES = frozenset(
    {"exchange", "exchange_type", "routing_key", "delivery_mode", "immediate", "mandatory", "compression"}
)
"""What Celery's routes may say besides: beside a queue it changes nothing, without one it has to find a declared queue."""


def router_from(routes: Any, queues: Mapping[str, Queue], check: HomeCheck | None = None) -> Route | None:
    """Compile `task_routes`: a mapping from name, glob or compiled pattern to options, a function, or a list of those.

    A function is called with (name, args, kwargs, options) and returns options, a queue's name, or None. `queues` are the
    declared ones: a route may name one by its exchange and routing key. `check` looks at those that name a broker, too.
    Raises InvalidSetting.
    """
    if not routes:
        return None
    return partial(_first_of, list(_Reader(queues, check).steps(routes)))


def mind_bounds(messages: Iterable[Message], declared: Declared) -> bool:
    """Whether any of these goes to a queue that has a bound."""
    queues = [declared.special.get(message.queue) for message in messages]
    return any(queue is not None and queue.max_length is not None for queue in queues)


def declared_in(queues: Mapping[str, Queue], creates_missing: bool) -> Declared | None:
    """Return what a sender has to know of the declared queues; None: nothing."""
    special = {name: queue for name, queue in queues.items() if is_special(queue)}
    if creates_missing and not special:
        return None
    return Declared(special, None if creates_missing else frozenset(queues))


def flow_in(tasks: Mapping[str, Task[..., Any]], default_rate: Any, queues: Mapping[str, Queue]) -> Flow | None:
    """Return what a sender has to know of limits; None: there are none."""
    if not default_rate and not any(map(is_limited, queues.values())) and not any(task.has_flow for task in tasks.values()):
        return None
    from faena.tasks.flow import flow_of  # the law of limits loads with the first of them

    return flow_of(tasks, default_rate, queues)


def queues_named_in(routes: Any, queues: Mapping[str, Queue]) -> Sequence[str]:
    """Return the queues that routes name; functions cannot be asked."""
    if isinstance(routes, Mapping):
        return [options["queue"] for options in _Reader(queues).all_of(routes) if options.get("queue")]
    if isinstance(routes, list | tuple):
        return [queue for part in routes for queue in queues_named_in(_as_mapping(part), queues)]
    return []


def homes_named_in(routes: Any, queues: Mapping[str, Queue]) -> list[tuple[str, str]]:
    """Return the queues beside which routes name a broker, with that; functions cannot be asked."""
    if isinstance(routes, Mapping):
        found: list[tuple[str, str]] = []
        _Reader(queues, lambda queue, broker: found.append((queue, broker))).all_of(routes)
        return found
    if isinstance(routes, list | tuple):
        return [pair for part in routes for pair in homes_named_in(_as_mapping(part), queues)]
    return []


def _first_of(steps: Sequence[Route], call: Call) -> Mapping[str, Any]:
    for step in steps:
        found = step(call)
        if found:
            return found
    return {}


class _Reader:
    """Reads routes; knows the queues that are declared."""

    def __init__(self, queues: Mapping[str, Queue], check: HomeCheck | None = None) -> None:
        self._queues, self._check = queues, check

    def all_of(self, routes: Mapping[Any, Any]) -> list[dict[str, Any]]:
        return [self.options_of(value) for value in routes.values()]

    def steps(self, routes: Any) -> Iterable[Route]:
        routes = _as_mapping(routes)
        if isinstance(routes, str):
            routes = _imported(routes)
        if isinstance(routes, Mapping):
            exact = {_name_of(name): self.options_of(value) for name, value in routes.items() if _is_exact(_name_of(name))}
            if exact:
                yield lambda call: exact.get(call.task, {})
            for pattern, value in routes.items():
                if not _is_exact(_name_of(pattern)):
                    compiled = re.compile(translate(pattern)) if isinstance(pattern, str) else pattern
                    if not isinstance(compiled, re.Pattern):
                        raise InvalidSetting(
                            "task_routes", pattern, "a task is named by a text, a glob, a compiled pattern, or itself"
                        )
                    yield partial(_by_pattern, compiled, self.options_of(value))
        elif hasattr(routes, "route_for_task"):
            yield partial(self._by_function, lambda name, args, kwargs, _: routes.route_for_task(name, args, kwargs))
        elif callable(routes):
            yield partial(self._by_function, routes)
        elif isinstance(routes, list | tuple):
            for part in routes:
                yield from self.steps(part)
        else:
            raise InvalidSetting("task_routes", routes, "expected a mapping, a function, or a list of those")

    def _by_function(self, function: Callable[..., Any], call: Call) -> Mapping[str, Any]:
        return self.options_of(function(call.task, call.args, call.kwargs, call.options))

    def options_of(self, value: Any) -> dict[str, Any]:
        """Return the options that one route gives."""
        if value is None:
            return {}
        if isinstance(value, str):
            return {"queue": value}
        if isinstance(value, Queue):
            value = {"queue": value}
        if not isinstance(value, Mapping):
            raise InvalidSetting("task_routes", value, "a route is a queue, or a mapping of options")
        for name in value:
            if name not in _ALLOWED and name not in _OF_EXCHANGES:
                hint = did_you_mean(str(name), _ALLOWED) or f"; it says a queue, or some of {', '.join(sorted(_ALLOWED))}"
                raise InvalidSetting("task_routes", value, f"a route has no option '{name}'{hint}")
        found = {name: each for name, each in value.items() if name in _ALLOWED}
        broker = found.pop("broker", None)
        if isinstance(queue := found.get("queue"), Queue):
            found["queue"], broker = queue.name, broker or queue.broker
        if "queue" not in found and (value.get("exchange") or value.get("routing_key")):
            found["queue"] = self._queue_bound_to(value)
        if broker is not None:
            if "queue" not in found:
                raise InvalidSetting("task_routes", value, "a queue lives on a broker: name the queue beside it")
            if self._check is not None:
                self._check(found["queue"], broker)
        return found

    def _queue_bound_to(self, route: Mapping[str, Any]) -> str:
        """Find the declared queue that Celery's words mean."""
        exchange, key = route.get("exchange"), route.get("routing_key")
        exchange = getattr(exchange, "name", exchange)
        found = [
            queue.name
            for queue in self._queues.values()
            if (key is None or queue.routing_key == key) and (exchange is None or exchange in (queue.exchange, queue.name))
        ]
        if len(found) != 1:
            reason = "no queue of task_queues has them" if not found else f"they fit {' and '.join(found)}"
            raise InvalidSetting(
                "task_routes", route, f"exchange and routing_key name no single queue ({reason}); say 'queue'"
            )
        return found[0]


def _by_pattern(pattern: re.Pattern[str], options: Mapping[str, Any], call: Call) -> Mapping[str, Any]:
    return options if pattern.match(call.task) else {}


def _as_mapping(part: Any) -> Any:
    """Return a pair (what, where to) as a mapping."""
    if not isinstance(part, tuple) or len(part) != 2 or not isinstance(part[1], str | Mapping | Queue):
        return part
    is_task = isinstance(part[0], str | re.Pattern) or hasattr(part[0], "delay")
    return {part[0]: part[1]} if is_task else part


def _imported(path: str) -> Any:
    """Return the function or mapping that a text such as 'shop.routes.route_task' names."""
    module, _, attribute = path.replace(":", ".").rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidSetting("task_routes", path, f"a text names a function, as 'module.function': {error}") from error


def _name_of(key: Any) -> Any:
    """Return the name of a task that stands for itself."""
    return key.name if hasattr(key, "delay") else key


def _is_exact(name: Any) -> bool:
    return isinstance(name, str) and not any(mark in name for mark in "*?[")
