"""What a worker holds on several brokers."""

import asyncio
from types import SimpleNamespace

import pytest

from faena._lib.ids import new_id
from faena.app.links import Link
from faena.backends.memory import MemoryBackend
from faena.brokers.memory import MemoryBroker
from faena.brokers.several import SeveralBrokers
from faena.drivers.memory.state import forget
from faena.errors import BrokerUnavailable
from faena.model.control import WorkerInfo
from faena.model.delivery import Place
from faena.model.homes import Homes, holders_of
from faena.model.message import Message
from faena.worker.holding import Holding, _Site

NAMES = ("one", "two", "three")


@pytest.fixture
def urls():
    place = new_id()
    found = {name: f"memory://{place}-{name}" for name in NAMES}
    yield found
    for url in found.values():
        forget(url)


@pytest.mark.parametrize("sick", NAMES)
def test_who_leaves_hands_back_what_it_holds_on_the_others_where_one_is_away(urls, monkeypatch, sick):
    async def away(holder, verdicts):
        raise BrokerUnavailable(f"{sick} is away")

    async def main():
        brokers = {name: MemoryBroker.connect(url, io="asyncio") for name, url in urls.items()}
        backend = MemoryBackend.connect(urls["one"], io="asyncio")
        several = SeveralBrokers(Homes("one", NAMES, {name: name for name in NAMES[1:]}), brokers, "asyncio")
        await several.publish([Message(name, "t", name, b"[[], {}]") for name in NAMES])
        holders = holders_of(await several.leases.open_holder("w", 600.0))
        for name, broker in brokers.items():
            assert len(await broker.consumer(holders[name], [name]).receive(1, 0.0)) == 1
        await backend.mailbox.announce(WorkerInfo("w", "h", 1, 0.0, 0.0), 60.0)

        process = SimpleNamespace(holders=holders)
        holding = Holding("w", [process], lambda: NAMES, lambda: 1.0, lambda: True, lambda: None)
        holding._link = Link(several, backend)
        parts = several.parts.by_name
        holding._sites = {name: _Site(holding, name, Link(brokers[name], backend), parts[name]) for name in NAMES}
        monkeypatch.setattr(brokers[sick].leases, "recover", away)
        with pytest.raises(BrokerUnavailable, match=f"{sick} is away"):
            await holding.leave()
        places = {name: (await broker.locate([name]))[0] for name, broker in brokers.items()}
        return places, await backend.mailbox.workers()

    places, workers = asyncio.run(main())
    assert places == {name: Place.HELD if name == sick else Place.WAITING for name in NAMES}
    assert list(workers) == []
