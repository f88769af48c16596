"""`chain`, `group`, `chord` and `signature` as users write them, without naming an app."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack, cast

from faena.app.current import current_app
from faena.tasks.canvas import Canvas, Chain, Chord, Group
from faena.tasks.dispatcher import Dispatcher
from faena.tasks.options import SendOptions, check_send_options
from faena.tasks.serialise import canvas_from
from faena.tasks.signature import Signature


class chain(Chain):  # noqa: N801 - Celery's name
    """Steps one after the other, each with the result of the one before: `chain(a.s(2), b.s())`, or `a.s(2) | b.s()`."""

    __slots__ = ()

    @property
    def dispatcher(self) -> Dispatcher:
        return self._dispatcher or current_app()


class group(Group):  # noqa: N801 - Celery's name
    """Members all at once: `group(add.s(i, i) for i in range(10))`. Its result is the list of theirs."""

    __slots__ = ()

    @property
    def dispatcher(self) -> Dispatcher:
        return self._dispatcher or current_app()


class chord(Chord):  # noqa: N801 - Celery's name
    """A group, and after it a body with the list of its results: `chord([a.s(1), a.s(2)])(total.s())`."""

    __slots__ = ()

    @property
    def dispatcher(self) -> Dispatcher:
        return self._dispatcher or current_app()


def signature(
    task: str | Mapping[str, Any] | Canvas[Any],
    args: Iterable[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    immutable: bool = False,
    app: Dispatcher | None = None,
    options: SendOptions | None = None,
    **more: Unpack[SendOptions],
) -> Canvas[Any]:
    """Return a signature of a task by its name; its code need not be here. Also of what `as_dict` gave.

    Options are given by name, or together as `options`, as in Celery.
    """
    if isinstance(task, Canvas):
        return task
    found = app or current_app()
    if isinstance(task, Mapping):
        return canvas_from(task, found)
    given = cast("SendOptions", {**(options or {}), **more})
    check_send_options(task, given)
    return Signature(task, args, kwargs, given, immutable=immutable, dispatcher=found)
