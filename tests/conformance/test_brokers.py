"""The adapters of brokers that need no server."""

from tests.conformance.embedded_places import Memory, Sqlite

from faena._lib.ids import new_id
from faena.drivers.sqlite import steps
from faena.testing.conformance import BrokerConformance


class TestMemoryBroker(Memory, BrokerConformance):
    async def corrupt(self, broker, queue, raw):
        with broker.state.lock:
            broker.state.messages.inject(queue, new_id(), raw)


class TestSqliteBroker(Sqlite, BrokerConformance):
    async def corrupt(self, broker, queue, raw):
        await broker.driver.write(lambda sql: steps.insert_one(sql, (queue, 5, None, new_id(), raw)))
