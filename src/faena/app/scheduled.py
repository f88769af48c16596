"""Running what a schedule runs besides its ticks: now, or for moments that have passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from faena._lib.ids import new_id
from faena.backend import NewWorkflow
from faena.model.message import Message
from faena.model.schedule import Schedule, claiming, message_of, workflow_of
from faena.tasks.group_result import GroupResult
from faena.tasks.result import AsyncResult

if TYPE_CHECKING:
    from faena.app.app import Faena

Handle: TypeAlias = AsyncResult[Any] | GroupResult[Any]


class Manually:
    """Sends what a schedule runs, by the hands of whoever asks for it."""

    def __init__(self, app: Faena) -> None:
        self._app = app

    def once(self, schedule: Schedule) -> Handle:
        now_s = self._app.clock()
        if schedule.is_plain or schedule.workflow is not None:
            return self.each(schedule, [now_s])[0]
        from faena.app.claiming import send_claimed  # which only those who have such tasks pay for

        return send_claimed(self._app, *claiming(schedule, self._message(schedule, now_s), now_s))

    async def aonce(self, schedule: Schedule) -> Handle:
        now_s = self._app.clock()
        if schedule.is_plain or schedule.workflow is not None:
            return (await self.aeach(schedule, [now_s]))[0]
        from faena.app.claiming import asend_claimed

        return await asend_claimed(self._app, *claiming(schedule, self._message(schedule, now_s), now_s))

    def each(self, schedule: Schedule, ticks: Sequence[float]) -> list[Handle]:
        app = self._app
        if schedule.workflow is not None:
            return [app.workflows.begin(self._workflow(schedule, tick_s)) for tick_s in ticks]
        messages = [self._message(schedule, tick_s) for tick_s in ticks]
        app.publish(messages, {})
        return [app.handle_of(message) for message in messages]

    async def aeach(self, schedule: Schedule, ticks: Sequence[float]) -> list[Handle]:
        app = self._app
        if schedule.workflow is not None:
            return [await app.workflows.abegin(self._workflow(schedule, tick_s)) for tick_s in ticks]
        messages = [self._message(schedule, tick_s) for tick_s in ticks]
        await app.apublish(messages, {})
        return [app.handle_of(message) for message in messages]

    def _message(self, schedule: Schedule, tick_s: float) -> Message:
        return message_of(replace(schedule, jitter_s=0.0), tick_s, new_id(), self._app.clock())

    def _workflow(self, schedule: Schedule, tick_s: float) -> NewWorkflow:
        now_s = self._app.clock()
        return NewWorkflow(*workflow_of(replace(schedule, jitter_s=0.0), tick_s, new_id(), now_s, now_s))
