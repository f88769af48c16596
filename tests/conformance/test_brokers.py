"""The adapters of brokers that need no server."""

from pathlib import Path

import pytest

from faena._lib.ids import new_id
from faena.brokers.memory import MemoryBroker
from faena.brokers.sqlite import SqliteBroker
from faena.drivers.memory import state
from faena.drivers.sqlite import steps
from faena.testing.conformance import BrokerConformance


class TestMemoryBroker(BrokerConformance):
    def connect_broker(self, place, io):
        return MemoryBroker.connect(f"memory://{place}", io=io)

    async def corrupt(self, broker, queue, raw):
        with broker.state.lock:
            broker.state.messages.inject(queue, new_id(), raw)

    @pytest.fixture(autouse=True)
    def _forget(self, stage):
        yield
        state.forget(f"memory://{stage.place}")


class TestSqliteBroker(BrokerConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path):
        self.folder = tmp_path

    def connect_broker(self, place, io):
        return SqliteBroker.connect(f"sqlite:///{self.folder}/{place}.db", io=io)

    async def corrupt(self, broker, queue, raw):
        await broker.driver.write(lambda sql: steps.insert_one(sql, (queue, 5, None, new_id(), raw)))
