"""The handle of a call: ask for its state, wait for its result, let go of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from faena.errors import ResultNotFound, ResultTimeout, TaskRevokedError
from faena.model.result import ResultRecord, State
from faena.model.workflow import REFERENCE
from faena.tasks.context import current_request
from faena.tasks.dispatcher import Results
from faena.tasks.failure import rebuild

if TYPE_CHECKING:
    from faena.tasks.group_result import GroupResult

R = TypeVar("R", covariant=True)

_HINT = "is a worker running that consumes its queue?"
_KNOWN_AGAIN_AFTER_S = 0.25  # how long a wait goes on before it asks whether the id exists at all


class AsyncResult(Generic[R]):
    """One call, sent. `get()` blocks, `await result` does not; both raise what the task raised."""

    __slots__ = ("_parent", "_record", "_resolved", "_results", "id", "ignored", "is_duplicate", "task_name")

    def __init__(
        self,
        task_id: str,
        results: Results,
        *,
        task_name: str = "",
        ignored: bool = False,
        parent: AsyncResult[Any] | GroupResult[Any] | None = None,
    ) -> None:
        self.id, self.task_name, self.ignored = task_id, task_name, ignored
        self._results = results
        self._record: ResultRecord | None = None  # the terminal record, once seen
        self._resolved: tuple[Any] | None = None  # the value that it refers to, once seen
        self._parent = parent
        self.is_duplicate = False  # nothing was sent: this is the handle of a call that was there before

    # -- waiting -------------------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        *,
        disable_sync_subtasks: bool = True,
        on_progress: Callable[[Any], None] | None = None,
        callback: Callable[[str, Any], object] | None = None,
        interval: float | None = None,  # noqa: ARG002 - Celery's way to poll; here results are pushed
    ) -> R:
        """Wait for the result and return it, or raise what the task raised.

        Unit: `timeout` in seconds; None waits for ever. `propagate=False` returns the exception. `callback` is called with
        the id and the result; `interval` is taken for Celery's sake, and nothing is polled.
        Raises ResultTimeout; ResultNotFound: nothing is known of this id; TaskRevokedError; RuntimeError inside a task,
        where waiting can lock a worker up, unless `disable_sync_subtasks=False`.
        """
        record = self._record
        if record is None:
            if self.ignored:
                return cast("R", None)
            refuse_inside_task(disable_sync_subtasks)
            record = self._wait(timeout, on_progress)
        value = self._outcome(record, propagate)
        if callback is not None:
            callback(self.id, value)
        return cast("R", value)

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        *,
        disable_sync_subtasks: bool = True,
        on_progress: Callable[[Any], None] | None = None,
    ) -> R:
        """Do as `get`, without blocking the event loop."""
        record = self._record
        if record is None:
            if self.ignored:
                return cast("R", None)
            refuse_inside_task(disable_sync_subtasks)
            record = await self._await(timeout, on_progress)
        if record.content == REFERENCE and record.state == State.SUCCESS and self._resolved is None:
            self._resolved = (await self._results.workflows.aresolve(record),)
        return cast("R", self._outcome(record, propagate))

    def __await__(self) -> Generator[Any, None, R]:
        return self.aget().__await__()

    def _wait(self, timeout_s: float | None, on_progress: Callable[[Any], None] | None) -> ResultRecord:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        soon_s = _KNOWN_AGAIN_AFTER_S if timeout_s is None or timeout_s > _KNOWN_AGAIN_AFTER_S else timeout_s
        if on_progress is None and (came := self._results.soon(self.id, soon_s)) is not None:
            self._record = came
            return came
        first = True
        while True:
            slice_s = _next_slice_s(deadline, first)
            for record in self._results.wait([self.id], slice_s):
                if record.is_terminal:
                    self._record = record
                    return record
                if on_progress is not None:
                    on_progress(self._info(record))
            if deadline is not None and time.monotonic() >= deadline:
                raise ResultTimeout(self.id, timeout_s or 0.0, _HINT)
            if first and self._results.is_known(self.id) is False and self._results.read([self.id])[0] is None:
                raise ResultNotFound(self.id)
            first = False

    async def _await(self, timeout_s: float | None, on_progress: Callable[[Any], None] | None) -> ResultRecord:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        first = True
        while True:
            slice_s = _next_slice_s(deadline, first)
            ended: ResultRecord | None = None
            async for record in self._results.await_(
                [self.id], slice_s
            ):  # to its end: left before, it is closed at some time
                if record.is_terminal:
                    ended = record
                elif on_progress is not None:
                    on_progress(self._info(record))
            if ended is not None:
                self._record = ended
                return ended
            if deadline is not None and time.monotonic() >= deadline:
                raise ResultTimeout(self.id, timeout_s or 0.0, _HINT)
            unknown = first and await self._results.ais_known(self.id) is False
            if unknown and (await self._results.aread([self.id]))[0] is None:
                raise ResultNotFound(self.id)
            first = False

    def _outcome(self, record: ResultRecord, propagate: bool) -> Any:
        if record.state == State.SUCCESS:
            return self._value_of(record)
        error = self._error(record)
        if propagate:
            raise error
        return error

    def _error(self, record: ResultRecord) -> BaseException:
        if record.failure is not None and record.state == State.REVOKED:
            return TaskRevokedError(record.failure.message)
        if record.failure is not None:
            return rebuild(record.failure, lambda data: self._results.decode(record.content, data))
        return TaskRevokedError(f"task {record.id} was revoked")

    # -- looking -------------------------------------------------------------------------------------------

    def _read(self) -> ResultRecord | None:
        if self._record is None:
            record = self._results.read([self.id])[0]
            if record is None or not record.is_terminal:
                return record
            self._record = record
        return self._record

    @property
    def state(self) -> str:
        """The state now; PENDING while it waits, UNKNOWN where nothing is known of the id."""
        record = self._read()
        if record is not None:
            return record.state
        if self._results.is_known(self.id) is False:
            record = self._read()  # it may have finished between the two questions
            return record.state if record is not None else State.UNKNOWN
        return State.PENDING

    status = state

    async def astate(self) -> str:
        """Do as `state`, without blocking the event loop."""
        for _ in range(2):
            record = self._record or (await self._results.aread([self.id]))[0]
            if record is not None:
                return record.state
            if await self._results.ais_known(self.id) is not False:
                return State.PENDING
        return State.UNKNOWN

    @property
    def result(self) -> Any:
        """The result, the exception, or the meta data of the state; None while nothing is recorded."""
        record = self._read()
        return None if record is None else self._info(record)

    info = result

    def maybe_throw(self, propagate: bool = True) -> Any:
        """Return what `result` is, or raise it if the task has failed; never waits."""
        record = self._read()
        return None if record is None else self._outcome(record, propagate) if record.is_terminal else self._info(record)

    maybe_reraise = maybe_throw

    @property
    def task_id(self) -> str:
        return self.id

    def _info(self, record: ResultRecord) -> Any:
        if record.failure is not None or record.state == State.REVOKED:
            return self._error(record)
        return self._value_of(record)

    def _value_of(self, record: ResultRecord) -> Any:
        if record.content == REFERENCE:
            if not record.is_terminal:
                return None
            if self._resolved is None:
                self._resolved = (self._results.workflows.resolve(record),)
            return self._resolved[0]
        return None if record.value is None else self._results.decode(record.content, record.value)

    @property
    def progress(self) -> Any:
        """The latest meta data that the task has recorded with `progress` or `update_state`; None: none."""
        record = self._read()
        return self._info(record) if record is not None and not record.is_terminal else None

    @property
    def traceback(self) -> str | None:
        """The worker's traceback of the last failure."""
        record = self._read()
        return record.failure.traceback if record is not None and record.failure is not None else None

    @property
    def record(self) -> ResultRecord | None:
        """Everything the backend keeps of this task."""
        return self._read()

    def ready(self) -> bool:
        """Whether the task has ended, one way or the other."""
        record = self._read()
        return record is not None and record.is_terminal

    def successful(self) -> bool:
        record = self._read()
        return record is not None and record.state == State.SUCCESS

    def failed(self) -> bool:
        record = self._read()
        return record is not None and record.state == State.FAILURE

    @property
    def retries(self) -> int:
        record = self._read()
        return record.retries if record is not None else 0

    @property
    def date_done(self) -> datetime | None:
        record = self._read()
        finished_at_s = record.finished_at_s if record is not None and record.is_terminal else None
        return None if finished_at_s is None else datetime.fromtimestamp(finished_at_s, UTC)

    @property
    def children(self) -> list[AsyncResult[Any]]:
        """The calls that this task has sent while it ran."""
        record = self._read()
        ids = record.children if record is not None else ()
        return [AsyncResult(task_id, self._results) for task_id in ids]

    @property
    def parent(self) -> AsyncResult[Any] | GroupResult[Any] | None:
        """The step before it in its chain, or the call that sent this one (known once something is recorded)."""
        if self._parent is not None:
            return self._parent
        record = self._read()
        return AsyncResult(record.parent_id, self._results) if record is not None and record.parent_id else None

    # -- letting go ----------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Remove what the backend keeps of this task."""
        self._let_go()
        self._results.forget([self.id])

    async def aforget(self) -> None:
        self._let_go()
        await self._results.aforget([self.id])

    def _let_go(self) -> None:
        self._record = self._resolved = None

    def revoke(self, terminate: bool = False, signal: str = "") -> None:
        """Never begin this task; with `terminate`, stop it when it runs (`signal`: kill its process with that)."""
        self._results.revoke([self.id], terminate=terminate, signal=signal)

    async def arevoke(self, terminate: bool = False, signal: str = "") -> None:
        await self._results.arevoke([self.id], terminate=terminate, signal=signal)

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"

    def __str__(self) -> str:
        return self.id

    def __eq__(self, other: object) -> bool:
        return other.id == self.id if isinstance(other, AsyncResult) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)


class EagerResult(AsyncResult[R]):
    """The result of a task that ran here and now."""

    __slots__ = ("_value",)

    def __init__(
        self, record: ResultRecord, value: Any, results: Results, parent: AsyncResult[Any] | GroupResult[Any] | None = None
    ) -> None:
        super().__init__(record.id, results, task_name=record.task, parent=parent)
        self._record, self._value, self._resolved = record, value, (value,)  # nothing of it stands in a backend

    def _outcome(self, record: ResultRecord, propagate: bool) -> Any:  # noqa: ARG002 - it has its value
        if propagate and isinstance(self._value, BaseException):
            raise self._value
        return self._value

    def _info(self, record: ResultRecord) -> Any:  # noqa: ARG002
        return self._value

    @property
    def results(self) -> list[Any]:
        """The results of all steps of a chain, the first one first."""
        steps: list[Any] = [self]
        while (before := getattr(steps[-1], "parent", None)) is not None:
            steps.append(before)
        return steps[::-1]

    def apply_async(self) -> Self:
        """Return itself: it has run. `chord(header)(body).apply_async()` may be written so."""
        return self

    def forget(self) -> None:
        """Nothing is kept of an eager run."""

    def revoke(self, terminate: bool = False, signal: str = "") -> None:
        """Too late: it has run."""


def _next_slice_s(deadline: float | None, first: bool) -> float | None:
    """The first slice is short, so that an id that nobody knows is reported instead of waited for."""
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    if not first:
        return left
    return _KNOWN_AGAIN_AFTER_S if left is None else min(left, _KNOWN_AGAIN_AFTER_S)


def refuse_inside_task(refuse: bool) -> None:
    request = current_request.get()
    if refuse and request is not None and not request.called_directly and not request.is_eager:
        raise RuntimeError(
            "a task must not wait for the result of another: it would hold its place in the worker until that one found "
            "a place of its own, for ever when all are taken; link the tasks, or pass disable_sync_subtasks=False"
        )
