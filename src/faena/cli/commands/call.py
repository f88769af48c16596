"""`faena call`: send one task."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import datetime
from json import loads
from typing import TYPE_CHECKING, Annotated, Any

from faena._lib.arguments import Argument, Option
from faena._lib.arguments.convert import to_seconds
from faena.backend import need_backend
from faena.cli.options import Json
from faena.cli.outcome import print_outcome, wait_for
from faena.cli.session import Session
from faena.errors import NotRegistered, UsageError

if TYPE_CHECKING:
    from faena.tasks.task import Task

_TEXT_ANNOTATIONS = (str, "str", str | None, "str | None")


def duration(text: str) -> float:
    return to_seconds(text.replace(" ", ""))


def _json_list(text: str) -> list[Any]:
    found: list[Any] = _json_of(text, list, "a JSON list such as [1, 2]")
    return found


def _json_object(text: str) -> dict[str, Any]:
    found: dict[str, Any] = _json_of(text, dict, 'a JSON object such as {"a": 1}')
    return found


def _json_of(text: str, kind: type, expected: str) -> Any:
    try:
        value = loads(text)
    except ValueError as error:
        raise ValueError(f"{expected} ({error})") from None
    if not isinstance(value, kind):
        raise ValueError(expected)
    return value


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError("NAME=VALUE")
    return name, value


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a moment such as 2030-01-31T09:00 or 2030-01-31T09:00+01:00") from None


def _duration_or_moment(text: str) -> float | datetime:
    try:
        return duration(text)
    except ValueError:
        return _moment(text)


def call(
    session: Session,
    task: Annotated[str, Argument("Name of the task.")],
    *words: Annotated[str, Argument("Its arguments: JSON, or text where that is none.")],
    args: Annotated[Any, Option("-a", "--args", metavar="JSON", convert=_json_list, help="Arguments as a list.")] = None,
    kwargs: Annotated[Any, Option("--kwargs", metavar="JSON", convert=_json_object, help="Arguments by name.")] = None,
    named: Annotated[
        Sequence[Any], Option("-k", "--kwarg", metavar="NAME=VALUE", convert=_pair, help="One argument by name.")
    ] = (),
    queue: Annotated[str, Option("-Q", "--queue", metavar="QUEUE", help="Queue to send it to.")] = "",
    countdown: Annotated[
        float | None, Option("--countdown", metavar="TIME", convert=duration, help="Run it after so long: 90, 5m.")
    ] = None,
    eta: Annotated[Any, Option("--eta", metavar="MOMENT", convert=_moment, help="Run it at this moment.")] = None,
    expires: Annotated[
        Any,
        Option("--expires", metavar="TIME", convert=_duration_or_moment, help="Do not begin it later: 5m, or a moment."),
    ] = None,
    priority: Annotated[int | None, Option("--priority", metavar="0-9", help="A higher number runs first.")] = None,
    task_id: Annotated[str, Option("--id", metavar="ID", help="Id of the task, instead of a new one.")] = "",
    wait: Annotated[bool, Option("-w", "--wait", help="Wait for the result, and print it.")] = False,
    timeout: Annotated[
        float | None, Option("-t", "--timeout", metavar="TIME", convert=duration, help="Wait, for so long at most.")
    ] = None,
    by_name: Annotated[bool, Option("--by-name", help="Send it although its code is not here.")] = False,
    json: Json = False,
) -> int:
    """Send a task, and wait for its result if asked to.

    Each argument is read as JSON (3, true, null, [1, 2], {"a": 1}); what is no JSON is a text, and so is what the task's
    annotation calls one. Prints the id of the task; with --wait its result.

    Exit code: 0 it was sent, or has succeeded; 1 it has failed, or the time was up; 2 nothing was sent.
    """
    if args is not None and words:
        raise UsageError("give the arguments as words or with --args, not both")
    found = _task_named(session, task, by_name=by_name)
    waits = wait or timeout is not None
    if waits:
        need_backend(session.link.backend, "results of tasks")
        _refuse_without_result(session, task, found)
    given_args, given_kwargs = _arguments(found, words, args, kwargs, named)
    options = _given(queue=queue, countdown=countdown, eta=eta, expires=expires, priority=priority, task_id=task_id)
    if found is None:
        result = session.connected_app.send_task(task, given_args, given_kwargs, **options)
    else:
        result = found.apply_async(given_args, given_kwargs, **options)
    if waits:
        session.out.remark(result.id)
        return print_outcome(session, wait_for(session, result, timeout), json=json)
    if json:
        session.out.json({"id": result.id, "task": task})
    else:
        session.out.line(result.id)
    return 0


COMMAND = call


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, "")}


def _task_named(session: Session, name: str, *, by_name: bool) -> Task[..., Any] | None:
    """Return the task, or None where its code is not here and need not be."""
    app = session.any_app
    found: Task[..., Any] | None = app.tasks.get(name)
    if found is None and not by_name and app.tasks:
        missing = NotRegistered(name, app.tasks, where=f"app '{app.main or 'faena'}'")
        raise UsageError(f"{missing}\nTo send a task whose code is not here: --by-name")
    return found


def _refuse_without_result(session: Session, name: str, task: Task[..., Any] | None) -> None:
    ignores = task.ignore_result if task is not None else None
    if session.any_app.conf.task_ignore_result if ignores is None else ignores:
        raise UsageError(f"task '{name}' keeps no result to wait for (ignore_result); send it without --wait")


def _arguments(
    task: Task[..., Any] | None,
    words: Sequence[str],
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    named: Sequence[tuple[str, str]],
) -> tuple[list[Any], dict[str, Any]]:
    texts = _texts_of(task)
    positional = list(args) if args is not None else [_value_of(word, index, texts) for index, word in enumerate(words)]
    return positional, {**(kwargs or {}), **{name: _value_of(word, name, texts) for name, word in named}}


def _texts_of(task: Task[..., Any] | None) -> frozenset[str | int]:
    """Return the names and positions of the parameters that are annotated as text."""
    if task is None:
        return frozenset()
    parameters = list(inspect.signature(task.function).parameters.values())[int(task.is_bound) :]
    texts = {index: each.name for index, each in enumerate(parameters) if each.annotation in _TEXT_ANNOTATIONS}
    return frozenset(texts) | frozenset(texts.values())


def _value_of(word: str, place: str | int, texts: frozenset[str | int]) -> Any:
    if place in texts:
        return word
    try:
        return loads(word)
    except ValueError:
        return word
