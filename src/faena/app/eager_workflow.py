"""Run a workflow here and now: the same law as in a backend, over a store of this run alone."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from msgspec.structs import replace

from faena.app.eager import EagerCall, arun_attempts, run_attempts
from faena.backend import NewWorkflow
from faena.drivers.memory.workflows import StepTaken, Workflows
from faena.model.delivery import Delivery
from faena.model.inputs import Gathering
from faena.model.message import Message
from faena.model.result import ResultRecord, State
from faena.model.workflow import REFERENCE, referred
from faena.tasks.canvas import Canvas
from faena.tasks.compile import Shape
from faena.tasks.failure import rebuild
from faena.tasks.result import EagerResult
from faena.tasks.values import decoded

if TYPE_CHECKING:
    from faena.app.app import Faena


def run_workflow(app: Faena, canvas: Canvas[Any], *, throw: bool) -> Any:
    """Run a canvas in this thread, one task after the other; return a result of the shape that sending would return."""
    new, compiled = app.workflows.compiled(canvas, {})
    eager = _EagerWorkflow(app, new)
    _run_all(eager)
    return _checked(eager.result_of(compiled.shape), throw)


async def arun_workflow(app: Faena, canvas: Canvas[Any], *, throw: bool) -> Any:
    """Do as `run_workflow` in a running event loop."""
    new, compiled = app.workflows.compiled(canvas, {})
    eager = _EagerWorkflow(app, new)
    await _arun_all(eager)
    return _checked(eager.result_of(compiled.shape), throw)


def go_on(app: Faena, new: NewWorkflow, result: EagerResult[Any], *, throw: bool) -> EagerResult[Any]:
    """Run what asked to run in the place of a call; return the result of the call."""
    eager = _EagerWorkflow(app, new)
    _run_all(eager)
    return cast("EagerResult[Any]", _checked(eager.result_of(Shape(0, result.id, result.task_name)), throw))


async def ago_on(app: Faena, new: NewWorkflow, result: EagerResult[Any], *, throw: bool) -> EagerResult[Any]:
    """Do as `go_on` in a running event loop."""
    eager = _EagerWorkflow(app, new)
    await _arun_all(eager)
    return cast("EagerResult[Any]", _checked(eager.result_of(Shape(0, result.id, result.task_name)), throw))


def _run_all(eager: _EagerWorkflow) -> None:
    while eager.waiting:
        call = eager.next_call()
        run_attempts(call)
        eager.ended(call)


async def _arun_all(eager: _EagerWorkflow) -> None:
    while eager.waiting:
        call = eager.next_call()
        await arun_attempts(call)
        eager.ended(call)


def _checked(result: Any, throw: bool) -> Any:
    if throw:
        result.get()
    return result


class EagerGroupResult(list[EagerResult[Any]]):
    """The results of a group that ran here and now, in order."""

    def __init__(self, group_id: str, results: Sequence[Any], value: Any, parent: Any) -> None:
        super().__init__(results)
        self.id, self.parent, self._value = group_id, parent, value

    @property
    def results(self) -> list[EagerResult[Any]]:
        return list(self)

    children = results

    def get(
        self,
        timeout: float | None = None,  # noqa: ARG002 - it has ended
        propagate: bool = True,
        *,
        callback: Callable[[str, Any], object] | None = None,
        **_: Any,
    ) -> Any:
        if propagate and isinstance(self._value, BaseException):
            raise self._value
        if callback is not None:
            for each in self:
                callback(each.id, each.get(propagate=propagate))
            return []
        return [each.get(propagate=False) for each in self] if isinstance(self._value, BaseException) else self._value

    join = join_native = get

    async def aget(self, timeout: float | None = None, propagate: bool = True) -> Any:
        return self.get(timeout, propagate)

    ajoin = aget

    def __await__(self) -> Generator[Any, None, Any]:
        return self.aget().__await__()

    def as_completed(self, timeout: float | None = None) -> Iterator[EagerResult[Any]]:  # noqa: ARG002
        return iter(self)

    async def aas_completed(self, timeout: float | None = None) -> AsyncIterator[EagerResult[Any]]:  # noqa: ARG002
        for each in self:
            yield each

    def maybe_throw(self, propagate: bool = True) -> list[Any]:
        return [each.get(propagate=propagate) for each in self]

    maybe_reraise = maybe_throw

    def apply_async(self) -> Self:
        return self

    def waiting(self) -> bool:
        return False

    def revoke(self, terminate: bool = False, signal: str = "") -> None:
        """Too late: all have run."""

    def forget(self) -> None:
        """Nothing is kept of an eager run."""

    save = delete = forget

    def successful(self) -> bool:
        return not isinstance(self._value, BaseException)

    def failed(self) -> bool:
        return not self.successful()

    def ready(self) -> bool:
        return True

    def completed_count(self) -> int:
        return sum(each.successful() for each in self)


class _EagerWorkflow:
    def __init__(self, app: Faena, new: NewWorkflow) -> None:
        self._app = app
        self.waiting: deque[Message] = deque()
        self._store, self._records = Workflows(), dict[str, ResultRecord]()
        taken = StepTaken(publishes=True)
        self._store.start(new, taken, app.clock())
        self._take(taken)

    def next_call(self) -> EagerCall:
        """Return the task whose turn it is."""
        message = self.waiting.popleft()
        member = message.member
        delivery = Delivery(message, None)
        if member is not None:
            gathering = self._gathered(member.workflow, Gathering(inputs=[member.node]))
            delivery = replace(delivery, input=gathering.input_of(member.node, member.run))
        app = self._app
        return EagerCall(delivery, app.tasks, app.codecs, app.sender, app.rules())

    def ended(self, call: EagerCall) -> None:
        """Take in how a task has ended, and what follows."""
        completion = call.completion
        if completion is None:
            return
        taken = StepTaken(publishes=True)
        if completion.result is not None:
            taken.records.append(completion.result)
        now_s = self._app.clock()
        if completion.ending is not None:
            self._store.end(completion.ending, taken, now_s)
        if completion.start is not None:
            self._store.start(completion.start, taken, now_s)
        self._take(taken)

    def result_of(self, shape: Shape, parent: Any = None) -> Any:
        """Return the result of a part of the workflow."""
        for step in shape.before:
            parent = self.result_of(step, parent)
        record = self._records.get(shape.id) or ResultRecord(shape.id, shape.name, State.SUCCESS)
        value = self._value_of(record)
        if shape.members is not None:
            return EagerGroupResult(shape.id, [self.result_of(member) for member in shape.members], value, parent)
        return EagerResult(record, value, self._app.results, parent=parent)

    # -- internals -----------------------------------------------------------------------------------------

    def _take(self, taken: StepTaken) -> None:
        for record in taken.records:
            if record.id not in self._records or not self._records[record.id].is_terminal:
                self._records[record.id] = record
        self.waiting.extend(taken.messages)

    def _gathered(self, workflow: str, gathering: Gathering) -> Gathering:
        while missing := gathering.missing():
            gathering.add(self._store.nodes(workflow, missing))
        return gathering

    def _value_of(self, record: ResultRecord) -> Any:
        decode = self._app.codecs.decode
        if record.failure is not None:
            return rebuild(record.failure, lambda data: decode(record.content, data))
        if record.value is None:
            return None
        if record.content == REFERENCE:
            workflow, node = referred(record.value)
            return decoded(self._gathered(workflow, Gathering(values=[node])).value_of(node), decode)
        return decode(record.content, record.value)
