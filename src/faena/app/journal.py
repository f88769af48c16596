"""What tasks remember of their finished steps, and events: through the links of one app."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from faena._lib.drive import run
from faena.app.links import Link
from faena.app.publishing import apatiently, apublish, patiently, publish
from faena.model.journal import Entry
from faena.tasks.durable import checked_event

if TYPE_CHECKING:
    from faena.app.app import Faena

T = TypeVar("T")


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

    # Each may be repeated, and is while the backend cannot be reached: what has run for hours ought not to fail for it.

    def read(self, task_id: str) -> Sequence[Entry]:
        return self._patiently(lambda link: link.backend.journal.read(task_id))

    async def aread(self, task_id: str) -> Sequence[Entry]:
        return await self._apatiently(lambda link: link.backend.journal.read(task_id))

    def write(self, task_id: str, entry: Entry, until_s: float) -> Entry:
        return self._patiently(lambda link: link.backend.journal.write(task_id, entry, self._kept_until_s(until_s)))

    async def awrite(self, task_id: str, entry: Entry, until_s: float) -> Entry:
        return await self._apatiently(lambda link: link.backend.journal.write(task_id, entry, self._kept_until_s(until_s)))

    def event(self, name: str) -> Entry | None:
        return self._patiently(lambda link: link.backend.journal.event(name))

    async def aevent(self, name: str) -> Entry | None:
        return await self._apatiently(lambda link: link.backend.journal.event(name))

    def signal(self, name: str, value: Any) -> None:
        """Let an event happen; see `Faena.signal_event`."""
        app, event, until_s = self._app, self.entry(checked_event("signal_event", name), value), self._kept_until_s(0.0)
        woken = self._patiently(lambda link: link.backend.journal.signal(event, until_s, link.broker))
        if woken:
            publish(app.links, app.conf, woken, {})
            link = app.links.blocking()
            if not link.broker.capabilities.deduplicates:
                run(link.backend.journal.published([message.id for message in woken]))

    async def asignal(self, name: str, value: Any) -> None:
        app, event, until_s = self._app, self.entry(checked_event("signal_event", name), value), self._kept_until_s(0.0)
        woken = await self._apatiently(lambda link: link.backend.journal.signal(event, until_s, link.broker))
        if woken:
            await apublish(app.links, app.conf, woken, {})
            link = await app.links.asyncio()
            if not link.broker.capabilities.deduplicates:
                await link.backend.journal.published([message.id for message in woken])

    def _patiently(self, call: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        app = self._app
        return patiently(app.conf, {}, lambda: run(call(app.links.blocking())))

    async def _apatiently(self, call: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        app = self._app

        async def work() -> T:
            return await call(await app.links.asyncio())

        return await apatiently(app.conf, {}, work)

    def _kept_until_s(self, until_s: float) -> float:
        keep_s = self._app.conf.task_steps_expire
        return max(self._app.clock(), until_s) + keep_s
