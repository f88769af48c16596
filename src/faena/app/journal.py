"""What tasks remember of their finished steps, and events: through the links of one app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faena._lib.drive import run
from faena.app.publishing import apublish, publish
from faena.model.journal import Entry
from faena.tasks.durable import checked_event

if TYPE_CHECKING:
    from faena.app.app import Faena


class AppJournal:
    """See `faena.tasks.dispatcher.Journal`."""

    def __init__(self, app: Faena) -> None:
        self._app = app

    def now_s(self) -> float:
        return self._app.clock()

    def entry(self, name: str, value: Any) -> Entry:
        serializer = self._app.conf.result_serializer
        encoded = None if value is None else self._app.codecs.encode(serializer, value)
        return Entry(name, encoded, serializer, self._app.clock())

    def value_of(self, entry: Entry) -> Any:
        return None if entry.value is None else self._app.codecs.decode(entry.content, entry.value)

    def read(self, task_id: str) -> Sequence[Entry]:
        return run(self._app.links.blocking().backend.journal.read(task_id))

    async def aread(self, task_id: str) -> Sequence[Entry]:
        return await (await self._app.links.asyncio()).backend.journal.read(task_id)

    def write(self, task_id: str, entry: Entry, until_s: float) -> Entry:
        return run(self._app.links.blocking().backend.journal.write(task_id, entry, self._kept_until_s(until_s)))

    async def awrite(self, task_id: str, entry: Entry, until_s: float) -> Entry:
        return await (await self._app.links.asyncio()).backend.journal.write(task_id, entry, self._kept_until_s(until_s))

    def event(self, name: str) -> Entry | None:
        return run(self._app.links.blocking().backend.journal.event(name))

    async def aevent(self, name: str) -> Entry | None:
        return await (await self._app.links.asyncio()).backend.journal.event(name)

    def signal(self, name: str, value: Any) -> None:
        """Let an event happen; see `Faena.signal_event`."""
        app, link = self._app, self._app.links.blocking()
        event = self.entry(checked_event("signal_event", name), value)
        woken = run(link.backend.journal.signal(event, self._kept_until_s(0.0), link.broker))
        if woken:
            publish(app.links, app.conf, woken, {})

    async def asignal(self, name: str, value: Any) -> None:
        app, link = self._app, await self._app.links.asyncio()
        event = self.entry(checked_event("signal_event", name), value)
        woken = await link.backend.journal.signal(event, self._kept_until_s(0.0), link.broker)
        if woken:
            await apublish(app.links, app.conf, woken, {})

    def _kept_until_s(self, until_s: float) -> float:
        keep_s = self._app.conf.task_steps_expire
        return max(self._app.clock(), until_s) + keep_s
