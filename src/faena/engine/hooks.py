"""Call the hooks that a task's class overrides. They are user code: what they raise is reported, and changes nothing."""

from __future__ import annotations

import logging

from faena.engine.attempt import Attempt
from faena.engine.outcome import Failed, Outcome, Retried, Succeeded
from faena.tasks.context import current_request

log = logging.getLogger("faena.task")


def call_hooks(attempt: Attempt, outcome: Outcome) -> None:
    """Call what the class of the task overrides, in the place where the task ran."""
    hooks = attempt.task.hooks
    if not hooks:
        return
    token = current_request.set(attempt.request)
    try:
        _call(attempt, outcome, hooks)
    except BaseException:  # user code, and no signal is meant for it: the attempt has ended
        log.exception("a hook of task '%s' failed; the task's outcome stands", attempt.task.name)
    finally:
        current_request.reset(token)


def _call(attempt: Attempt, outcome: Outcome, hooks: frozenset[str]) -> None:
    task, args, kwargs = attempt.task, attempt.args, attempt.kwargs
    task_id = attempt.delivery.message.id
    match outcome:
        case Succeeded(value=value):
            status, retval, einfo = "SUCCESS", value, None
            if "on_success" in hooks:
                task.on_success(value, task_id, args, kwargs)
        case Failed(error=error):
            status, retval, einfo = "FAILURE", error, error.__traceback__
            if "on_failure" in hooks:
                task.on_failure(error, task_id, args, kwargs, einfo)
        case Retried(error=cause):
            status, retval, einfo = "RETRY", cause, cause.__traceback__ if cause is not None else None
            if "on_retry" in hooks:
                task.on_retry(cause, task_id, args, kwargs, einfo)
        case _:
            return
    if "after_return" in hooks:
        task.after_return(status, retval, task_id, args, kwargs, einfo)
