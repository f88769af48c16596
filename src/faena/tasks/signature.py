"""A signature: a call that is not yet sent, with some or all of its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from faena.errors import InvalidArguments, WorkflowError
from faena.model.message import Link
from faena.model.workflow import Policy
from faena.tasks.call import Call, Sender
from faena.tasks.canvas import Canvas
from faena.tasks.dispatcher import Dispatcher
from faena.tasks.errback import wants_failure
from faena.tasks.options import SendOptions, check_send_options, refuse_unique

if TYPE_CHECKING:
    from faena.tasks.result import AsyncResult, EagerResult

R = TypeVar("R", covariant=True)

_NOT_IN_LINKS = frozenset({"link", "link_error", "task_id", "eta", "root_id", "parent_id"})


class Signature(Canvas[R]):
    """One call of one task: name, arguments, options."""

    __slots__ = ("args", "immutable", "kwargs", "task")

    def __init__(
        self,
        task: str,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: SendOptions | None = None,
        *,
        immutable: bool = False,
        dispatcher: Dispatcher | None,
        policy: Policy = Policy.FAIL,
    ) -> None:
        super().__init__(options, dispatcher, policy)
        if not task or not isinstance(cast("Any", task), str):
            raise WorkflowError("", f"a signature names a task by a text, not by {task!r}")
        self.task, self.args, self.kwargs = task, tuple(args), dict(kwargs) if kwargs else {}
        self.immutable = immutable

    @property
    def name(self) -> str:
        return self.task

    @property
    def dispatcher(self) -> Dispatcher:
        if self._dispatcher is None:
            raise WorkflowError("", f"the signature {self!r} belongs to no app; make it with app.signature(...)")
        return self._dispatcher

    def clone(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> Signature[R]:
        """Return a copy with `args` put before its own, and `kwargs` and options over its own."""
        check_send_options(self.task, options)
        merged = cast("SendOptions", {**self.options, **options})
        if self.immutable:
            args, kwargs = (), None
        return Signature(
            self.task,
            (*args, *self.args),
            {**self.kwargs, **(kwargs or {})},
            merged,
            immutable=self.immutable,
            dispatcher=self._dispatcher,
            policy=self.policy,
        )

    def as_call(self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Call:
        """Return the call that sending this now, with more arguments and options, would make."""
        whole = self.clone(args, kwargs, **options) if args or kwargs or options else self
        return Call(whole.task, whole.args, whole.kwargs, whole.options)

    @property
    def wants_failure(self) -> bool:
        """Whether its function, if its code is here, is an errback that takes more than the id of what failed."""
        task = self._dispatcher.tasks.get(self.task) if self._dispatcher is not None else None
        return task is not None and not self.immutable and wants_failure(task, self.args, self.kwargs)

    @property
    def is_linkable(self) -> bool:
        """Whether it can travel inside the message of another task."""
        return self.policy is Policy.FAIL and _NOT_IN_LINKS.isdisjoint(self.options)

    def as_link(self, sender: Sender) -> Link:
        """Return this, made ready to travel inside another task's message."""
        refused = _NOT_IN_LINKS.intersection(self.options)
        if refused:
            raise InvalidArguments(self.task, f"a linked task cannot have {', '.join(sorted(refused))}")
        task = self._dispatcher.tasks.get(self.task) if self._dispatcher is not None else None
        refuse_unique(self.task, task, self.options)
        serializer = self.options.get("serializer") or sender.serializer
        body = sender.encoder.encode(serializer, [self.args, self.kwargs])
        return Link(self.task, body, serializer, self.immutable, cast("dict[str, Any]", dict(self.options)) or None)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Run the function here and now, as if it were no task. Raises NotRegistered: its code is not here."""
        whole = self.clone(args, kwargs)
        return cast("R", self.dispatcher.tasks[self.task](*whole.args, **whole.kwargs))

    if TYPE_CHECKING:  # what is known of one call, and not of a tree

        def apply_async(
            self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
        ) -> AsyncResult[R]: ...
        async def aapply_async(
            self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
        ) -> AsyncResult[R]: ...
        def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]: ...
        async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]: ...
        def apply(
            self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, *, throw: bool = False
        ) -> EagerResult[R]: ...
        async def aapply(
            self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, *, throw: bool = False
        ) -> EagerResult[R]: ...

    def _set_immutable(self, immutable: bool) -> None:
        self.immutable = immutable

    def _parts(self) -> tuple[Any, ...]:
        return (self.task, self.args, self.kwargs, self.options, self.immutable, self.policy)

    def __repr__(self) -> str:
        shown = [repr(arg) for arg in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.task}({', '.join(shown)})"
