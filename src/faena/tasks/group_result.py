"""The handles of several calls: sent together, or one after the other in a workflow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Self, TypeVar, cast, overload

from faena.errors import ResultNotFound, ResultsIgnored, ResultTimeout, WorkflowError
from faena.model.result import State
from faena.model.workflow import NodeView, WorkflowState, WorkflowStatus
from faena.tasks.dispatcher import Results
from faena.tasks.result import AsyncResult, refuse_inside_task

R = TypeVar("R", covariant=True)

_READ_AT_ONCE = 1000


class WorkflowHandle:
    """A workflow that was sent: look at it, end it, run it again."""

    __slots__ = ("_results", "id")

    def __init__(self, workflow: str, results: Results) -> None:
        self.id, self._results = workflow, results

    @property
    def status(self) -> WorkflowStatus:
        """What it is at now. Raises WorkflowError: it is not known (any more)."""
        return self._checked(self._results.workflows.status(self.id))

    async def astatus(self) -> WorkflowStatus:
        return self._checked(await self._results.workflows.astatus(self.id))

    @property
    def state(self) -> WorkflowState:
        """RUNNING until what ends it has ended, then SUCCESS, FAILURE or REVOKED."""
        return self.status.state

    def nodes(self) -> Sequence[NodeView]:
        return self._results.workflows.nodes(self.id)

    async def anodes(self) -> Sequence[NodeView]:
        return await self._results.workflows.anodes(self.id)

    def cancel(self, terminate: bool = False) -> None:
        """Let nothing of it begin any more; with `terminate`, stop what runs."""
        self._results.workflows.cancel(self.id, terminate=terminate)

    async def acancel(self, terminate: bool = False) -> None:
        await self._results.workflows.acancel(self.id, terminate=terminate)

    def retry(self, begun_at: Sequence[int] | None = None) -> None:
        """Run it again from where it has failed, or from these nodes; what had succeeded elsewhere is kept."""
        self._results.workflows.rerun(self.id, begun_at)

    async def aretry(self, begun_at: Sequence[int] | None = None) -> None:
        await self._results.workflows.arerun(self.id, begun_at)

    def _checked(self, status: WorkflowStatus | None) -> WorkflowStatus:
        if status is None:
            raise WorkflowError(self.id, "it is not known here, or it was forgotten since")
        return status

    def __repr__(self) -> str:
        return f"<Workflow: {self.id}>"


class ChainResult(AsyncResult[R]):
    """The handle of a workflow that ends with a task: its result is that of the task. `parent` is the step before."""

    __slots__ = ("workflow",)

    def __init__(self, workflow: WorkflowHandle, task_id: str, results: Results, **more: Any) -> None:
        super().__init__(task_id, results, **more)
        self.workflow = workflow

    @property
    def results(self) -> list[AsyncResult[Any] | GroupResult[Any]]:
        """The handles of all steps, the first one first."""
        steps: list[AsyncResult[Any] | GroupResult[Any]] = [self]
        while (before := steps[-1]._parent) is not None:
            steps.append(before)
        return steps[::-1]

    def apply_async(self) -> Self:
        """Return itself: it is sent already. `chord(header)(body).apply_async()` may be written so."""
        return self

    def __repr__(self) -> str:
        return f"<ChainResult: {self.id}>"


class ResultSet(Sequence["AsyncResult[R]"]):
    """Several calls, in the order in which they were sent."""

    def __init__(self, results: Iterable[AsyncResult[R]], reader: Results) -> None:
        self._all, self._reader = list(results), reader

    @overload
    def __getitem__(self, index: int) -> AsyncResult[R]: ...
    @overload
    def __getitem__(self, index: slice) -> list[AsyncResult[R]]: ...
    def __getitem__(self, index: int | slice) -> AsyncResult[R] | list[AsyncResult[R]]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    @property
    def results(self) -> list[AsyncResult[R]]:
        return self._all

    def as_completed(self, timeout: float | None = None) -> Iterator[AsyncResult[R]]:
        """Give each result as its task ends. Raises ResultTimeout after `timeout` seconds in all."""
        by_id = self._pending()
        for record in self._reader.wait(list(by_id), timeout):
            if record.is_terminal and (found := by_id.pop(record.id, None)) is not None:
                found._record = record
                yield found
        self._check_all(by_id, timeout)

    async def aas_completed(self, timeout: float | None = None) -> AsyncIterator[AsyncResult[R]]:
        """Do as `as_completed`, without blocking the event loop."""
        by_id = self._pending()
        async for record in self._reader.await_(list(by_id), timeout):
            if record.is_terminal and (found := by_id.pop(record.id, None)) is not None:
                found._record = record
                yield found
        self._check_all(by_id, timeout)

    def join(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        *,
        disable_sync_subtasks: bool = True,
        callback: Callable[[str, R], object] | None = None,
        interval: float | None = None,  # noqa: ARG002 - Celery's way to poll; here results are pushed
    ) -> list[R]:
        """Return all results in order; raises the first failure in order, or ResultTimeout.

        `callback` is called with the id and the result of each, in order, and then an empty list is returned, as in Celery.
        """
        refuse_inside_task(disable_sync_subtasks)
        for _ in self.as_completed(timeout):
            pass
        if callback is not None:
            for result in self._all:
                callback(result.id, result.get(propagate=propagate))
            return []
        return [result.get(propagate=propagate) for result in self._all]

    get = join_native = join

    async def ajoin(self, timeout: float | None = None, propagate: bool = True) -> list[R]:
        async for _ in self.aas_completed(timeout):
            pass
        return [await result.aget(propagate=propagate) for result in self._all]

    aget = ajoin

    def __await__(self) -> Generator[Any, None, list[R]]:
        return self.aget().__await__()

    def completed_count(self) -> int:
        """Return how many have succeeded."""
        return self._states().count(State.SUCCESS)

    def ready(self) -> bool:
        """Whether all have ended, one way or the other."""
        return all(state in _ENDED for state in self._states())

    def successful(self) -> bool:
        return all(state == State.SUCCESS for state in self._states())

    def failed(self) -> bool:
        """Whether one of them has failed."""
        return State.FAILURE in self._states()

    def waiting(self) -> bool:
        """Whether one of them has not ended yet."""
        return not self.ready()

    def revoke(self, terminate: bool = False, signal: str = "") -> None:
        self._reader.revoke([result.id for result in self._all], terminate=terminate, signal=signal)

    def forget(self) -> None:
        for result in self._all:
            result._let_go()
        self._reader.forget([result.id for result in self._all])

    def maybe_throw(self, propagate: bool = True) -> list[Any]:
        """Return the results so far in order, None where there is none yet; raises the first failure among them."""
        return [result.maybe_throw(propagate) for result in self._all]

    maybe_reraise = maybe_throw

    def _states(self) -> list[str]:
        states: list[str] = []
        ids = [result.id for result in self._all]
        for at in range(0, len(ids), _READ_AT_ONCE):
            records = self._reader.read(ids[at : at + _READ_AT_ONCE])
            states += [State.PENDING if record is None else record.state for record in records]
        return states

    def _pending(self) -> dict[str, AsyncResult[R]]:
        ignored = [result for result in self._all if result.ignored]
        if ignored:
            raise ResultsIgnored(f"task '{ignored[0].task_name}'")
        return {result.id: result for result in self._all}

    def _check_all(self, missing: dict[str, AsyncResult[R]], timeout: float | None) -> None:
        if missing:
            raise ResultTimeout(next(iter(missing)), timeout or 0.0, f"{len(missing)} of {len(self._all)} are missing")


class GroupResult(ResultSet[R]):
    """The handle of a group: its members, and what comes of all of them. `parent` is the step before it in a chain."""

    def __init__(
        self,
        group_id: str,
        results: Iterable[AsyncResult[R]],
        reader: Results,
        *,
        workflow: WorkflowHandle | None = None,
        parent: AsyncResult[Any] | GroupResult[Any] | None = None,
    ) -> None:
        super().__init__(results, reader)
        self.id, self.workflow, self.parent = group_id, workflow, parent
        self.ignored, self.task_name = False, "group"
        # as a member of another group it is asked as a call is: for the record of the group itself
        self._whole: AsyncResult[Any] = AsyncResult(group_id, reader, task_name="group")

    @property
    def children(self) -> list[AsyncResult[R]]:
        """The handles of the members, in order."""
        return self._all

    def join(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        *,
        disable_sync_subtasks: bool = True,
        callback: Callable[[str, R], object] | None = None,
        interval: float | None = None,
    ) -> list[R]:
        """Return the results of all members in order.

        Unit: `timeout` in seconds; None waits for ever. `propagate=False` waits for every member and puts the exceptions of
        those that failed into the list; otherwise the first failure is raised, as soon as it is known.
        Raises ResultTimeout; RuntimeError inside a task, unless `disable_sync_subtasks=False`.
        """
        refuse_inside_task(disable_sync_subtasks)
        if self.workflow is not None and propagate:
            values = cast("list[R]", self._whole.get(timeout, disable_sync_subtasks=disable_sync_subtasks))
            if callback is None:
                return values
        return super().join(
            timeout, propagate, disable_sync_subtasks=disable_sync_subtasks, callback=callback, interval=interval
        )

    get = join_native = join

    async def ajoin(self, timeout: float | None = None, propagate: bool = True) -> list[R]:
        """Do as `join`, without blocking the event loop."""
        if self.workflow is None or not propagate:
            return await super().ajoin(timeout, propagate)
        return cast("list[R]", await self._whole.aget(timeout))

    aget = ajoin

    def apply_async(self) -> Self:
        """Return itself: it is sent already."""
        return self

    def save(self) -> None:
        """Keep which calls belong to the group, so that `restore` finds them by its id."""
        if self.workflow is None:
            self._reader.workflows.save(self.id, [result.id for result in self._all])

    @classmethod
    def restore(cls, group_id: str, app: Any) -> GroupResult[Any]:
        """Return the handle of a group by its id: of one that was sent as a workflow, or saved.

        Raises ResultNotFound: nothing is known of it.
        """
        reader: Results = app.results
        found = reader.workflows.members(group_id)
        if found is None:
            raise ResultNotFound(group_id)
        workflow, ids = found
        known = WorkflowHandle(workflow, reader) if workflow else None
        return cls(group_id, [AsyncResult(task_id, reader) for task_id in ids], reader, workflow=known)

    def forget(self) -> None:
        """Remove what is kept of the results of the group and of its members."""
        super().forget()
        self._whole.forget()

    def delete(self) -> None:
        """Remove what `save` has kept."""
        self._whole.forget()

    @property
    def _record(self) -> Any:
        return self._whole._record

    @_record.setter
    def _record(self, record: Any) -> None:
        self._whole._record = record

    def _let_go(self) -> None:
        for result in self._all:
            result._let_go()
        self._whole._let_go()

    @property
    def _parent(self) -> AsyncResult[Any] | GroupResult[Any] | None:
        return self.parent

    def __eq__(self, other: object) -> bool:
        return other.id == self.id if isinstance(other, GroupResult) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<GroupResult: {self.id} of {len(self._all)}>"


class GroupResults:
    """What `app.GroupResult` is."""

    __slots__ = ("_app",)

    def __init__(self, app: Any) -> None:
        self._app = app

    def restore(self, group_id: str) -> GroupResult[Any]:
        """Return the handle of a group by its id. Raises ResultNotFound: nothing is known of it."""
        return GroupResult.restore(group_id, self._app)

    __call__ = restore


_ENDED = frozenset({State.SUCCESS, State.FAILURE, State.REVOKED})
