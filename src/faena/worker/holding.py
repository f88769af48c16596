"""The broker and backend of a worker, and what its processes hold there: leases opened, renewed, handed back.

With one broker a process begins when it has its holder. With several it begins at once, and is granted a holder on each as
soon as that can be reached (`Granted`): a broker that is away stops its own queues only, and is asked again and again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from faena.app.links import Link, connected
from faena.broker import Broker, Holder, check_queues
from faena.engine.notes import note_verdicts
from faena.errors import BackendError, BrokerError, NotSupported, StorageError
from faena.model.delivery import Verdict
from faena.worker.handle import ProcessHandle, ProcessState
from faena.worker.leases import LeaseKeeper
from faena.worker.vital import vital
from faena.worker.wire import Granted, Hello

if TYPE_CHECKING:
    from faena.brokers.several import Part, SeveralBrokers

log = logging.getLogger("faena.worker")

_PAUSES_S = (0.05, 0.2, 1.0, 2.0, None)
BROKEN = (BrokerError, BackendError, StorageError, OSError)


class Holding:
    """All that a worker has on one or several brokers.

    `patience_s` says how long to wait for an answer, now; `moved` is called when one of several is reached, or no more.
    """

    def __init__(
        self,
        name: str,
        processes: Sequence[ProcessHandle],
        queues: Callable[[], Sequence[str]],
        patience_s: Callable[[], float],
        is_stopping: Callable[[], bool],
        moved: Callable[[], None],
    ) -> None:
        self._name, self._processes, self._queues = name, processes, queues
        self._patience_s, self._is_stopping, self._moved = patience_s, is_stopping, moved
        self._link: Link | None = None
        self._lease_s = 0.0
        self._sites: dict[str, _Site] = {}  # by the name of the broker; "": there is only one

    @property
    def link(self) -> Link:
        """The open broker (or several as one) and backend."""
        assert self._link is not None
        return self._link

    @property
    def is_open(self) -> bool:
        return self._link is not None

    async def open(self, hello: Hello) -> None:
        """Open broker and backend as the app has them set. Of several brokers none is needed to be there."""
        self._lease_s = float(hello.settings["worker_lease"])
        backend = connected("faena.backends", hello.backend_url, "asyncio", hello.backend_options)
        if hello.homes is None:
            broker = connected("faena.brokers", hello.broker_url, "asyncio", hello.broker_options)
            _refuse_unless_durable(broker, hello.broker_url)
            await broker.open()
            await check_queues(broker, hello.queues)
            await backend.open()
            self._link = Link(broker, backend)
            self._sites = {"": _Site(self, "", self._link, None)}
            return
        from faena.brokers.several import SeveralBrokers

        brokers = {name: connected("faena.brokers", url, "asyncio", said) for name, (url, said) in hello.places.items()}
        for name, each in brokers.items():
            _refuse_unless_durable(each, name)
        several = SeveralBrokers(hello.homes, brokers, "asyncio")
        await backend.open()
        await check_queues(several, hello.queues)
        self._link = Link(several, backend)
        parts = several.parts.by_name
        self._sites = {name: _Site(self, name, Link(parts[name].broker, backend), parts[name]) for name in brokers}

    async def welcome(self, handle: ProcessHandle) -> Holder:
        """Return as what a process begins."""
        only = self._sites.get("")
        if only is not None:
            return await only.open_holder(handle)
        self.changed()
        return "{}"

    def changed(self) -> None:
        """There are other processes, or other queues: see to it that there is a holder where one is needed."""
        for site in self._sites.values():
            site.keeper.changed()

    async def keep_forever(self) -> None:
        async with asyncio.TaskGroup() as group:
            for site in self._sites.values():
                group.create_task(vital(site.keep_forever()))

    async def recover(self, handle: ProcessHandle, verdicts: dict[str, Verdict]) -> None:
        """Hand back what a process held; while a broker cannot be reached, the lease does so in the end."""
        async with asyncio.TaskGroup() as group:
            for name, holder in list(handle.holders.items()):
                group.create_task(self._sites[name].recover(holder, verdicts))

    async def leave(self) -> None:
        """Hand back what all processes held, say that this worker is gone, and close.

        Raises what a broker or the backend had trouble with, when the others have been told.
        """
        link = self.link
        works = [site.hand_back() for site in self._sites.values()]
        troubles = await asyncio.gather(*works, link.backend.mailbox.withdraw(self._name), return_exceptions=True)
        await link.backend.close()
        await link.broker.close()
        for trouble in troubles:
            if trouble is not None:
                raise trouble

    @property
    def is_renewing(self) -> bool:
        """Whether a broker was reached the last time."""
        return any(site.keeper.is_renewing for site in self._sites.values())

    @property
    def brokers(self) -> dict[str, str]:
        """Say of each of several brokers that is taken from how it stands."""
        return {
            name: "ok" if site.keeper.is_renewing else "away"
            for name, site in self._sites.items()
            if name and site.is_wanted()
        }


class _Site:
    """One broker, and the holders of this worker's processes there."""

    def __init__(self, holding: Holding, name: str, link: Link, part: Part | None) -> None:
        self._holding, self._name, self.link, self._part = holding, name, link, part
        if part is None:
            self.keeper = LeaseKeeper(link, holding._lease_s, self._held)
        else:
            self.keeper = LeaseKeeper(
                link, holding._lease_s, self._held, name=name, first=self._grant_missing, lost=self._lost,
                moved=holding._moved,
            )  # fmt: skip

    def is_wanted(self) -> bool:
        """Whether this worker takes from a queue that lives there."""
        if self._part is None:
            return True
        several: SeveralBrokers = self._holding.link.broker  # type: ignore[assignment]  # it is a part of it
        return self._name in several.homes.parted(self._holding._queues())

    async def keep_forever(self) -> None:
        await self.keeper.wait_until(self.is_wanted)
        async with asyncio.TaskGroup() as group:
            group.create_task(vital(self.keeper.renew_forever()))
            group.create_task(vital(self.keeper.reap_forever()))

    async def open_holder(self, handle: ProcessHandle) -> Holder:
        holding = self._holding
        holder = await self.link.broker.leases.open_holder(f"{holding._name}:{handle.pid}", holding._lease_s)
        handle.holders[self._name] = holder
        return holder

    async def recover(self, holder: Holder, verdicts: dict[str, Verdict]) -> None:
        holding = self._holding
        for pause_s in _PAUSES_S:
            try:
                async with asyncio.timeout(holding._patience_s()):
                    if verdicts and not self.link.broker.capabilities.keeps_verdicts:
                        await note_verdicts(self.link.backend.journal, holder, verdicts)
                    back = await self.link.broker.leases.recover(holder, verdicts)
            except (*BROKEN, TimeoutError) as error:
                log.warning("recovering a process: %s", str(error) or "the broker gives no answer")
                if pause_s is None or holding._is_stopping():
                    return
                await asyncio.sleep(pause_s)
            else:
                if back:
                    log.info("%d unfinished tasks went back to their queues", back)
                return

    async def hand_back(self) -> None:
        """Hand back what all processes hold there."""
        for holder in self._held():
            await self.link.broker.leases.recover(holder, {})

    def _held(self) -> dict[Holder, ProcessHandle]:
        found = [(handle.holders.get(self._name), handle) for handle in self._holding._processes]
        return {holder: handle for holder, handle in found if holder is not None}

    async def _grant_missing(self) -> None:
        """Open the broker, and a holder for each process that has none there."""
        assert self._part is not None
        await self._part.ready()
        for handle in list(self._holding._processes):
            if handle.state is not ProcessState.WORKING or self._name in handle.holders or not self.is_wanted():
                continue
            holder = await self.open_holder(handle)
            if handle in self._holding._processes:
                handle.say(Granted(self._name, holder))
            else:  # it has ended meanwhile, and was recovered without it
                await self.link.broker.leases.recover(holder, {})

    def _lost(self, handle: ProcessHandle) -> None:
        """Let a process hold anew what it has lost here; what it holds elsewhere has nothing to do with it."""
        log.warning("broker '%s': process %d (pid %d) has lost its lease there", self._name, handle.index, handle.pid)
        handle.holders.pop(self._name, None)
        self.keeper.changed()


def _refuse_unless_durable(broker: Broker, shown: str) -> None:
    if not broker.capabilities.durable:
        raise NotSupported(
            "workers in processes of their own", shown, "it lives inside one process",
            "use the embedded default (no broker_url), or `faena.testing` for tests",
        )  # fmt: skip
