"""Open circuit breakers whose pause is over are tried again; and what a crash has left half done is repaired.

Only who holds the scheduler's lease does this, and doing it twice is harmless.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from faena.app.breakers import close_breaker, obey, set_breaker, standing_breakers
from faena.app.links import Link
from faena.model.breaker import FAMILY, Phase, Standing, family_of_breaker, is_obeyed
from faena.tasks.task import Task

log = logging.getLogger("faena.scheduler")

_EVERY_S = 5.0
_EVERY_WHILE_OPEN_S = 1.0


class BreakerDuty:
    """Knows when the next breaker is due, and looks every now and then for what it does not know."""

    def __init__(self) -> None:
        self._look_at_s = 0.0  # monotonic
        self._due_s: float | None = None

    async def look(self, link: Link, now_s: float, tasks: Mapping[str, Task[..., Any]]) -> None:
        is_due = self._due_s is not None and self._due_s <= now_s
        if is_due or time.monotonic() >= self._look_at_s:
            is_any, self._due_s = await turn_breakers(link, now_s, tasks)
            self._look_at_s = time.monotonic() + (_EVERY_WHILE_OPEN_S if is_any else _EVERY_S)

    def left_s(self, most_s: float, now_s: float) -> float:
        """Return after what time to look again, at most this."""
        left_s = min(most_s, max(0.0, self._look_at_s - time.monotonic()))
        return left_s if self._due_s is None else min(left_s, max(0.0, self._due_s - now_s))


async def turn_breakers(link: Link, now_s: float, tasks: Mapping[str, Task[..., Any]]) -> tuple[bool, float | None]:
    """Half-open the breakers whose pause is over, and see that limits are as breakers want them.

    Returns whether any is not closed, and when the next pause is over.
    """
    if not link.broker.capabilities.limits:
        return False, None
    if not await standing_breakers(link) and not any(task.breaker is not None for task in tasks.values()):
        return False, None
    # the limits first: an order is given before its limits are set, so that limits without an order are left over
    limits = {each.name: each for each in await link.broker.limits.list() if each.name.startswith(FAMILY)}
    standing = await standing_breakers(link)
    left_over = {family for family, each in limits.items() if each.change is not None}
    due: list[float] = []
    for name, each in standing.items():
        family = family_of_breaker(name)
        left_over.discard(family)
        after = await _turn(link, name, each, now_s, tasks.get(name))
        if after is each and not is_obeyed(each, limits.get(family)):
            log.warning("the limits of the circuit breaker of task '%s' were not set: a crash in between", name)
            await obey(link, name, each)
        if after is not None and after.phase is Phase.OPEN:
            due.append(after.until_s)
    for family in left_over:
        await link.broker.limits.change(family, None)
    return bool(standing), min(due, default=None)


async def _turn(link: Link, name: str, each: Standing, now_s: float, task: Task[..., Any] | None) -> Standing | None:
    if task is not None and task.breaker is None:  # the code says nothing of it any more
        await close_breaker(link, name)
        return None
    if each.phase is not Phase.OPEN or each.until_s > now_s:
        return each
    after = each.half_opened(now_s)
    await set_breaker(link, name, after)
    log.info("the circuit breaker of task '%s' is half-open", name)
    return after
