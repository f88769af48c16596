"""Which queue a call goes to when neither the call nor the task says so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate
from functools import partial
from typing import Any, TypeAlias

from faena.errors import InvalidSetting
from faena.tasks.call import Call

Route: TypeAlias = Callable[[Call], Mapping[str, Any]]

_ALLOWED = frozenset({"queue", "priority", "serializer", "expires", "ignore_result", "result_expires"})


def router_from(routes: Any) -> Route | None:
    """Compile `task_routes`: a mapping from name, glob or compiled pattern to options, a function, or a list of those.

    A function is called with (name, args, kwargs, options) and returns options, a queue's name, or None.
    Raises InvalidSetting.
    """
    if not routes:
        return None
    steps = list(_steps(routes))
    return partial(_first_of, steps)


def queues_named_in(routes: Any) -> Sequence[str]:
    """Return the queues that routes name; functions cannot be asked."""
    if isinstance(routes, Mapping):
        options = [_options_of(value) for value in routes.values()]
        return [option["queue"] for option in options if option.get("queue")]
    if isinstance(routes, list | tuple):
        return [queue for part in routes for queue in queues_named_in(part)]
    return []


def _first_of(steps: Sequence[Route], call: Call) -> Mapping[str, Any]:
    for step in steps:
        found = step(call)
        if found:
            return found
    return {}


def _steps(routes: Any) -> Iterable[Route]:
    if isinstance(routes, Mapping):
        exact = {name: _options_of(value) for name, value in routes.items() if _is_exact(name)}
        yield lambda call: exact.get(call.task, {})
        for pattern, value in routes.items():
            if not _is_exact(pattern):
                compiled = re.compile(translate(pattern)) if isinstance(pattern, str) else pattern
                yield partial(_by_pattern, compiled, _options_of(value))
    elif callable(routes):
        yield partial(_by_function, routes)
    elif isinstance(routes, list | tuple):
        for part in routes:
            if isinstance(part, tuple) and len(part) == 2 and not callable(part[0]):
                part = {part[0]: part[1]}
            yield from _steps(part)
    else:
        raise InvalidSetting("task_routes", routes, "expected a mapping, a function, or a list of those")


def _by_pattern(pattern: re.Pattern[str], options: Mapping[str, Any], call: Call) -> Mapping[str, Any]:
    return options if pattern.match(call.task) else {}


def _by_function(function: Callable[..., Any], call: Call) -> Mapping[str, Any]:
    return _options_of(function(call.task, call.args, call.kwargs, call.options))


def _is_exact(name: Any) -> bool:
    return isinstance(name, str) and not any(mark in name for mark in "*?[")


def _options_of(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, str):
        return {"queue": value}
    if isinstance(value, Mapping) and _ALLOWED.issuperset(value):
        return dict(value)
    raise InvalidSetting("task_routes", value, f"a route says a queue, or some of {', '.join(sorted(_ALLOWED))}")
