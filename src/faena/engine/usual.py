"""The usual call: a plain function without options, which succeeds. What others here do with it, in less time.

    delivery ──begin──▶ an attempt that may run now, or None: it is for `Runner.begin`
    value ──succeeded──▶ completion and event

A batch of empty tasks spends most of its time on the way through functions that look at what hardly any task has. Here
one look tells that a task has none of it, for all its calls, and one more that a call has none. Whatever is not usual, and
whatever goes wrong, is left to those that know all cases, as if nothing had been tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from faena.backend import Completion
from faena.engine.attempt import Attempt, Runner
from faena.engine.completion import Completer, short_text
from faena.engine.outcome import Succeeded
from faena.engine.rules import Rules
from faena.model.delivery import Ack, Delivery
from faena.model.event import Event, EventKind
from faena.model.result import ResultRecord, State
from faena.tasks.context import Request
from faena.tasks.options import seconds
from faena.tasks.task import Task

_SUCCEEDED, _SUCCESS = EventKind.TASK_SUCCEEDED, State.SUCCESS
_NONE = range(0)


class _Known(Struct, frozen=True):
    """What holds for all calls of a task."""

    is_usual: bool
    task: Any = None
    counts: range = _NONE  # of arguments that need not be looked at
    keep_s: float | None = 0  # how long a result is kept; 0: not at all; None: for ever


_UNKNOWN = _Known(False)


class Usual:
    """Tells the usual calls of one process from others, and makes their beginning and their end."""

    def __init__(self, runner: Runner, completer: Completer, rules: Rules, tasks: Mapping[str, Task[..., Any]]) -> None:
        self._completer, self._rules, self._tasks = completer, rules, tasks
        self._clock = runner.clock
        self._hostname, self._serializer = rules.hostname, rules.result_serializer
        codecs = runner.codecs
        self._encode = codecs.named(self._serializer).encode
        self._content = self._serializer if codecs.may_read(self._serializer) else None
        self._decode = codecs.named(self._serializer).decode
        self._known: dict[str, _Known] = {}  # by the name of the task

    def begin(self, delivery: Delivery) -> Attempt | None:
        """Make a usual call ready to run, and note that it begins; None: it is not one, or something is wrong."""
        message = delivery.message
        known = self._known.get(message.task) or self._look_at(message.task)
        if (
            not known.is_usual
            or delivery.verdict is not None
            or message.content != self._content
            or message.member is not None
            or message.expires_at_s is not None
            or message.soft_time_limit_s is not None
            or message.time_limit_s is not None
            or message.ignore_result is not None
            or message.result_expires_s is not None
            or message.on_success
        ):
            return None
        try:
            args, kwargs = self._decode(message.body)
            if kwargs or len(args) not in known.counts:
                args, kwargs = known.task.arguments.coerce(args, kwargs)
        except Exception:  # noqa: BLE001 - who looks at all cases meets it again, and says what it means
            return None
        now_s = self._clock()
        request = Request(message, args, kwargs, self._hostname, delivery.deliveries, False, now_s)
        return Attempt(delivery, known.task, args, kwargs, request, now_s)

    def succeeded(self, attempt: Attempt, value: Any) -> tuple[Completion, Event]:
        """Say what has to happen now that a usual call has returned this."""
        completer, request = self._completer, attempt.request
        if completer.on_end is not None or request.durable is not None:
            return completer.complete(attempt, Succeeded(value))
        delivery, now_s = attempt.delivery, self._clock()
        message, record = delivery.message, None
        keep_s = self._known[message.task].keep_s
        if keep_s != 0:
            try:
                encoded = None if value is None else self._encode(value)
            except Exception:  # noqa: BLE001 - the same
                return completer.complete(attempt, Succeeded(value))
            record = ResultRecord(
                message.id, message.task, _SUCCESS, encoded, self._serializer, None, message.retries,
                attempt.started_at_s, now_s, self._hostname, message.root_id, message.parent_id,
                tuple(request.children) if request.children else (), message.queue,
                None if keep_s is None else now_s + keep_s,
            )  # fmt: skip
        event = Event(
            _SUCCEEDED, now_s, self._hostname, message.id, message.task, message.queue, message.retries,
            now_s - attempt.started_at_s, short_text(value) if completer.describes and value is not None else "",
        )  # fmt: skip
        return Completion(Ack(delivery), record), event

    def _look_at(self, name: str) -> _Known:
        task = self._tasks.get(name)
        if task is None:
            return _UNKNOWN  # it may become known later
        is_usual = not (task.is_coroutine or task.batch is not None or task.hooks or task.returns_signature)
        is_usual = is_usual and not (task.soft_time_limit or task.time_limit)
        ignores = self._rules.ignore_result if task.ignore_result is None else task.ignore_result
        keep_s = self._rules.result_expires_s if task.result_expires is None else seconds(task.result_expires)
        counts = task.arguments.counts_taken_as_they_are() if is_usual else _NONE
        found = self._known[name] = _Known(is_usual, task, counts, 0 if ignores else (keep_s or None))
        return found
