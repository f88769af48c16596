"""Run a call here and now, with everything that a worker does around it, but for the waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from faena._lib.ids import new_id
from faena.backend import Completion, NewWorkflow
from faena.codecs.registry import Codecs
from faena.engine.attempt import Attempt, Ended, Runner
from faena.engine.batch import BatchRun
from faena.engine.completion import Completer
from faena.engine.hooks import call_hooks
from faena.engine.outcome import Failed, Outcome, Rejected, Retried, Revoked, Succeeded
from faena.engine.rules import Rules
from faena.errors import TaskFailed, TaskRevokedError
from faena.model.delivery import Delivery, Release
from faena.model.result import ResultRecord, State
from faena.tasks.call import Call, Sender, build_message
from faena.tasks.context import current_request
from faena.tasks.dispatcher import Results
from faena.tasks.result import EagerResult
from faena.tasks.task import Task

if TYPE_CHECKING:
    from faena.app.app import Faena


def run_eagerly(app: Faena, call: Call, *, throw: bool) -> EagerResult[Any]:
    """Run the call, its retries at once, and the tasks linked to it; arguments travel through the codec as always."""
    eager = _eager_call(app, call)
    run_attempts(eager)
    if eager.replacement is not None:
        from faena.app.eager_workflow import go_on

        return go_on(app, eager.replacement, eager.result(app.results, throw=False), throw=throw)
    for linked in eager.linked():
        run_eagerly(app, linked, throw=False)
    return eager.result(app.results, throw)


async def arun_eagerly(app: Faena, call: Call, *, throw: bool) -> EagerResult[Any]:
    """Do as `run_eagerly` in a running event loop: coroutines run in it, functions in a thread."""
    eager = _eager_call(app, call)
    await arun_attempts(eager)
    if eager.replacement is not None:
        from faena.app.eager_workflow import ago_on

        return await ago_on(app, eager.replacement, eager.result(app.results, throw=False), throw=throw)
    for linked in eager.linked():
        await arun_eagerly(app, linked, throw=False)
    return eager.result(app.results, throw)


def _eager_call(app: Faena, call: Call) -> EagerCall:
    parent = current_request.get()
    message = build_message(call, app.sender, now_s=time.time(), new_id=new_id(), parent=parent)
    return EagerCall(Delivery(message, None), app.tasks, app.codecs, app.sender, app.rules())


def run_attempts(eager: EagerCall) -> None:
    """Run a call in this thread, with its retries."""
    while eager.is_due:
        begun = eager.begin()
        eager.end(_run(eager.runner, begun) if isinstance(begun, Attempt) else begun.outcome)


async def arun_attempts(eager: EagerCall) -> None:
    """Run a call in a running event loop, with its retries."""
    import asyncio

    while eager.is_due:
        begun = eager.begin()
        if not isinstance(begun, Attempt):
            eager.end(begun.outcome)
        elif begun.task.is_coroutine:
            current = asyncio.current_task()
            assert current is not None
            batch = BatchRun(eager.runner, [begun]) if begun.task.batch is not None else None
            runs = batch.whole if batch is not None and batch.whole is not None else begun
            outcome = await eager.runner.run_coroutine(runs, current.uncancel)
            eager.end(outcome if batch is None else batch.outcome_of_one(outcome))
        else:
            eager.end(await asyncio.to_thread(_run, eager.runner, begun))


class EagerCall:
    """One call that runs here: attempt after attempt, until it has ended."""

    def __init__(
        self, delivery: Delivery, tasks: Mapping[str, Task[..., Any]], codecs: Codecs, sender: Sender, rules: Rules
    ) -> None:
        self.runner = Runner(tasks, codecs, hostname="eager", is_eager=True)
        self.is_due = True
        self._codecs, self._completer = codecs, Completer(codecs, sender, rules, tasks)
        self._delivery = delivery
        self._outcome: Outcome | None = None
        self.completion: Completion | None = None

    def begin(self) -> Attempt | Ended:
        self._begun = self.runner.begin(self._delivery)
        return self._begun

    def end(self, outcome: Outcome) -> None:
        """Take in how an attempt has ended; a retry is due at once."""
        if isinstance(self._begun, Attempt):
            call_hooks(self._begun, outcome)
        self._outcome = outcome
        self.completion, _ = self._completer.complete(self._begun, outcome)
        settlement = self.completion.settlement
        self.is_due = isinstance(outcome, Retried) and isinstance(settlement, Release) and settlement.message is not None
        if self.is_due and isinstance(settlement, Release) and settlement.message is not None:
            self._delivery = replace(self._delivery, message=settlement.message)

    @property
    def replacement(self) -> NewWorkflow | None:
        """The workflow that runs in its place."""
        return self.completion.start if self.completion is not None else None

    def linked(self) -> Iterator[Call]:
        """Give the calls of the tasks that follow."""
        for follower in self.completion.publish if self.completion is not None else ():
            args, kwargs = self._codecs.decode(follower.content, follower.body)
            yield Call(follower.task, args, kwargs, {"task_id": follower.id})

    def result(self, results: Results, throw: bool) -> EagerResult[Any]:
        recorded = self.completion.result if self.completion is not None else None
        record = recorded or ResultRecord(self._delivery.message.id, self._delivery.message.task, State.SUCCESS)
        value = _value_of(self._outcome)
        if throw and isinstance(value, BaseException):
            raise value
        return EagerResult(record, value, results)


def _run(runner: Runner, attempt: Attempt) -> Outcome:
    if attempt.task.batch is not None and attempt.calls is None:
        batch = BatchRun(runner, [attempt])
        assert batch.whole is not None
        return batch.outcome_of_one(_run(runner, batch.whole))
    if not attempt.task.is_coroutine:
        return runner.run(attempt)
    import asyncio  # only for coroutines

    async def whole() -> Outcome:
        current = asyncio.current_task()
        assert current is not None
        return await runner.run_coroutine(attempt, current.uncancel)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(whole())
    from threading import Thread  # inside a running loop, the coroutine gets a loop of its own

    found: list[Outcome] = []
    thread = Thread(target=lambda: found.append(asyncio.run(whole())), name="faena-eager")
    thread.start()
    thread.join()
    return found[0]


def _value_of(outcome: Outcome | None) -> Any:
    match outcome:
        case Succeeded(value=value):
            return value
        case Failed(error=error):
            return error
        case Revoked(reason=reason):
            return TaskRevokedError(f"the task {reason}")
        case Rejected(reason=reason):
            return TaskFailed("Reject", reason)
    return None
