"""The app: where tasks, settings and connections come together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import tzinfo
from functools import cached_property
from importlib import import_module
from typing import Any, Literal, ParamSpec, Self, TypeVar, Unpack, cast, overload

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.app import asking
from faena.app.current import declare_shared_in, set_current
from faena.app.derived import default_queues_of, rules_of, sender_of
from faena.app.express import Express
from faena.app.journal import AppJournal
from faena.app.links import Link, Links
from faena.app.publishing import apublish, publish
from faena.app.results import AppResults
from faena.app.routing import mind_bounds
from faena.app.workflows import AppWorkflows
from faena.codecs.registry import Codecs
from faena.config.settings import Settings
from faena.engine.rules import Rules
from faena.errors import InvalidTask, NotRegistered
from faena.model.message import Message
from faena.model.queue import Queue, queues_of
from faena.model.result import ResultRecord
from faena.tasks.builtin import declare_builtin
from faena.tasks.call import Call, Sender, build_message
from faena.tasks.canvas import Canvas, links_in
from faena.tasks.compile import canvas_of, needs_workflow
from faena.tasks.context import current_request
from faena.tasks.errback import check_errback
from faena.tasks.group_result import GroupResults, ResultSet, WorkflowHandle
from faena.tasks.options import CLAIM_OPTIONS, SendOptions, TaskOptions, check_task_options, seconds
from faena.tasks.outline import outline
from faena.tasks.registry import Registry
from faena.tasks.result import AsyncResult as _AsyncResult
from faena.tasks.result import EagerResult
from faena.tasks.serialise import canvas_from
from faena.tasks.signature import Signature
from faena.tasks.task import Task as _Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from faena.app.buffering import Buffer, Buffers
    from faena.app.control import Control
    from faena.app.dead_letters import AppDeadLetters
    from faena.app.declared import DeclaredSchedules
    from faena.app.decorators import BatchTaskDecorator, BoundTaskDecorator, PeriodicDecorator, TaskDecorator
    from faena.app.limits import AppLimits
    from faena.app.schedules import AppSchedules
    from faena.tasks.batch import BatchLike
    from faena.tasks.scheduling import ScheduleOptions, When
    from faena.tasks.task import AsyncTask

P = ParamSpec("P")
R = TypeVar("R")


class Faena:
    """One application: its tasks, its settings, its connections.

    `broker` and `backend` are URLs; with none of both, a SQLite file in the project's `.faena` folder is everything.
    `brokers` are several, each with a name: `{"main": "redis://...", "bulk": "amqp://..."}`; see the guide on them.
    Further settings go by name, as in `app.conf`.
    """

    Task: type[_Task[..., Any]] = _Task

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        brokers: Mapping[str, Any] | None = None,
        backend: str | None = None,
        include: Iterable[str] = (),
        set_as_current: bool = True,
        **settings: Any,
    ) -> None:
        self.main = main
        self.clock: Callable[[], float] = time.time  # unix seconds; tests put their own in its place
        given = {"broker_url": broker, "brokers": brokers, "result_backend": backend, "include": list(include) or None}
        self.conf = Settings({**{key: value for key, value in given.items() if value is not None}, **settings})
        self.tasks = Registry(main or "faena")
        self.links = Links(self.conf)
        self.workflows = AppWorkflows(self)  # those that were sent: look at them, cancel them, run them again
        self.journal = AppJournal(self)  # what tasks remember of their finished steps, and events
        self.buffers: Buffers | None = None  # once `buffered` was used
        self._results: AppResults | None = None
        self._sender: Sender | None = None
        self._sender_revision = -1
        self._has_rules = False  # a task is unique, debounced or throttled
        self.send_plain = Express(self).send
        for name, function in declare_builtin(self).items():
            self.tasks.add_builtin(_Task(self, name, function, {}, bind=False))
        declare_shared_in(self)
        if set_as_current:
            set_current(self)

    # -- declaring -----------------------------------------------------------------------------------------

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> _Task[P, R]: ...
    @overload
    def task(self, *, batch: BatchLike, bind: bool = ..., **options: Unpack[TaskOptions]) -> BatchTaskDecorator: ...
    @overload
    def task(self, *, bind: Literal[True], **options: Unpack[TaskOptions]) -> BoundTaskDecorator: ...
    @overload
    def task(self, *, bind: Literal[False] = ..., **options: Unpack[TaskOptions]) -> TaskDecorator: ...
    def task(  # type: ignore[misc]  # the overloads say more than an implementation can
        self, function: Any = None, /, *, bind: bool = False, **options: Any
    ) -> Any:
        """Make a task of a function: `@app.task`, or with options `@app.task(bind=True, queue="mail")`."""
        if function is None:
            return lambda later: self.declare(later, bind=bind, **options)
        if not callable(function):
            raise InvalidTask(f"@app.task takes options by name only, not {function!r}")
        return self.declare(function, bind=bind, **options)

    def declare(self, function: Callable[..., Any], *, bind: bool = False, **options: Any) -> _Task[..., Any]:
        """Make a task of `function` and register it; declaring the same function again gives the same task."""
        if not callable(function):
            raise InvalidTask(f"a task is made of a function, not of {function!r}")
        name = options.get("name") or self._name_of(function)
        check_task_options(name, options)
        present = self.tasks.get(name)
        if present is not None and present.function is function:
            return cast("_Task[..., Any]", present)
        kind = options.get("base") or self.Task
        own = {key: value for key, value in options.items() if key not in ("name", "base")}
        task: _Task[..., Any] = kind(self, name, function, own, bind=bind)
        self.tasks.add(task)
        self._has_rules = self._has_rules or task.rule is not None
        if task.has_flow or task.rule is not None:
            self._sender = None  # it knows the limits of all tasks; and ways are made anew with it (`express`)
        return task

    def periodic(self, schedule: When, *, name: str | None = None, **options: Unpack[ScheduleOptions]) -> PeriodicDecorator:
        """Let a task (or a function, which becomes one) run on a schedule: `@app.periodic("*/5 * * * *")`.

        `schedule`: see `When`; `options`: see `ScheduleOptions`. Without a name it has that of the task. Called with a
        canvas, it lets that run: `app.periodic("@daily", name="night")(chain(...))`.
        """

        def declare(function: Any) -> Any:
            if isinstance(function, Canvas):
                self.declared.add(name or outline(function), function, schedule, options)
                return function
            task = function if hasattr(function, "apply_async") else self.declare(function)
            task_name: str = task.name
            self.declared.add(name or task_name, task_name, schedule, options)
            return task

        return cast("PeriodicDecorator", declare)

    def add_periodic_task(
        self,
        schedule: When,
        sig: Any,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        **options: Any,
    ) -> str:
        """Declare a schedule of a signature or canvas, as Celery has it; `options` are of the call. Returns its name."""
        from faena.app.declared import runs_of

        said: ScheduleOptions = {"options": options}
        if args is not None:
            said["args"] = args
        if kwargs is not None:
            said["kwargs"] = kwargs
        self.declared.add(name or repr(sig), runs_of(sig), schedule, said)
        return name or repr(sig)

    @property
    def on_after_configure(self) -> DeclaredSchedules:
        """Takes functions that declare schedules, as in Celery: `@app.on_after_configure.connect`."""
        return self.declared

    on_after_finalize = on_after_configure

    def load_modules(self) -> None:
        """Import the modules that `imports` and `include` name, so that their tasks are known."""
        for name in (*self.conf.imports, *self.conf.include):
            import_module(name)

    def set_current(self) -> None:
        """Let shared tasks go through this app."""
        set_current(self)

    # -- calling -------------------------------------------------------------------------------------------

    def send_task(
        self,
        name: str,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> _AsyncResult[Any]:
        """Send a task by its name; its code need not be here."""
        return self.send_call(Call(name, tuple(args or ()), kwargs or {}, options))

    async def asend_task(
        self,
        name: str,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> _AsyncResult[Any]:
        """Do as `send_task`, without blocking the event loop."""
        return await self.asend_call(Call(name, tuple(args or ()), kwargs or {}, options))

    def send_many(self, signatures: Iterable[Signature[R]]) -> ResultSet[R]:
        """Send many calls at once: far cheaper than one by one, and accepted together or not at all."""
        return ResultSet(self.send_calls(signature.as_call() for signature in signatures), self.results)

    async def asend_many(self, signatures: Iterable[Signature[R]]) -> ResultSet[R]:
        """Do as `send_many`, without blocking the event loop."""
        return ResultSet(await self.asend_calls(signature.as_call() for signature in signatures), self.results)

    def buffered(self, max_pending: int = 200) -> Buffer:
        """Collect the calls of a block and send them in batches: `with app.buffered():`, or `async with`; see Buffer."""
        from faena.app.buffering import Buffers

        self.buffers = self.buffers or Buffers(self)
        return self.buffers.new(max_pending)

    @overload
    def signature(
        self,
        name: str,
        args: Iterable[Any] = ...,
        kwargs: Mapping[str, Any] | None = ...,
        *,
        immutable: bool = ...,
        **options: Unpack[SendOptions],
    ) -> Signature[Any]: ...
    @overload
    def signature(self, name: Mapping[str, Any]) -> Canvas[Any]: ...
    def signature(
        self,
        name: str | Mapping[str, Any],
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **options: Unpack[SendOptions],
    ) -> Canvas[Any]:
        """Return a signature of a task by its name; its code need not be here. Also of what `as_dict` gave."""
        if isinstance(name, Mapping):
            return canvas_from(name, self)
        return Signature(name, tuple(args), kwargs, options, immutable=immutable, dispatcher=self)

    def AsyncResult(self, task_id: str) -> _AsyncResult[Any]:  # noqa: N802 - Celery's name
        """Return the handle of a call that was sent before, by anybody."""
        return _AsyncResult(task_id, self.results)

    @property
    def GroupResult(self) -> GroupResults:  # noqa: N802 - Celery's name
        """Gives the handle of a group that was sent before: `app.GroupResult(id)`, or `app.GroupResult.restore(id)`."""
        return GroupResults(self)

    def results_of(self, ids: Iterable[str]) -> ResultSet[Any]:
        """Return the handles of calls that were sent before."""
        return ResultSet([_AsyncResult(task_id, self.results) for task_id in ids], self.results)

    # -- the dispatcher that tasks see ---------------------------------------------------------------------

    def send_call(self, call: Call) -> _AsyncResult[Any]:
        if call.options and (canvas := canvas_of(call, self)) is not None:
            return cast("_AsyncResult[Any]", self.send_canvas(canvas, (), {}, {}))
        if self.conf.task_always_eager:
            return self.run_eagerly(call, throw=self.conf.task_eager_propagates)
        message = self._message(call)
        if self._has_rules or (call.options and not CLAIM_OPTIONS.isdisjoint(call.options)):
            from faena.app.claiming import send  # which only those who have such tasks pay for

            return send(self, call, message)
        self.publish([message], call.options)
        return self.handle_of(message)

    async def asend_call(self, call: Call) -> _AsyncResult[Any]:
        if call.options and (canvas := canvas_of(call, self)) is not None:
            return cast("_AsyncResult[Any]", await self.asend_canvas(canvas, (), {}, {}))
        if self.conf.task_always_eager:
            return self.run_eagerly(call, throw=self.conf.task_eager_propagates)
        message = self._message(call)
        if self._has_rules or (call.options and not CLAIM_OPTIONS.isdisjoint(call.options)):
            from faena.app.claiming import asend

            return await asend(self, call, message)
        await self.apublish([message], call.options)
        return self.handle_of(message)

    def send_calls(self, calls: Iterable[Call]) -> list[_AsyncResult[Any]]:
        if self.conf.task_always_eager:
            return [self.run_eagerly(call, throw=self.conf.task_eager_propagates) for call in calls]
        from faena.app.sending import handles_of, messages_of  # which who sends one by one does not need

        calls, messages = messages_of(self, calls)
        if self._has_rules or any(not CLAIM_OPTIONS.isdisjoint(call.options) for call in calls):
            from faena.app.claiming import send_all

            return send_all(self, calls, messages)
        self.publish(messages, {})
        return handles_of(self, messages)

    async def asend_calls(self, calls: Iterable[Call]) -> list[_AsyncResult[Any]]:
        if self.conf.task_always_eager:
            return [self.run_eagerly(call, throw=self.conf.task_eager_propagates) for call in calls]
        from faena.app.sending import handles_of, messages_of  # which who sends one by one does not need

        calls, messages = messages_of(self, calls)
        if self._has_rules or any(not CLAIM_OPTIONS.isdisjoint(call.options) for call in calls):
            from faena.app.claiming import asend_all

            return await asend_all(self, calls, messages)
        await self.apublish(messages, {})
        return handles_of(self, messages)

    def publish(self, messages: Sequence[Message], options: Mapping[str, Any]) -> None:
        """Send messages, minding the bounds of their queues; or let them wait with others of a block."""
        if self.buffers is not None and self.buffers.take(messages, options):
            return
        if (sender := self._sender) is not None and sender.declared is not None and mind_bounds(messages, sender.declared):
            from faena.app.bounded import publish_bounded

            publish_bounded(self, messages, options)
        else:
            publish(self.links, self.conf, messages, options)
        if sender is not None and sender.tells:
            asking.tell_sent(self, messages)

    async def apublish(self, messages: Sequence[Message], options: Mapping[str, Any]) -> None:
        if self.buffers is not None and await self.buffers.atake(messages, options):
            return
        if (sender := self._sender) is not None and sender.declared is not None and mind_bounds(messages, sender.declared):
            from faena.app.bounded import apublish_bounded

            await apublish_bounded(self, messages, options)
        else:
            await apublish(self.links, self.conf, messages, options)
        if sender is not None and sender.tells:
            await asking.atell_sent(self, messages)

    def send_canvas(self, canvas: Canvas[Any], args: Any, kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
        if isinstance(canvas, Signature) and not needs_workflow(canvas, options):
            return self.send_call(canvas.as_call(args, kwargs, **options))
        whole = canvas.clone(args, kwargs) if args or kwargs else canvas
        if self.conf.task_always_eager:
            return self.run_canvas(whole, (), {}, throw=self.conf.task_eager_propagates)
        return self.workflows.send(whole, options)

    async def asend_canvas(
        self, canvas: Canvas[Any], args: Any, kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Any:
        if isinstance(canvas, Signature) and not needs_workflow(canvas, options):
            return await self.asend_call(canvas.as_call(args, kwargs, **options))
        whole = canvas.clone(args, kwargs) if args or kwargs else canvas
        if self.conf.task_always_eager:
            return await self.arun_canvas(whole, (), {}, throw=self.conf.task_eager_propagates)
        return await self.workflows.asend(whole, options)

    def run_canvas(self, canvas: Canvas[Any], args: Any, kwargs: Mapping[str, Any], *, throw: bool) -> Any:
        if isinstance(canvas, Signature) and not needs_workflow(canvas, {}):
            return self.run_eagerly(canvas.as_call(args, kwargs), throw=throw)
        from faena.app.eager_workflow import run_workflow

        return run_workflow(self, canvas.clone(args, kwargs) if args or kwargs else canvas, throw=throw)

    async def arun_canvas(self, canvas: Canvas[Any], args: Any, kwargs: Mapping[str, Any], *, throw: bool) -> Any:
        if isinstance(canvas, Signature) and not needs_workflow(canvas, {}):
            return await self.arun_eagerly(canvas.as_call(args, kwargs), throw=throw)
        from faena.app.eager_workflow import arun_workflow

        return await arun_workflow(self, canvas.clone(args, kwargs) if args or kwargs else canvas, throw=throw)

    def run_eagerly(self, call: Call, *, throw: bool) -> EagerResult[Any]:
        if call.task not in self.tasks:
            raise NotRegistered(call.task, self.tasks, where=f"app '{self.main or 'faena'}'")
        if call.options and (canvas := canvas_of(call, self)) is not None:
            return cast("EagerResult[Any]", self.run_canvas(canvas, (), {}, throw=throw))
        from faena.app.eager import run_eagerly  # brings the engine: 20 ms that a client does not need

        return run_eagerly(self, call, throw=throw)

    async def arun_eagerly(self, call: Call, *, throw: bool) -> EagerResult[Any]:
        if call.task not in self.tasks:
            raise NotRegistered(call.task, self.tasks, where=f"app '{self.main or 'faena'}'")
        if call.options and (canvas := canvas_of(call, self)) is not None:
            return cast("EagerResult[Any]", await self.arun_canvas(canvas, (), {}, throw=throw))
        from faena.app.eager import arun_eagerly

        return await arun_eagerly(self, call, throw=throw)

    def record_progress(self, task_id: str, state: str, meta: Any) -> None:
        request = current_request.get()
        if request is None or not request.is_eager:
            run(self.links.blocking().backend.record([self._progress(task_id, state, meta)]))

    async def arecord_progress(self, task_id: str, state: str, meta: Any) -> None:
        request = current_request.get()
        if request is None or not request.is_eager:
            await (await self.links.asyncio()).backend.record([self._progress(task_id, state, meta)])

    # -- parts ---------------------------------------------------------------------------------------------

    @cached_property
    def control(self) -> Control:
        """Speak to workers: revoke, ask, command."""
        from faena.app.control import Control  # 6 ms that who only sends does not pay

        return Control(self.links, self.conf)

    @cached_property
    def limits(self) -> AppLimits:
        """Limits of rate and concurrency, as they stand; change them at run time."""
        from faena.app.limits import AppLimits

        return AppLimits(self.links)

    @cached_property
    def schedules(self) -> AppSchedules:
        """The schedules in the backend: look at them, change them."""
        from faena.app.schedules import AppSchedules  # 10 ms that only who uses them pays

        return AppSchedules(self)

    @cached_property
    def declared(self) -> DeclaredSchedules:
        """The schedules that the code declares."""
        from faena.app.declared import DeclaredSchedules

        return DeclaredSchedules(self)

    @cached_property
    def dead_letters(self) -> AppDeadLetters:
        """What nobody will run unless somebody asks for it: look at it, change it, put it back, throw it away."""
        from faena.app.dead_letters import AppDeadLetters  # what few programs need

        return AppDeadLetters(self)

    @cached_property
    def codecs(self) -> Codecs:
        conf = self.conf
        return Codecs({*conf.accept_content, *(conf.result_accept_content or ())})

    @property
    def results(self) -> AppResults:
        if self._results is None:
            self._results = AppResults(self.links, self.codecs, lambda: self.control, self.workflows)
        return self._results if self.buffers is None else self.buffers.sent_before(self._results)

    def signal_event(self, name: str, value: Any = None) -> None:
        """Let an event happen, once: every task that waits for it, or will (`self.wait_for_event`), goes on with `value`.

        A name belongs to one event: put into it what it is about, such as `f"paid-{order_id}"`.
        """
        self.journal.signal(name, value)

    async def asignal_event(self, name: str, value: Any = None) -> None:
        """Do as `signal_event`, without blocking the event loop."""
        await self.journal.asignal(name, value)

    explain, aexplain = asking.explain, asking.aexplain
    events, aevents = asking.events, asking.aevents
    breakers = cached_property(asking.breakers)

    def workflow(self, workflow_id: str) -> WorkflowHandle:
        """Return the handle of a workflow that was sent before, by anybody."""
        return WorkflowHandle(workflow_id, self.results)

    @property
    def zone(self) -> tzinfo:
        return self.sender.zone

    @property
    def sender(self) -> Sender:
        """What is the same for all messages; made anew when settings have changed."""
        if self._sender is None or self._sender_revision != self.conf.revision:
            self._sender = sender_of(self.conf, self.codecs, self.tasks, self.links.homes)
            self._sender_revision = self.conf.revision
        return self._sender

    def rules(self, hostname: str = "") -> Rules:
        """Return what decides which results are kept."""
        return rules_of(self.conf, hostname)

    @property
    def queues(self) -> Mapping[str, Queue]:
        """The queues that `task_queues` declares, by name."""
        return queues_of(self.conf.task_queues)

    def default_queues(self) -> list[str]:
        """Return the queues that a worker consumes when nobody says which."""
        return default_queues_of(self.conf, self.tasks.values())

    def connection(self) -> Link:
        """Return this thread's open broker and backend."""
        return self.links.blocking()

    def close(self) -> None:
        """Close all connections of threads. The app can be used again afterwards."""
        self.links.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self.links.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Faena {self.main or '(no name)'}: {len(self.tasks)} tasks>"

    # -- internals -----------------------------------------------------------------------------------------

    def _message(self, call: Call) -> Message:
        if not call.options and (task := self.tasks.get(call.task)) is not None and task._defaults:
            call = Call(call.task, call.args, call.kwargs, task._defaults)
        if call.options:
            self.check_errbacks(call)
        request = current_request.get()
        message = build_message(call, self.sender, now_s=self.clock(), new_id=new_id(), parent=request)
        if message.lane is not None and (homes := self.links.homes) is not None:
            from faena.app.homes import refuse_unlimited

            refuse_unlimited(self.links, homes, message)
        if request is not None:
            request.children.append(message.id)
        return message

    def check_errbacks(self, call: Call) -> None:
        for errback in links_in(call.options, "link_error") if "link_error" in call.options else ():
            if isinstance(errback, Signature):
                check_errback(errback, self.tasks, tells_failure=False)

    def handle_of(self, message: Message) -> _AsyncResult[Any]:
        """Return the handle of a call that was sent as this message."""
        ignored = message.ignore_result
        if ignored is None:
            ignored = self.ignores(message.task)
        return _AsyncResult(message.id, self.results, task_name=message.task, ignored=ignored)

    def ignores(self, task_name: str) -> bool:
        task = self.tasks.get(task_name)
        own: bool | None = task.ignore_result if task is not None else None
        return self.conf.task_ignore_result if own is None else own

    def _progress(self, task_id: str, state: str, meta: Any) -> ResultRecord:
        serializer = self.conf.result_serializer
        request = current_request.get()
        message = request.message if request is not None and request.id == task_id else None
        keep_s = seconds(self.conf.result_expires)
        return ResultRecord(
            id=task_id,
            task=message.task if message is not None else "",
            state=state,
            value=None if meta is None else self.codecs.encode(serializer, meta),
            content=serializer,
            retries=message.retries if message is not None else 0,
            started_at_s=request.started_at_s if request is not None and message is not None else None,
            worker=request.hostname if request is not None else "",
            root_id=message.root_id if message is not None else None,
            parent_id=message.parent_id if message is not None else None,
            queue=message.queue if message is not None else "",
            expires_at_s=self.clock() + keep_s if keep_s else None,
        )

    def _name_of(self, function: Callable[..., Any]) -> str:
        module = getattr(function, "__module__", None) or "__main__"
        if module == "__main__":
            module = self.main or _main_module_name()
        return f"{module}.{getattr(function, '__qualname__', type(function).__qualname__).replace('.<locals>', '')}"


def _main_module_name() -> str:
    """A worker imports the script under its file's name; the tasks must be called the same in both."""
    import __main__

    path = getattr(__main__, "__file__", None)
    return os.path.splitext(os.path.basename(path))[0] if path else "__main__"
