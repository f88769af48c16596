"""Canvas: calls put together, not yet sent. A plain tree, whose leaves are signatures.

    Canvas
    ├── Signature       one call                                          (`faena.tasks.signature`)
    ├── Chain           one after the other, each with the result of the one before
    ├── Group           all at once; the result is the list of theirs
    └── Chord           a group, then a body with its results

Trees are values: `|` and `clone` make new ones; `set`, `link`, `link_error` and `if_fails` change the one they are called
on, as in Celery. Nothing here knows of brokers: sending is the dispatcher's, and what it means stands in `compile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from faena.errors import WorkflowError
from faena.model.workflow import Policy
from faena.tasks.dispatcher import Dispatcher
from faena.tasks.options import SendOptions, check_send_options

if TYPE_CHECKING:
    from typing import Unpack

    from faena.tasks.group_result import GroupResult
    from faena.tasks.result import AsyncResult

R = TypeVar("R", covariant=True)


class Canvas(Generic[R]):
    """What can be sent: one call or many."""

    __slots__ = ("_dispatcher", "options", "policy")

    def __init__(self, options: SendOptions | None, dispatcher: Dispatcher | None, policy: Policy = Policy.FAIL) -> None:
        self.options: SendOptions = options or {}
        self.policy = policy  # what its failure means for what comes after it in a workflow
        self._dispatcher = dispatcher

    @property
    def dispatcher(self) -> Dispatcher:
        """The app that sends it. Raises WorkflowError: none is known."""
        if self._dispatcher is None:
            raise WorkflowError("", f"{self!r} names no task of an app; give the app that sends it as app=")
        return self._dispatcher

    # -- making others -------------------------------------------------------------------------------------

    def clone(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> Self:
        """Return a copy with `args` put before the arguments of what begins first, and `kwargs` and options over them."""
        raise NotImplementedError

    def __or__(self, other: Canvas[Any]) -> Chain:
        """Return a chain: `other` after this, with its result."""
        return Chain(self, other)

    # -- changing this one ---------------------------------------------------------------------------------

    def set(self, *, immutable: bool | None = None, **options: Unpack[SendOptions]) -> Self:
        """Change options; returns itself. Those of a group or chain hold for every step that does not say its own."""
        check_send_options(repr(self), options)
        self.options = cast("SendOptions", {**self.options, **options})
        if immutable is not None:
            self._set_immutable(immutable)
        return self

    def link(self, callback: Canvas[Any]) -> Canvas[Any]:
        """Send `callback` with the result when this has succeeded; returns `callback`."""
        return self._add_link("link", callback)

    def link_error(self, errback: Canvas[Any]) -> Canvas[Any]:
        """Send `errback` with the id of the task that failed, once, when this has failed for good; returns `errback`."""
        return self._add_link("link_error", errback)

    def on_error(self, errback: Canvas[Any]) -> Self:
        """Do as `link_error`; returns this, for chaining."""
        self.link_error(errback)
        return self

    def if_fails(self, policy: str) -> Self:
        """Say what the failure of this means for what comes after it in a workflow; returns itself.

        `fail` (default): it is abandoned. `skip`: it goes on as if this had not been written. `continue`: it gets the
        exception as the value.
        """
        try:
            self.policy = Policy(policy)
        except ValueError:
            known = ", ".join(f"'{each.value}'" for each in Policy)
            raise WorkflowError("", f"a workflow can {known} if {self!r} fails, not {policy!r}") from None
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, which `faena.signature` takes back."""
        from faena.tasks.serialise import as_dict  # it knows all kinds, and so imports this module

        return as_dict(self)

    # -- sending -------------------------------------------------------------------------------------------

    def apply_async(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> Any:
        """Send it. `args` go before the arguments of what begins first; options as of a call.

        Of options, `countdown` and `eta` delay the beginning, `task_id` names the task or group that ends it, `link` and
        `link_error` are those of the whole; others hold for every step that does not say its own.
        """
        return self.dispatcher.send_canvas(self, tuple(args), kwargs or {}, options)

    async def aapply_async(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> Any:
        """Do as `apply_async`, without blocking the event loop."""
        return await self.dispatcher.asend_canvas(self, tuple(args), kwargs or {}, options)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply_async(args, kwargs)

    async def adelay(self, *args: Any, **kwargs: Any) -> Any:
        return await self.aapply_async(args, kwargs)

    def apply(self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, *, throw: bool = False) -> Any:
        """Run it here and now. Raises NotRegistered: its code is not here."""
        return self.dispatcher.run_canvas(self, tuple(args), kwargs or {}, throw=throw)

    async def aapply(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, *, throw: bool = False
    ) -> Any:
        """Do as `apply`, without blocking the event loop."""
        return await self.dispatcher.arun_canvas(self, tuple(args), kwargs or {}, throw=throw)

    # -- within --------------------------------------------------------------------------------------------

    def _set_immutable(self, immutable: bool) -> None:
        raise NotImplementedError

    def _add_link(self, name: str, callback: Canvas[Any]) -> Canvas[Any]:
        if not isinstance(callback, Canvas):
            raise WorkflowError("", f"{name} takes a signature, such as task.s(), not {callback!r}")
        options, present = cast("dict[str, Any]", dict(self.options)), links_in(self.options, name)
        if callback not in present:  # as in Celery: linked twice is linked once
            options[name] = [*present, callback]
        self.options = cast("SendOptions", options)
        return callback

    def __eq__(self, other: object) -> bool:
        return self._parts() == other._parts() if isinstance(other, Canvas) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _parts(self) -> tuple[Any, ...]:
        raise NotImplementedError


class _Several(Canvas[R]):
    """What consists of other canvases."""

    __slots__ = ("tasks",)

    def __init__(
        self,
        tasks: Iterable[Canvas[Any]],
        options: SendOptions | None = None,
        *,
        app: Dispatcher | None = None,
        policy: Policy = Policy.FAIL,
    ) -> None:
        self.tasks = _members(tasks, self._word())
        super().__init__(options, app or _app_of(self.tasks), policy)

    @classmethod
    def _word(cls) -> str:
        return "chain" if issubclass(cls, Chain) else "group"

    def _parts(self) -> tuple[Any, ...]:
        return (self._word(), self.tasks, self.options, self.policy)

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Canvas[Any]]:
        return iter(self.tasks)

    def __getitem__(self, index: int) -> Canvas[Any]:
        return self.tasks[index]

    def __repr__(self) -> str:
        shown = [repr(task) for task in self.tasks[:4]]
        if len(self.tasks) > 4:
            shown.append(f"... {len(self.tasks) - 4:,} more")
        return f"{self._word()}({', '.join(shown)})"


class Chain(_Several[Any]):
    """Steps one after the other. Its result is that of the last."""

    __slots__ = ()

    def __init__(
        self,
        *tasks: Canvas[Any] | Iterable[Canvas[Any]],
        options: SendOptions | None = None,
        app: Dispatcher | None = None,
        policy: Policy = Policy.FAIL,
    ) -> None:
        steps: list[Canvas[Any]] = []
        for task in _spread(tasks):
            # a chain in a chain is its steps, unless it is a whole of its own
            plain = isinstance(task, Chain) and not task.options and task.policy is Policy.FAIL
            steps.extend(cast("Chain", task).tasks if plain else (task,))
        super().__init__(steps, options, app=app, policy=policy)

    def clone(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> Chain:
        check_send_options("chain", options)
        args = tuple(args)
        begins = self.tasks[:1]
        if args or kwargs:
            begins = tuple(task.clone(args, kwargs) for task in begins)
        merged = cast("SendOptions", {**self.options, **options})
        return Chain((*begins, *self.tasks[1:]), options=merged, app=self._dispatcher, policy=self.policy)

    def __or__(self, other: Canvas[Any]) -> Chain:
        if self.options or self.policy is not Policy.FAIL:
            return Chain(self, other)
        return Chain((*self.tasks, other), app=self._dispatcher)

    def __call__(self, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        return cast("AsyncResult[Any]", self.apply_async(args, kwargs))

    def _set_immutable(self, immutable: bool) -> None:
        for task in self.tasks[:1]:
            task.set(immutable=immutable)


class Group(_Several[list[Any]]):
    """Members all at once. Its result is the list of theirs, in their order."""

    __slots__ = ()

    def __init__(
        self,
        *tasks: Canvas[Any] | Iterable[Canvas[Any]],
        options: SendOptions | None = None,
        app: Dispatcher | None = None,
        policy: Policy = Policy.FAIL,
    ) -> None:
        super().__init__(_spread(tasks), options, app=app, policy=policy)

    def clone(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> Group:
        check_send_options("group", options)
        args = tuple(args)
        tasks = [task.clone(args, kwargs) for task in self.tasks] if args or kwargs else self.tasks
        merged = cast("SendOptions", {**self.options, **options})
        return Group(tasks, options=merged, app=self._dispatcher, policy=self.policy)

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> Group:
        """Let the members begin one after the other: the first `start` seconds after the beginning; returns itself.

        `stop`: from there on they are delayed no longer than that.
        """
        after_s = start
        for task in self.tasks:
            task.set(countdown=after_s)
            after_s = after_s if stop is not None and after_s + step > stop else after_s + step
        return self

    def __call__(self, *args: Any, **options: Unpack[SendOptions]) -> GroupResult[Any]:
        return cast("GroupResult[Any]", self.apply_async(args, None, **options))

    def group(self) -> Group:
        """Return itself: what `chunks` gives is a group already."""
        return self

    def _set_immutable(self, immutable: bool) -> None:
        for task in self.tasks:
            task.set(immutable=immutable)


class Chord(Canvas[Any]):
    """A group (the header), and after it a body with the list of its results."""

    __slots__ = ("body", "header")

    def __init__(
        self,
        header: Canvas[Any] | Iterable[Canvas[Any]],
        body: Canvas[Any] | None = None,
        *,
        options: SendOptions | None = None,
        app: Dispatcher | None = None,
        policy: Policy = Policy.FAIL,
    ) -> None:
        self.header = header if isinstance(header, Group) else Group(header)
        if body is not None and not isinstance(body, Canvas):
            raise WorkflowError("", f"the body of a chord is a signature, such as task.s(), not {body!r}")
        self.body = body
        known = [self.header, *(() if body is None else (body,))]
        super().__init__(options, app or _app_of(known), policy)

    @property
    def tasks(self) -> tuple[Canvas[Any], ...]:
        """The members of the header."""
        return self.header.tasks

    def clone(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> Chord:
        check_send_options("chord", options)
        merged = cast("SendOptions", {**self.options, **options})
        header = self.header.clone(args, kwargs)
        return Chord(header, self.body, options=merged, app=self._dispatcher, policy=self.policy)

    def __call__(self, body: Canvas[Any] | None = None, **options: Unpack[SendOptions]) -> AsyncResult[Any]:
        """Send it, with this body if one is given; return the handle of the body's result.

        The handle accepts `.apply_async()`, which returns it again, so that the two ways to write it do the same.
        """
        whole = Chord(self.header, body, options=self.options, app=self._dispatcher, policy=self.policy) if body else self
        return cast("AsyncResult[Any]", whole.apply_async(**options))

    def _set_immutable(self, immutable: bool) -> None:
        self.header.set(immutable=immutable)

    def _parts(self) -> tuple[Any, ...]:
        return (self.header, self.body, self.options, self.policy)

    def __len__(self) -> int:
        return len(self.header)

    def __repr__(self) -> str:
        return f"chord({', '.join(repr(task) for task in self.tasks[:4])}{', ...' if len(self) > 4 else ''}; {self.body!r})"


def links_in(options: Mapping[str, Any], name: str) -> list[Canvas[Any]]:
    """Return what `link` or `link_error` holds: nothing, one or several."""
    present = options.get(name)
    if present is None:
        return []
    return list(present) if isinstance(present, list | tuple) else [present]


def _spread(tasks: tuple[Canvas[Any] | Iterable[Canvas[Any]], ...]) -> Iterable[Canvas[Any]]:
    """Return the canvases of `chain(a, b)`, `chain([a, b])` and `chain(a | b)` alike."""
    if len(tasks) == 1 and not isinstance(tasks[0], Canvas):
        return tasks[0]
    return cast("tuple[Canvas[Any], ...]", tasks)


def _members(tasks: Iterable[Canvas[Any]], word: str) -> tuple[Canvas[Any], ...]:
    members: tuple[Any, ...] = (tasks,)
    try:
        members = tuple(tasks)
    except TypeError:
        pass  # not even several: it is refused below
    for member in members:
        if not isinstance(member, Canvas):
            hint = f"; did you mean {member.name}.s()?" if hasattr(member, "name") and hasattr(member, "s") else ""
            raise WorkflowError("", f"a {word} consists of signatures, such as task.s(), not of {member!r}{hint}")
    return members


def _app_of(canvases: Iterable[Canvas[Any]]) -> Dispatcher | None:
    for canvas in canvases:
        if canvas._dispatcher is not None:
            return canvas._dispatcher
    return None
