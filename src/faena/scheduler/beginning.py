"""Begin a tick that is more than one message, or that may come to nothing: a workflow, a task that is unique.

    taken (`Standing.starting`) ──▶ begun under the tick's id ──▶ noted

Beginning may be repeated: a workflow that is known is left as it is, and of a task that was sent before, the broker or the
backend knows. Both keep the guarantees of a tick that is one message.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from faena.app.links import Link
from faena.backend import NewWorkflow
from faena.engine.completion import carry_on
from faena.errors import DuplicateCall, MessageTooLarge, NotSupported
from faena.model.message import Message
from faena.model.schedule import Schedule, claiming, message_of, tick_id, workflow_of
from faena.model.workflow import WorkflowState

if TYPE_CHECKING:
    from faena.app.app import Faena

log = logging.getLogger("faena.scheduler")

_AT_REST_S = 12 * 3600.0
"""What runs on so long after its workflow has ended is taken for gone: nobody looks for lost steps of such a workflow."""


async def begin_tick(
    app: Faena,
    link: Link,
    schedule: Schedule,
    tick_s: float,
    now_s: float,
    sent_at_s: float | None,
    *,
    is_left_over: bool,
) -> str:
    """Begin one; return why it was left out, "" where it was not."""
    task_id = tick_id(schedule.name, tick_s)
    try:
        if schedule.workflow is not None:
            await _start(link, schedule, tick_s, task_id, now_s, sent_at_s)
        elif is_left_over and await _is_known(link, task_id):
            return ""
        elif schedule.claims is not None:
            return await _claim(app, link, schedule, tick_s, task_id, now_s, sent_at_s)
        else:  # it was a workflow, or unique, when the tick was taken, and was changed since
            await link.broker.publish([_message(schedule, tick_s, task_id, now_s, sent_at_s)])
    except (MessageTooLarge, NotSupported) as error:
        log.error("schedule '%s': a tick cannot be sent: %s", schedule.name, error)
        return f"it cannot be sent: {error}"
    return ""


async def running_workflows(link: Link, ids: Sequence[str], now_s: float) -> set[str]:
    """Return those that have not ended, or of which steps still run beside or after their end."""
    if not ids:
        return set()
    return {
        status.workflow.id
        for status in await link.backend.workflows.statuses(ids)
        if status is not None
        and (
            status.state is WorkflowState.RUNNING
            or (status.active > 0 and now_s - (status.finished_at_s or now_s) < _AT_REST_S)
        )
    }


def moved(message: Message, by_s: float) -> Message:
    """Return a message as if it had been sent so much later."""
    expires_at_s = None if message.expires_at_s is None else message.expires_at_s + by_s
    return replace(message, sent_at_s=message.sent_at_s + by_s, expires_at_s=expires_at_s)


async def _start(
    link: Link, schedule: Schedule, tick_s: float, workflow: str, now_s: float, sent_at_s: float | None
) -> None:
    new = NewWorkflow(*workflow_of(schedule, tick_s, workflow, now_s, now_s if sent_at_s is None else sent_at_s))
    await carry_on(link.broker, link.backend, await link.backend.workflows.start(new, link.broker))
    log.info("schedule '%s': began %s[%s]", schedule.name, new.workflow.name, workflow)


async def _claim(
    app: Faena, link: Link, schedule: Schedule, tick_s: float, task_id: str, now_s: float, sent_at_s: float | None
) -> str:
    from faena.app.claiming import send_through  # which only those who have such tasks pay for

    message, rule = claiming(schedule, _message(schedule, tick_s, task_id, now_s, sent_at_s), now_s)
    try:
        sent = await send_through(app, link, message, rule)
    except DuplicateCall as error:
        present = error.task_id
    else:
        if not sent.is_duplicate:
            log.info("schedule '%s': sent %s[%s]", schedule.name, message.task, sent.task_id)
            return ""
        present = sent.task_id
    log.info("schedule '%s': a tick was left out: %s[%s] has its key", schedule.name, message.task, present)
    return f"task {present} has its key (unique)"


def _message(schedule: Schedule, tick_s: float, task_id: str, now_s: float, sent_at_s: float | None) -> Message:
    message = message_of(schedule, tick_s, task_id, now_s)
    return message if sent_at_s is None else moved(message, sent_at_s - now_s)


async def _is_known(link: Link, task_id: str) -> bool:
    (record,) = await link.backend.read([task_id])
    if record is not None or not link.broker.capabilities.locates:
        return record is not None
    return (await link.broker.locate([task_id]))[0] is not None
