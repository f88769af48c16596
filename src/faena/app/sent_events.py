"""Tell the event task-sent, for those who have set `task_send_sent_event`.

A call has been sent by then, so what goes wrong here is said once, and costs no more than the event.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from faena._lib.drive import run
from faena.backend import carries_events
from faena.errors import FaenaError
from faena.model.event import Event, EventKind
from faena.model.message import Message

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.app.links import Link

log = logging.getLogger("faena")

_NOT_BEFORE_S = 10.0  # what is away is not asked again for so long
_again_at_s = 0.0


def tell_sent(app: Faena, messages: Sequence[Message]) -> None:
    if messages and time.monotonic() >= _again_at_s:
        run(_tell(app.links.blocking(), app, messages))


async def atell_sent(app: Faena, messages: Sequence[Message]) -> None:
    if messages and time.monotonic() >= _again_at_s:
        await _tell(await app.links.asyncio(), app, messages)


async def _tell(link: Link, app: Faena, messages: Sequence[Message]) -> None:
    global _again_at_s
    if not carries_events(link.backend):
        return
    assert link.backend.events is not None
    origin = app.sender.origin
    kind = EventKind.TASK_SENT
    events = [
        Event(kind, each.sent_at_s, origin, each.id, each.task, each.queue, each.retries, due_at_s=each.due_at_s)
        for each in messages
    ]
    try:
        await link.backend.events.publish(events)
    except (FaenaError, OSError) as error:
        _again_at_s = time.monotonic() + _NOT_BEFORE_S
        log.warning("%d calls were sent, and nobody could be told so: %s", len(messages), error)
