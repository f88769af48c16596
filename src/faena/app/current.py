"""The current app, and tasks that wait for one.

A library declares its tasks with `@shared_task` and never names an app: they belong to every app of the process, and a call
goes through the current one, which is the app that was made last unless one was set.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, overload

from faena.errors import AppNotFound
from faena.tasks.options import TaskOptions
from faena.tasks.task import Task

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.app.decorators import BatchTaskDecorator, BoundTaskDecorator, TaskDecorator
    from faena.tasks.batch import BatchLike
    from faena.tasks.task import AsyncTask

P = ParamSpec("P")
R = TypeVar("R")

Declare = Callable[["Faena"], Task[..., Any]]

# The one place with state of the process: which apps there are, and what is declared for all of them.
_apps: list[Faena] = []
_shared: list[Declare] = []


def current_app() -> Faena:
    """Return the current app. Raises AppNotFound: none was made yet."""
    if not _apps:
        raise AppNotFound("no app was made yet in this process: import the module that does `app = Faena(...)` first")
    return _apps[-1]


def set_current(app: Faena) -> None:
    """Make `app` the current one, and give it every shared task."""
    if app in _apps:
        _apps.remove(app)
    _apps.append(app)


def declare_shared_in(app: Faena) -> None:
    for declare in _shared:
        declare(app)


class SharedTask:
    """Stands for a shared task; every use goes to the task of the current app."""

    def __init__(self, declare: Declare, function: Callable[..., Any]) -> None:
        self._declare = declare
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", "shared_task")
        self.__module__ = getattr(function, "__module__", __name__)

    def _task(self) -> Task[..., Any]:
        return self._declare(current_app())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _apps:
            return self._task()(*args, **kwargs)
        return self.__wrapped__(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._task(), name)

    def __repr__(self) -> str:
        return f"<@shared_task: {self.__module__}.{self.__name__}>"


@overload
def shared_task(function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
@overload
def shared_task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def shared_task(*, batch: BatchLike, bind: bool = ..., **options: Unpack[TaskOptions]) -> BatchTaskDecorator: ...
@overload
def shared_task(*, bind: Literal[True], **options: Unpack[TaskOptions]) -> BoundTaskDecorator: ...
@overload
def shared_task(*, bind: Literal[False] = ..., **options: Unpack[TaskOptions]) -> TaskDecorator: ...
def shared_task(function: Any = None, /, *, bind: bool = False, **options: Any) -> Any:
    """Declare a task for every app of the process; options as of `@app.task`."""
    if function is None:
        return lambda later: _share(later, bind, options)
    return _share(function, bind, options)


def _share(function: Callable[..., Any], bind: bool, options: dict[str, Any]) -> SharedTask:
    def declare(app: Faena) -> Task[..., Any]:
        return app.declare(function, bind=bind, **options)

    _shared.append(declare)
    for app in _apps:
        declare(app)
    return SharedTask(declare, function)
