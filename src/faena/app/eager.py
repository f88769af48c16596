"""Run a call here and now, with everything that a worker does around it, but for the waiting."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from faena._lib.ids import new_id
from faena.codecs.registry import Codecs
from faena.engine.attempt import Attempt, Runner
from faena.engine.completion import Completer
from faena.engine.hooks import call_hooks
from faena.engine.outcome import Failed, Outcome, Retried, Succeeded
from faena.engine.rules import Rules
from faena.errors import Retry
from faena.model.delivery import Delivery, Release
from faena.model.result import ResultRecord, State
from faena.tasks.call import Call, Sender, build_message
from faena.tasks.context import current_request
from faena.tasks.dispatcher import Results
from faena.tasks.result import EagerResult
from faena.tasks.task import Task


def run_eagerly(
    call: Call,
    tasks: Mapping[str, Task[..., Any]],
    codecs: Codecs,
    sender: Sender,
    rules: Rules,
    results: Results,
    *,
    throw: bool,
) -> EagerResult[Any]:
    """Run the call, its retries at once, and the tasks linked to it; arguments travel through the codec as always."""
    runner, completer = Runner(tasks, codecs, hostname="eager", is_eager=True), Completer(codecs, sender, rules)
    parent = current_request.get()
    message = build_message(call, sender, now_s=time.time(), new_id=new_id(), parent=parent)
    while True:
        begun = runner.begin(Delivery(message, None))
        if isinstance(begun, Attempt):
            outcome = _run(runner, begun)
            call_hooks(begun, outcome)
        else:
            outcome = begun.outcome
        completion, _ = completer.complete(begun, outcome)
        if not isinstance(outcome, Retried) or not isinstance(completion.settlement, Release):
            break
        assert completion.settlement.message is not None
        message = completion.settlement.message
    for follower in completion.publish:
        args, kwargs = codecs.decode(follower.content, follower.body)
        linked = Call(follower.task, args, kwargs, {"task_id": follower.id})
        run_eagerly(linked, tasks, codecs, sender, rules, results, throw=False)
    record = completion.result or ResultRecord(message.id, message.task, State.SUCCESS)
    value = _value_of(outcome)
    if throw and isinstance(value, BaseException):
        raise value
    return EagerResult(record, value, results)


def _run(runner: Runner, attempt: Attempt) -> Outcome:
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


def _value_of(outcome: Outcome) -> Any:
    match outcome:
        case Succeeded(value=value):
            return value
        case Failed(error=error):
            return error
        case Retried():
            return Retry()
    return None
