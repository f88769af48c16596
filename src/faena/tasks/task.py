"""What users write: a function that can be sent away.

A task is a function with a name, options, and the ways to call it. Subclass Task and give the class as `base=` to add
behaviour: the hooks below do nothing by themselves and cost nothing unless they are overridden.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, ParamSpec, TypeVar, Unpack, cast

from faena.errors import InvalidArguments, InvalidTask, MaxRetriesExceededError, WorkflowError
from faena.model.result import State
from faena.model.retry import RetryPolicy
from faena.signals import Replace, Retry
from faena.tasks import durable
from faena.tasks.arguments import ArgumentSpec
from faena.tasks.call import Call, due_at_s
from faena.tasks.canvas import Canvas, Group
from faena.tasks.context import Request, current_request
from faena.tasks.dispatcher import Dispatcher
from faena.tasks.options import CLAIM_OPTIONS, TASK_OPTIONS, SendOptions, seconds
from faena.tasks.result import AsyncResult as _AsyncResult
from faena.tasks.result import EagerResult
from faena.tasks.signature import Signature

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
T = TypeVar("T")

_CO_COROUTINE = 0x80
_PROGRESS_EVERY_S = 0.1
_CALL_OPTIONS = ("queue", "priority", "serializer", "expires", "ignore_result", "result_expires")

_outside = Request()


class _FromSettings:
    """An option that a setting of the app decides unless the task says it. Read when needed: settings may come later."""

    def __init__(self, setting: str) -> None:
        self._setting = setting

    def __get__(self, task: Task[..., Any] | None, owner: type | None = None) -> Any:
        return self if task is None else getattr(task._dispatcher.conf, self._setting)


class Task(Generic[P, R]):
    """A function that can run here, in the background, on another machine. Made by `@app.task`."""

    # Options, with their defaults; None means that the app's setting decides.
    name: str = ""
    queue: str | None = None
    priority: int | None = None
    serializer: str | None = None
    expires: float | timedelta | None = None
    max_retries: int | None = cast("Any", _FromSettings("task_max_retries"))
    default_retry_delay: float = cast("Any", _FromSettings("task_default_retry_delay"))
    autoretry_for: tuple[type[BaseException], ...] | Mapping[type[BaseException], RetryPolicy] = ()
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    retry_kwargs: ClassVar[dict[str, Any]] = {}
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600.0
    retry_jitter: bool | float = True
    time_limit: float | None = None
    soft_time_limit: float | None = None
    acks_late: bool | None = None
    track_started: bool | None = None
    ignore_result: bool | None = None
    store_errors_even_if_ignored: bool | None = None
    result_expires: float | timedelta | None = None
    dead_letter: bool | None = None
    rate_limit: str | float | None = None
    concurrency: int | None = None
    limit_key: str | Callable[..., Any] | None = None
    fair_key: str | Callable[..., Any] | None = None
    limits: Sequence[Limit] = ()
    circuit_breaker: CircuitBreaker | bool | None = None
    throws: tuple[type[BaseException], ...] = ()
    typing: bool = True
    returns_signature: bool = False
    aliases: tuple[str, ...] = ()
    batch: Batch | None = None
    unique: Any = None
    debounce: Any = None
    throttle: Any = None

    def __init__(
        self, dispatcher: Dispatcher, name: str, function: Callable[..., Any], options: Mapping[str, Any], *, bind: bool
    ) -> None:
        self._dispatcher = dispatcher
        self.name, self.function, self.is_bound = name, function, bind
        for option, value in options.items():
            setattr(self, option, value)
        self.is_coroutine = is_coroutine_function(function)
        self.arguments = ArgumentSpec(name, function, skip_first=bind)
        self.hooks = frozenset(hook for hook in HOOKS if getattr(type(self), hook) is not getattr(Task, hook))
        self._defaults = {key: value for key in _CALL_OPTIONS if (value := getattr(self, key)) is not None}
        self._progress_at_s = 0.0
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", name)
        self.__module__ = getattr(function, "__module__", __name__)
        self.__wrapped__ = function
        self._check_options()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, as if it were no task."""
        if self.is_bound:
            return cast("R", self.function(self, *args, **kwargs))
        return cast("R", self.function(*args, **kwargs))

    # -- calling -------------------------------------------------------------------------------------------

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> _AsyncResult[R]:
        """Send the task with these arguments. Returns at once when the broker has taken it."""
        if self.typing:
            self.arguments.check(args, kwargs)
        return self._dispatcher.send_plain(self, args, kwargs)

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> _AsyncResult[R]:
        """Do as `delay`, without blocking the event loop."""
        return await self._dispatcher.asend_call(self._call(args, kwargs, cast("SendOptions", self._defaults)))

    def apply_async(
        self,
        args: tuple[Any, ...] | list[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> _AsyncResult[R]:
        """Send the task with options (see SendOptions)."""
        call = self._call(tuple(args or ()), kwargs or {}, self._merged(options))
        return self._dispatcher.send_call(call) if options else self._dispatcher.send_plain(self, call.args, call.kwargs)

    async def aapply_async(
        self,
        args: tuple[Any, ...] | list[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> _AsyncResult[R]:
        """Do as `apply_async`, without blocking the event loop."""
        return await self._dispatcher.asend_call(self._call(tuple(args or ()), kwargs or {}, self._merged(options)))

    def apply(
        self,
        args: tuple[Any, ...] | list[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool = False,
        **options: Unpack[SendOptions],
    ) -> EagerResult[R]:
        """Run the task here and now, with everything a worker does around it: retries, request, hooks."""
        call = self._call(tuple(args or ()), kwargs or {}, self._merged(options))
        return self._dispatcher.run_eagerly(call, throw=throw)

    async def aapply(
        self,
        args: tuple[Any, ...] | list[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool = False,
        **options: Unpack[SendOptions],
    ) -> EagerResult[R]:
        """Do as `apply`, without blocking the event loop: an `async def` runs in it, a function in a thread."""
        call = self._call(tuple(args or ()), kwargs or {}, self._merged(options))
        return await self._dispatcher.arun_eagerly(call, throw=throw)

    def s(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """Return a signature: this call, not yet sent."""
        options = cast("SendOptions", dict(self._defaults))
        return Signature(self.name, args, kwargs, options, dispatcher=self._dispatcher)

    def si(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """Return an immutable signature: it takes no result of the task before it."""
        return self.signature(args, kwargs, immutable=True)

    def signature(
        self,
        args: tuple[Any, ...] | list[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **options: Unpack[SendOptions],
    ) -> Signature[R]:
        """Return a signature with options."""
        return Signature(
            self.name,
            tuple(args or ()),
            kwargs,
            self._merged(options),
            immutable=immutable,
            dispatcher=self._dispatcher,
        )

    def map(self, items: Iterable[Any]) -> Signature[list[R]]:
        """Return a signature of one task that calls this one for each of `items`, one after the other."""
        return self._many("faena.map", items)

    def starmap(self, items: Iterable[Iterable[Any]]) -> Signature[list[R]]:
        """Do as `map`, where each item is the arguments of a call."""
        return self._many("faena.starmap", [list(each) for each in items])

    def chunks(self, items: Iterable[Iterable[Any]], size: int) -> Group:
        """Return a group of tasks, each of which makes `size` of the calls, one after the other; see `starmap`."""
        if size < 1:
            raise InvalidArguments(self.name, f"chunks consist of 1 call or more, not of {size}")
        every = [list(each) for each in items]
        parts = [self.starmap(every[at : at + size]) for at in range(0, len(every), size)]
        return Group(parts, app=self._dispatcher)

    def AsyncResult(self, task_id: str) -> _AsyncResult[R]:  # noqa: N802 - Celery's name
        """Return the handle of a call that was sent before."""
        return _AsyncResult(task_id, self._dispatcher.results, task_name=self.name)

    # -- from inside ---------------------------------------------------------------------------------------

    @property
    def request(self) -> Request:
        """The call that is running now."""
        return current_request.get() or _outside

    @property
    def app(self) -> Dispatcher:
        return self._dispatcher

    def retry(
        self,
        args: tuple[Any, ...] | list[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        *,
        eta: datetime | None = None,
        countdown: float | timedelta | None = None,
        max_retries: int | None = None,
        queue: str | None = None,
        priority: int | None = None,
    ) -> NoReturn:
        """End this attempt and run the task again later, under the same id. Always raises; write `raise self.retry()`.

        Unit: `countdown` in seconds, by default `default_retry_delay`. `args` and `kwargs` replace those of the call.
        Raises `exc`, or MaxRetriesExceededError, when `max_retries` is used up.
        """
        request = self.request
        if request.called_directly:
            raise exc or MaxRetriesExceededError(f"task '{self.name}' was called directly: there is nothing to retry")
        limit = max_retries if max_retries is not None else self.max_retries
        if limit is not None and request.retries >= limit:
            if exc is not None:
                raise exc
            raise MaxRetriesExceededError(f"task '{self.name}' has used up its {limit} retries")
        now_s = self._dispatcher.clock()
        if eta is None and countdown is None:
            countdown = self.default_retry_delay
        due = due_at_s(self.name, {"eta": eta, "countdown": countdown}, now_s, self._dispatcher.zone)
        raise Retry(
            exc=exc,
            due_at_s=due,
            args=None if args is None else tuple(args),
            kwargs=None if kwargs is None else dict(kwargs),
            queue=queue,
            priority=priority,
        )

    def replace(self, signature: Canvas[Any]) -> NoReturn:
        """End this task and let `signature` run in its place: what comes of it is this task's result. Always raises.

        Write `raise self.replace(...)`, or `return self.replace(...)`. What waits for this task waits on.
        """
        if not isinstance(signature, Canvas):
            raise WorkflowError("", f"task '{self.name}' is replaced by a signature, such as task.s(), not {signature!r}")
        if self.request.called_directly:
            raise WorkflowError("", f"task '{self.name}' was called directly: there is nothing to replace")
        raise Replace(signature)

    def add_to_chord(self, signature: Canvas[Any]) -> None:
        """Add a member to the group that this task belongs to; it is sent, and waited for, once this task has succeeded.

        Raises WorkflowError: it belongs to no group.
        """
        message = self.request.message
        if message is None or message.member is None or not message.member.is_grouped:
            raise WorkflowError("", f"task '{self.name}' is no member of a group, so nothing can be added to it")
        if not isinstance(signature, Canvas):
            raise WorkflowError("", f"a group consists of signatures, such as task.s(), not of {signature!r}")
        self.request.added.append(signature)

    def step(self, name: str, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call `function`, and remember what it returned: when this task runs again, that is returned at once.

        So a retry, or a crash, goes on after the last step that has finished. The value travels as results do.
        """
        return cast("T", durable.step(self, name, function, args, kwargs))

    async def astep(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Do as `step`, without blocking the event loop; `function` may be a coroutine function."""
        return await durable.astep(self, name, function, args, kwargs)

    def sleep(self, duration: float | timedelta) -> None:
        """Let the task go on after a time, of any length; it holds no place in a worker meanwhile, and survives crashes.

        The function begins anew then: what it has done before stands in steps (`step`), or happens again.
        """
        durable.sleep(self, duration)

    async def asleep(self, duration: float | timedelta) -> None:
        """Do as `sleep`, without blocking the event loop."""
        await durable.asleep(self, duration)

    def wait_for_event(self, event: str, timeout: float | timedelta | None = None) -> Any:
        """Return the value that `app.signal_event` gave; wait for that as `sleep` does. Raises EventTimeout."""
        return durable.wait_for_event(self, event, timeout)

    async def await_for_event(self, event: str, timeout: float | timedelta | None = None) -> Any:
        """Do as `wait_for_event`, without blocking the event loop."""
        return await durable.await_for_event(self, event, timeout)

    def update_state(self, task_id: str | None = None, state: str = State.PROGRESS, meta: Any = None) -> None:
        """Record a state of the running task, with data that callers see as `result.info`."""
        self._dispatcher.record_progress(self._own_id(task_id), state, meta)

    async def aupdate_state(self, task_id: str | None = None, state: str = State.PROGRESS, meta: Any = None) -> None:
        """Do as `update_state`, without blocking the event loop."""
        await self._dispatcher.arecord_progress(self._own_id(task_id), state, meta)

    def progress(self, current: float, total: float | None = None, text: str = "") -> None:
        """Record how far the task is; the command line and the dashboard draw it. Written ten times a second at most."""
        if self._progress_is_due(current, total):
            self.update_state(meta=_progress(current, total, text))

    async def aprogress(self, current: float, total: float | None = None, text: str = "") -> None:
        """Do as `progress`, without blocking the event loop."""
        if self._progress_is_due(current, total):
            await self.aupdate_state(meta=_progress(current, total, text))

    # -- hooks ---------------------------------------------------------------------------------------------

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Called before the function, in the same place."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Called after the function has returned."""

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called when the task has failed for good."""

    def on_retry(self, exc: BaseException | None, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called when the task is to run again."""

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called after each attempt that has ended the task."""

    # -- internals -----------------------------------------------------------------------------------------

    @property
    def has_flow(self) -> bool:
        """Whether it says anything of limits."""
        own = (self.rate_limit, self.concurrency, self.limit_key, self.fair_key)
        return bool(self.limits) or self.breaker is not None or any(each is not None for each in own)

    def retry_policy_for(self, error: BaseException) -> RetryPolicy | None:
        """Return the policy for an exception that `autoretry_for` names; None: the failure is final."""
        if not self.autoretry_for or isinstance(error, self.dont_autoretry_for):
            return None
        if isinstance(self.autoretry_for, Mapping):
            for kind in type(error).__mro__:
                if kind in self.autoretry_for:
                    return self.autoretry_for[kind]
            return None
        return self._policy if isinstance(error, tuple(self.autoretry_for)) else None

    def _many(self, name: str, items: Iterable[Any]) -> Signature[list[R]]:
        return Signature(
            name, (self.name, list(items)), None, self._merged({}), immutable=True, dispatcher=self._dispatcher
        )

    def _call(self, args: Any, kwargs: Mapping[str, Any], options: SendOptions) -> Call:
        if self.typing:
            self.arguments.check(args, kwargs)
        return Call(self.name, args, kwargs, options)

    def _merged(self, options: SendOptions) -> SendOptions:
        given = {name: value for name, value in options.items() if value is not None}
        return cast("SendOptions", {**self._defaults, **given} if self._defaults else given)

    def _own_id(self, task_id: str | None) -> str:
        found = task_id or self.request.id
        if found is None:
            raise RuntimeError(f"task '{self.name}' runs outside of a worker: give the task_id whose state to record")
        return found

    def _progress_is_due(self, current: float, total: float | None) -> bool:
        if self.request.called_directly:
            return False
        now_s = time.monotonic()
        if current != total and now_s - self._progress_at_s < _PROGRESS_EVERY_S:
            return False
        self._progress_at_s = now_s
        return True

    def _check_options(self) -> None:
        hard, soft = self.time_limit, self.soft_time_limit
        if (hard is not None and hard <= 0) or (soft is not None and soft <= 0):
            raise InvalidTask(f"task '{self.name}': a time limit must be more than 0 seconds")
        if hard is not None and soft is not None and soft >= hard:
            raise InvalidTask(f"task '{self.name}': soft_time_limit {soft:g} s must be less than time_limit {hard:g} s")
        self.rule, self.breaker = self._rule(), self._breaker()
        if self.batch is not None:
            self._declare_batch(self.batch)
        if self.has_flow:
            from faena.tasks.flow import TaskFlow  # only for those who have some

            TaskFlow(self)
        given: Any = self.autoretry_for
        if isinstance(given, type):
            self.autoretry_for = (given,)

    def _declare_batch(self, given: Any) -> None:
        """Take in `batch=`. Raises InvalidTask."""
        from faena.tasks.batch import batch_of  # only tasks that have one pay for it

        try:
            self.batch = batch_of(given)
        except (TypeError, ValueError) as error:
            raise InvalidTask(f"task '{self.name}': batch={given!r}: {error}") from None
        if not self.arguments.takes(1, {}):
            raise InvalidTask(f"task '{self.name}' runs in batches: its function takes one argument, the list of calls")
        if self.returns_signature:
            raise InvalidTask(f"task '{self.name}' runs in batches: a signature cannot run in the place of many calls")
        self.typing = False  # what a call takes is not what the function takes

    def _rule(self) -> Rule | None:
        """Return what its calls claim. Raises InvalidTask."""
        options = {name: value for name in CLAIM_OPTIONS if (value := getattr(self, name))}
        if not options:
            return None
        from faena.tasks.unique import check_key, rule_of  # only tasks that have one pay for it

        try:
            rule = rule_of(self.name, options)
            if rule is not None and self.batch is None:
                check_key(self.name, rule, self.arguments)
            return rule
        except InvalidArguments as error:
            raise InvalidTask(str(error)) from None

    def _breaker(self) -> Breaker | None:
        """Return what holds it back while it fails. Raises InvalidTask."""
        if not self.circuit_breaker:
            return None
        from faena.tasks.breaker import breaker_of  # only tasks that have one pay for it

        try:
            return breaker_of(self.circuit_breaker)
        except (TypeError, ValueError) as error:
            raise InvalidTask(f"task '{self.name}': circuit_breaker={self.circuit_breaker!r}: {error}") from None

    @cached_property
    def _policy(self) -> RetryPolicy:
        own = self.retry_kwargs
        return RetryPolicy(
            max_retries=own.get("max_retries", self.max_retries),
            delay_s=seconds(own.get("countdown", self.default_retry_delay)) or 0.0,
            backoff_s=float(self.retry_backoff) if self.retry_backoff else None,
            max_backoff_s=self.retry_backoff_max,
            jitter=float(self.retry_jitter),
        )

    def __repr__(self) -> str:
        return f"<@task: {self.name}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(f"task '{self.name}' cannot be pickled; send its name instead")


if TYPE_CHECKING:
    from faena.model.claim import Rule
    from faena.tasks.batch import Batch
    from faena.tasks.breaker import Breaker, CircuitBreaker
    from faena.tasks.flow import Limit

    class AsyncTask(Task[P, R]):
        """A task made of an `async def`: calling it directly gives a coroutine."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...  # type: ignore[override]


HOOKS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")
OPTION_NAMES = TASK_OPTIONS


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether calling `function` gives a coroutine; sees through partials and callable objects."""
    while hasattr(function, "func") and not hasattr(function, "__code__"):
        function = getattr(function, "func")  # noqa: B009 - of a partial
    code = getattr(function, "__code__", None) or getattr(getattr(function, "__call__", None), "__code__", None)  # noqa: B004
    return code is not None and bool(code.co_flags & _CO_COROUTINE)


def _progress(current: float, total: float | None, text: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"current": current, "total": total}
    if text:
        meta["text"] = text
    return meta
