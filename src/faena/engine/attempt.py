"""One run of a delivery: from the message in hand to how it ended.

`begin` turns a delivery into an attempt, or says at once how it ends; `run` and `run_coroutine` run the user's function in
the place that fits it; `complete` says what has to happen then. Nothing here waits for a broker: the caller carries out the
completion.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import msgspec

from faena.codec import CodecSet
from faena.engine.outcome import (
    Failed,
    Ignored,
    Interrupted,
    Outcome,
    Rejected,
    Replaced,
    Retried,
    Revoked,
    Succeeded,
    Suspended,
)
from faena.errors import (
    CodecError,
    InvalidArguments,
    NotRegistered,
    SoftTimeLimitExceeded,
    TimeLimitExceeded,
    WorkerLostError,
    WorkflowError,
)
from faena.model.delivery import Delivery, VerdictKind
from faena.model.inputs import FailedId, Nothing
from faena.signals import ControlSignal, Ignore, Reject, Replace, Retry, Suspend, Terminated
from faena.signals import Interrupted as InterruptedSignal
from faena.tasks.batch import BatchCall
from faena.tasks.canvas import Canvas
from faena.tasks.context import Request, current_request
from faena.tasks.errback import given_to
from faena.tasks.task import Task
from faena.tasks.values import decoded

_NOT_BEGUN = Request()


class Attempt(msgspec.Struct, eq=False):
    """A delivery that is about to run, or runs."""

    delivery: Delivery
    task: Task[..., Any]
    args: Any
    kwargs: dict[str, Any]
    request: Request = msgspec.field(default_factory=lambda: _NOT_BEGUN)
    started_at_s: float = 0.0
    signal: BaseException | None = None  # raised in a coroutine in the place of its next cancellation
    calls: Sequence[BatchCall] | None = None  # of one run for many deliveries, see `faena.engine.batch`


class Ended:
    """A delivery that needs no run: how it ends is known."""

    __slots__ = ("delivery", "outcome", "task")

    def __init__(self, delivery: Delivery, outcome: Outcome, task: Task[..., Any] | None = None) -> None:
        self.delivery, self.outcome, self.task = delivery, outcome, task


class Runner:
    """Runs attempts with the tasks and codecs of one app."""

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        codecs: CodecSet,
        *,
        hostname: str = "",
        crash_limit: int = 3,
        acks_late: bool = True,
        is_eager: bool = False,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.tasks, self.codecs, self._hostname = tasks, codecs, hostname
        self._crash_limit, self._clock, self._draw = crash_limit, clock, draw
        self._acks_late = acks_late
        self.clock = clock
        self._is_eager = is_eager

    def begin(self, delivery: Delivery) -> Attempt | Ended:
        """Make the delivery ready to run. Whatever is wrong with it becomes an outcome; nothing is raised."""
        message = delivery.message
        task = self.tasks.get(message.task)
        if task is None:
            return Ended(delivery, Failed(NotRegistered(message.task, self.tasks, where="this worker")))
        if delivery.verdict is not None and (outcome := self._judge(delivery, task)) is not None:
            return Ended(delivery, outcome, task)
        if message.expires_at_s is not None and message.expires_at_s <= self._clock():
            return Ended(delivery, Revoked("expired before it began"), task)
        try:
            args, kwargs = self.codecs.decode(message.content, message.body)
            if message.member is not None:
                args = self._with_input(delivery, task, args, kwargs)
            if task.batch is None:
                args, kwargs = task.arguments.coerce(args, kwargs)
            else:  # what its function takes is a list of calls
                args, kwargs = list(args), dict(kwargs)
        except (CodecError, InvalidArguments, WorkflowError) as error:
            return Ended(delivery, Failed(error), task)
        except (TypeError, ValueError) as error:  # a body that is no [args, kwargs]
            return Ended(delivery, Failed(InvalidArguments(message.task, f"malformed body: {error}")), task)
        except Exception as error:  # noqa: BLE001 - such as lists in lists, too deep for this interpreter
            return Ended(delivery, Failed(error), task)
        return Attempt(delivery, task, args, kwargs)

    def acks_late(self, task: Task[..., Any]) -> bool:
        """Whether a task may run again when its process has died; if not, it is noted that it has begun."""
        return self._acks_late if task.acks_late is None else task.acks_late

    def arguments_of(self, delivery: Delivery, task: Task[..., Any]) -> tuple[Any, Any]:
        """Return the arguments as the task gets them. Raises whatever is wrong with them."""
        message = delivery.message
        args, kwargs = self.codecs.decode(message.content, message.body)
        if message.member is not None:
            args = self._with_input(delivery, task, args, kwargs)
        return task.arguments.coerce(args, kwargs)

    def run(self, attempt: Attempt) -> Outcome:
        """Run a plain function in this thread."""
        task, request = attempt.task, self.start(attempt)
        token = current_request.set(request)
        try:
            try:
                if "before_start" in task.hooks:
                    _before_start(task, attempt)
                if task.is_bound:
                    return _returned(task, task.function(task, *attempt.args, **attempt.kwargs))
                return _returned(task, task.function(*attempt.args, **attempt.kwargs))
            except BaseException as error:  # noqa: BLE001 - around user code
                return self.outcome_of(attempt, error)
        finally:
            current_request.reset(token)

    async def run_coroutine(self, attempt: Attempt, uncancel: Callable[[], object]) -> Outcome:
        """Run an `async def` in the running loop. To interrupt it, set `attempt.signal` and cancel the asyncio task."""
        task, request = attempt.task, self.start(attempt)
        token = current_request.set(request)
        try:
            try:
                if "before_start" in task.hooks:
                    _before_start(task, attempt)
                own = (task, *attempt.args) if task.is_bound else attempt.args
                return _returned(task, await _Signalled(task.function(*own, **attempt.kwargs), attempt, uncancel))
            except BaseException as error:  # noqa: BLE001 - around user code
                return self.outcome_of(attempt, error)
        finally:
            current_request.reset(token)

    # -- internals -----------------------------------------------------------------------------------------

    def _with_input(self, delivery: Delivery, task: Task[..., Any], args: Any, kwargs: Any) -> Any:
        """Put what a node is given before its own arguments."""
        member = delivery.message.member
        assert member is not None
        if delivery.input is None:
            raise WorkflowError(member.workflow, f"what its node {member.node} is given could not be read")
        if isinstance(delivery.input, Nothing):
            return args
        if isinstance(delivery.input, FailedId):
            return given_to(task, delivery.input, args, kwargs, self.codecs.decode)
        return [decoded(delivery.input, self.codecs.decode), *args]

    def start(self, attempt: Attempt) -> Request:
        """Note that an attempt begins now."""
        now_s = attempt.started_at_s = self._clock()
        delivery = attempt.delivery
        message = delivery.message if attempt.calls is None else None  # one run of many is the run of none of them
        request = attempt.request = Request(
            message, attempt.args, attempt.kwargs, self._hostname, delivery.deliveries, self._is_eager, now_s
        )
        return request

    def _judge(self, delivery: Delivery, task: Task[..., Any]) -> Outcome | None:
        """Say how a delivery ends whose process was killed or died; None: it runs again."""
        verdict = delivery.verdict
        assert verdict is not None
        if verdict.kind is VerdictKind.TERMINATED:
            return Revoked("was revoked while it ran" + (f" ({verdict.detail})" if verdict.detail else ""))
        if verdict.kind is VerdictKind.TIME_LIMIT:
            error = TimeLimitExceeded(f"task '{task.name}' ran longer than its time limit{_in_brackets(verdict.detail)}")
            return self._retry_or_fail(delivery, task, error)
        if verdict.kind is VerdictKind.BEGUN or not self.acks_late(task):
            lost = verdict.detail or "its worker is gone"
            return Failed(WorkerLostError(f"task '{task.name}' is to run once at most, and did not end: {lost}"))
        if delivery.crashes >= self._crash_limit:
            return Failed(
                WorkerLostError(
                    f"the process that ran task '{task.name}' died {delivery.crashes} times, "
                    f"the last time {verdict.detail or 'of an unknown cause'}"
                )
            )
        return None

    def outcome_of(self, attempt: Attempt, error: BaseException) -> Outcome:
        """Say what an error means that the function has raised."""
        if attempt.calls is not None:
            return Failed(error)  # what that means is different for each call
        if isinstance(error, BaseExceptionGroup):
            error = _signal_within(error) or error
        if isinstance(error, ControlSignal):
            return _outcome_of_signal(error)
        if isinstance(error, SoftTimeLimitExceeded | TimeLimitExceeded) and not error.args:  # raised as a class, see lanes
            which = "soft time limit" if isinstance(error, SoftTimeLimitExceeded) else "time limit"
            text = f"task '{attempt.task.name}' ran longer than its {which}"
            error = type(error)(text).with_traceback(error.__traceback__)
        return self._retry_or_fail(attempt.delivery, attempt.task, error)

    def _retry_or_fail(self, delivery: Delivery, task: Task[..., Any], error: BaseException) -> Outcome:
        policy = task.retry_policy_for(error)
        retries = delivery.message.retries
        if policy is None or not policy.allows(retries):
            return Failed(error)
        asked_s = getattr(error, "retry_after", None)  # what a service said in its own words goes first
        wait_s = asked_s if isinstance(asked_s, int | float) and asked_s >= 0 else policy.wait_s(retries, self._draw())
        return Retried(error, self._clock() + wait_s if wait_s > 0 else None)


class _Signalled:
    """Awaits a coroutine; a cancellation that we asked for reaches it as `attempt.signal` instead of CancelledError."""

    __slots__ = ("_attempt", "_coroutine", "_uncancel")

    def __init__(self, coroutine: Any, attempt: Attempt, uncancel: Callable[[], object]) -> None:
        self._coroutine, self._attempt, self._uncancel = coroutine, attempt, uncancel

    def __await__(self) -> Generator[Any, Any, Any]:
        step, given = self._coroutine.send, None
        while True:
            try:
                waits_for = step(given)
            except StopIteration as end:
                return end.value
            try:
                given = yield waits_for
                step = self._coroutine.send
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is passed on
                signal, self._attempt.signal = self._attempt.signal, None
                if signal is not None:
                    self._uncancel()
                step, given = self._coroutine.throw, signal or error


def _before_start(task: Task[..., Any], attempt: Attempt) -> None:
    if attempt.calls is None:
        task.before_start(attempt.request.id or "", attempt.args, attempt.kwargs)
    for call in attempt.calls or ():
        task.before_start(call.id, call.args, call.kwargs)


def _returned(task: Task[..., Any], value: Any) -> Outcome:
    """A task that says so (`returns_signature`) is replaced by the signature that it returns."""
    return Replaced(value) if task.returns_signature and isinstance(value, Canvas) else Succeeded(value)


def _outcome_of_signal(signal: ControlSignal) -> Outcome:
    match signal:
        case Retry():
            return Retried(
                signal.exc,
                signal.due_at_s,
                signal.new_args,
                signal.new_kwargs,
                signal.queue,
                signal.priority,
            )
        case Reject():
            return Rejected(signal.reason, signal.requeue)
        case Ignore():
            return Ignored()
        case Replace():
            return Replaced(signal.signature)
        case Suspend():
            return Suspended(signal.due_at_s, signal.event)
        case Terminated():
            return Revoked("was revoked while it ran")
        case InterruptedSignal():
            return Interrupted()
    return Failed(signal)


def _signal_within(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """A task group in a coroutine wraps what was raised inside it."""
    found: BaseException | None = group.subgroup((ControlSignal, SoftTimeLimitExceeded))
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def retried_message(delivery: Delivery, outcome: Retried, codecs: CodecSet) -> Any:
    """Return the message of the next attempt: the same id, one retry more."""
    message = delivery.message
    body = message.body
    if outcome.args is not None or outcome.kwargs is not None:
        args, kwargs = codecs.decode(message.content, body)
        body = codecs.encode(
            message.content,
            [
                outcome.args if outcome.args is not None else args,
                outcome.kwargs if outcome.kwargs is not None else kwargs,
            ],
        )
    return msgspec.structs.replace(
        message,
        retries=message.retries + 1,
        due_at_s=outcome.due_at_s,
        body=body,
        queue=outcome.queue or message.queue,
        priority=message.priority if outcome.priority is None else outcome.priority,
        lane=message.lane if body is message.body and outcome.queue is None else None,  # None: the worker finds it anew
    )
