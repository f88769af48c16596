"""A signature: a call that is not yet sent, with some or all of its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, cast

from faena.errors import InvalidArguments
from faena.model.message import Link
from faena.tasks.call import Call, Sender
from faena.tasks.dispatcher import Dispatcher
from faena.tasks.options import SendOptions, check_send_options

if TYPE_CHECKING:
    from faena.tasks.result import AsyncResult, EagerResult

R = TypeVar("R", covariant=True)

_NOT_IN_LINKS = frozenset({"link", "link_error", "task_id", "eta", "root_id", "parent_id"})


class Signature(Generic[R]):
    """One call of one task: name, arguments, options. Values: every change makes a new one, but `set` and `link`."""

    __slots__ = ("_dispatcher", "args", "immutable", "kwargs", "options", "task")

    def __init__(
        self,
        task: str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: SendOptions | None = None,
        *,
        immutable: bool = False,
        dispatcher: Dispatcher,
    ) -> None:
        self.task, self.args, self.kwargs = task, tuple(args), dict(kwargs or {})
        self.options: SendOptions = options or {}
        self.immutable = immutable
        self._dispatcher = dispatcher

    def clone(
        self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
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
        )

    def set(self, *, immutable: bool | None = None, **options: Unpack[SendOptions]) -> Signature[R]:
        """Change options of this signature; returns it."""
        check_send_options(self.task, options)
        self.options = cast("SendOptions", {**self.options, **options})
        if immutable is not None:
            self.immutable = immutable
        return self

    def link(self, callback: Signature[Any]) -> Signature[Any]:
        """Send `callback` with the result when this has succeeded; returns `callback`."""
        return self._add_link("link", callback)

    def link_error(self, errback: Signature[Any]) -> Signature[Any]:
        """Send `errback` with this task's id when it has failed for good; returns `errback`."""
        return self._add_link("link_error", errback)

    def on_error(self, errback: Signature[Any]) -> Signature[R]:
        """Do as `link_error`; returns this signature, for chaining."""
        self.link_error(errback)
        return self

    def as_call(self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Call:
        """Return the call that sending this now, with more arguments and options, would make."""
        whole = self.clone(args, kwargs, **options) if args or kwargs or options else self
        return Call(whole.task, whole.args, whole.kwargs, whole.options)

    def as_link(self, sender: Sender) -> Link:
        """Return this, made ready to travel inside another task's message."""
        refused = _NOT_IN_LINKS.intersection(self.options)
        if refused:
            raise InvalidArguments(self.task, f"a linked task cannot have {', '.join(sorted(refused))}")
        serializer = self.options.get("serializer") or sender.serializer
        body = sender.encoder.encode(serializer, [self.args, self.kwargs])
        return Link(self.task, body, serializer, self.immutable, cast("dict[str, Any]", dict(self.options)) or None)

    def apply_async(
        self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> AsyncResult[R]:
        return self._dispatcher.send_call(self.as_call(args, kwargs, **options))

    async def aapply_async(
        self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> AsyncResult[R]:
        return await self._dispatcher.asend_call(self.as_call(args, kwargs, **options))

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        return self.apply_async(args, kwargs)

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        return await self.aapply_async(args, kwargs)

    def apply(
        self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, *, throw: bool = False
    ) -> EagerResult[R]:
        """Run the call here and now. Raises NotRegistered: its code is not here."""
        return self._dispatcher.run_eagerly(self.as_call(args, kwargs), throw=throw)

    async def aapply(
        self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, *, throw: bool = False
    ) -> EagerResult[R]:
        """Do as `apply`, without blocking the event loop."""
        return await self._dispatcher.arun_eagerly(self.as_call(args, kwargs), throw=throw)

    def _add_link(self, name: str, callback: Signature[Any]) -> Signature[Any]:
        options = cast("dict[str, Any]", dict(self.options))
        present = options.get(name)
        links = list(present) if isinstance(present, list | tuple) else [present] if present is not None else []
        options[name] = [*links, callback]
        self.options = cast("SendOptions", options)
        return callback

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Signature):
            return NotImplemented
        return (self.task, self.args, self.kwargs, self.options, self.immutable) == (
            other.task, other.args, other.kwargs, other.options, other.immutable
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = [repr(arg) for arg in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.task}({', '.join(shown)})"
