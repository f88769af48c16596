"""Send what is due: take each schedule's turn, and publish its ticks in the step that says they were taken.

    due ──▶ which of the tasks before still run ──▶ turns (`faena.model.schedule`) ──▶ one change each, if nobody was faster

Where broker and backend are one store, a tick is sent by its change. Elsewhere the message is kept with the change,
published, and noted as published; whoever holds the lease next publishes what is left over, after having looked whether it
is in the broker, or has run.

A workflow, and the tick of a unique task, take two changes and `beginning.py` between them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from faena._lib.ids import new_id
from faena.app.links import Link
from faena.app.zones import zone_of
from faena.broker import is_several, publish_possible
from faena.errors import BrokerError, InvalidSchedule, MessageTooLarge
from faena.model.delivery import Place
from faena.model.message import Message
from faena.model.result import State
from faena.model.schedule import LOOK_AGAIN_S, Change, Standing, message_of, take_turn, tick_id
from faena.scheduler.beginning import begin_tick, moved, running_workflows

if TYPE_CHECKING:
    from faena.app.app import Faena

log = logging.getLogger("faena.scheduler")

ENDED_KEPT_S = 7 * 86400.0
"""One that was added at run time goes so long after its last tick: single moments may be added without end."""

_AT_ONCE = 200
_LOOK_AGAIN_S = 60.0  # at a schedule that cannot be read here
_LEFT_MOST = 1000
_UNSEEN_S = 12 * 3600.0  # results are kept for longer, unless somebody says otherwise
_FEW = 5  # ticks of one turn: each gets a line in the log


class Ticker:
    """Sends the ticks of all schedules of a backend. Two of them send each tick once."""

    def __init__(self, app: Faena) -> None:
        self._app = app

    async def send_due(self, link: Link, now_s: float, *, sent_at_s: float | None = None) -> int:
        """Take the turn of schedules that are due, up to 200 of them; return how many there were.

        `sent_at_s` is when the messages are sent, where that is not `now_s`: in a test that has moved its clock.
        """
        due = await link.backend.schedules.due(now_s, _AT_ONCE)
        if not due:
            return 0
        running = await _running(link, due, now_s)
        changes: list[Change] = []
        for standing in due:
            if standing.starting:  # somebody died before it had begun, or the schedule was changed meanwhile
                await self._begin(link, standing, now_s, sent_at_s, is_left_over=True)
                continue
            try:
                changes.append(await self._turn(link, standing, now_s, sent_at_s, is_running=standing.last_id in running))
            except InvalidSchedule as error:  # a time zone that this machine does not know
                log.error("schedule '%s' has to wait: %s", standing.schedule.name, error)
                wakes_at_s = now_s + _LOOK_AGAIN_S
                changes.append(Change(standing.schedule.name, standing.revision, _renewed(standing), wakes_at_s))
        made = await _made(link, changes)
        for change in made:
            if change.standing is not None and change.standing.starting:
                await self._begin(link, change.standing, now_s, sent_at_s, is_left_over=False)
        sent = [message for change in made for message in change.publish]
        if len(sent) > _FEW:
            log.info("%d ticks of schedules were sent", len(sent))
        for message in sent if len(sent) <= _FEW else ():
            log.info("schedule '%s': sent %s[%s]", (message.headers or {}).get("schedule"), message.task, message.id)
        return len(due)

    async def _turn(
        self, link: Link, standing: Standing, now_s: float, sent_at_s: float | None, *, is_running: bool
    ) -> Change:
        schedule = standing.schedule
        if standing.state == "ended":  # for long enough
            return Change(schedule.name, standing.revision, None)
        turn = take_turn(standing, now_s, zone_of, is_running=is_running)
        if turn.cancels and schedule.workflow is not None:
            await self._app.workflows.cancel_through(link, turn.cancels, terminate=True)
        elif turn.cancels:
            await self._app.control.revoke_through(link, [turn.cancels], terminate=True)
        plain = turn.ticks if schedule.is_plain else ()
        messages = [message_of(schedule, tick_s, tick_id(schedule.name, tick_s), now_s) for tick_s in plain]
        if sent_at_s is not None:
            messages = [moved(message, sent_at_s - now_s) for message in messages]
        wakes_at_s = (
            turn.standing.wakes_at_s if turn.standing.starting else _wakes_at_s(turn.standing, turn.wakes_at_s, now_s)
        )
        return Change(schedule.name, standing.revision, _renewed(turn.standing), wakes_at_s, tuple(messages))

    async def _begin(
        self, link: Link, standing: Standing, now_s: float, sent_at_s: float | None, *, is_left_over: bool
    ) -> None:
        """Begin what is starting, and note that it has begun; who changes the schedule meanwhile lets it be done again."""
        reasons = [
            await begin_tick(self._app, link, standing.schedule, tick_s, now_s, sent_at_s, is_left_over=is_left_over)
            for tick_s in standing.starting
        ]
        refused = [reason for reason in reasons if reason]
        begun = [tick_s for tick_s, reason in zip(standing.starting, reasons, strict=True) if not reason]
        after = replace(standing, starting=()).having_sent(begun)
        after = after.without(len(refused), refused[-1] if refused else "", now_s)
        looks_at_s = now_s + LOOK_AGAIN_S if after.held_s is not None and not after.is_paused else after.wakes_at_s
        wakes_at_s = _wakes_at_s(after, looks_at_s, now_s)
        change = Change(standing.schedule.name, standing.revision, _renewed(after), wakes_at_s)
        await link.backend.schedules.change([change], link.broker, tells=False)


async def send_left_over(link: Link, grace_s: float, limit: int) -> int:
    """Publish ticks that were taken by one who has died before they were with the broker; return how many."""
    left = await link.backend.schedules.unpublished(time.time() - grace_s, limit)
    if not left:
        return 0
    ids = [message.id for message in left]
    known = {record.id for record in await link.backend.read(ids) if record is not None}
    if link.broker.capabilities.locates:
        places = await link.broker.locate(ids)
        known |= {task_id for task_id, place in zip(ids, places, strict=True) if place is not None}
    missing = [message for message in left if message.id not in known]
    left_over = {message.id for message in missing}.difference([message.id for message in await _publish(link, missing)])
    await link.backend.schedules.published([task_id for task_id in ids if task_id not in left_over])
    if missing:
        log.warning("%d ticks of schedules were taken and not published: a crash in between; published now", len(missing))
    return len(missing)


async def _made(link: Link, changes: Sequence[Change]) -> list[Change]:
    """Make changes; return those that were made."""
    schedules = link.backend.schedules
    try:
        answers = await schedules.change(changes, link.broker, tells=False)
    except MessageTooLarge as error:
        if len(changes) > 1:
            return [each for change in changes for each in await _made(link, [change])]
        log.error("schedule '%s': a tick cannot be sent: %s", changes[0].name, error)
        return await _made(link, [replace(changes[0], publish=())])
    made = [change for change, is_made in zip(changes, answers, strict=True) if is_made]
    messages = [message for change in made for message in change.publish]
    if messages and link.backend.joint(link.broker, "") is None:
        await schedules.published([message.id for message in await _publish(link, messages)])
    return made


async def _publish(link: Link, messages: Sequence[Message]) -> Sequence[Message]:
    """Hand messages to a broker that is a store of its own; return those that are not to be published any more.

    One that it can never take is told of, and in nobody's way; what is for one of several that is away is left over.
    """
    try:
        return await publish_possible(link.broker, messages) if messages else ()
    except MessageTooLarge as error:
        if len(messages) == 1:
            log.error("task %s of a schedule cannot be sent: %s", messages[0].id, error)
            return messages
        return [each for message in messages for each in await _publish(link, [message])]


async def _running(link: Link, due: Sequence[Standing], now_s: float) -> set[str]:
    """Return the ids of the tasks before, where that matters, that have not ended."""
    minded = [each for each in due if each.last_id and each.schedule.overlap != "allow" and not each.starting]
    workflows = await running_workflows(
        link, [each.last_id for each in minded if each.schedule.workflow is not None], now_s
    )
    return workflows | await _running_tasks(link, [each for each in minded if each.schedule.workflow is None], now_s)


async def _running_tasks(link: Link, asked: Sequence[Standing], now_s: float) -> set[str]:
    ids = [each.last_id for each in asked]
    if not ids:
        return set()
    records = await link.backend.read(ids)
    waiting = {record.id for record in records if record is not None and record.state == State.WAITING}
    places = await _places(link, ids)
    if places is None:
        return {
            each.last_id
            for each, record in zip(asked, records, strict=True)
            if (not record.is_terminal if record is not None else _may_run_unseen(each, now_s))
        }
    if None in places and link.backend.joint(link.broker, "") is None:  # taken, and on its way to the broker
        waiting |= {message.id for message in await link.backend.schedules.unpublished(time.time() + 1, _LEFT_MOST)}
    return waiting | {task_id for task_id, place in zip(ids, places, strict=True) if place not in (None, Place.DEAD)}


async def _places(link: Link, ids: Sequence[str]) -> Sequence[Place | None] | None:
    """Say where messages are; None: that cannot be told, of some of them at least."""
    can = link.broker.capabilities
    if not (can.locates and can.finds_all):
        return None
    try:
        return await link.broker.locate(ids)
    except BrokerError:
        if not is_several(link.broker):
            raise
        return None


def _may_run_unseen(standing: Standing, now_s: float) -> bool:
    """Whether a task of which nothing is known may not have ended, for a broker that cannot say what it has."""
    return not standing.schedule.message.ignore_result and now_s - (standing.last_s or 0.0) < _UNSEEN_S


def _renewed(standing: Standing) -> Standing:
    return replace(standing, revision=new_id())


def _wakes_at_s(standing: Standing, looks_at_s: float | None, now_s: float) -> float | None:
    is_nobodys_any_more = standing.state == "ended" and not standing.app
    return now_s + ENDED_KEPT_S if is_nobodys_any_more else looks_at_s
