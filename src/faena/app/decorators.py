"""What `@app.task(...)` is, for type checkers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from faena.tasks.task import Task

if TYPE_CHECKING:
    from faena.tasks.canvas import Canvas
    from faena.tasks.task import AsyncTask

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound="Canvas[Any]")


class TaskDecorator(Protocol):
    """What `@app.task(...)` with options is."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class PeriodicDecorator(Protocol):
    """What `@app.periodic(...)` is: it takes functions, tasks and canvases, and gives the latter back."""

    @overload
    def __call__(self, function: C, /) -> C: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class BoundTaskDecorator(Protocol):
    """What `@app.task(bind=True, ...)` is: the first parameter is the task itself."""

    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...


class BatchTaskDecorator(Protocol):
    """What `@app.task(batch=...)` is: a call takes anything, and the function a list of calls."""

    def __call__(self, function: Callable[..., Any], /) -> Task[..., Any]: ...
