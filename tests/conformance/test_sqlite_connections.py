"""The SQLite adapters where each connection has a file handle of its own, and where named pipes cannot be made."""

from itertools import count
from pathlib import Path

import pytest

from faena.backends.sqlite import SqliteBackend
from faena.brokers.sqlite import SqliteBroker
from faena.drivers.sqlite import steps
from faena.testing.conformance import BackendConformance, BrokerConformance


class _Apart:
    """Other options make another driver: as two processes do, two connections share nothing but the file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path):
        self.folder, self.number = tmp_path, count(5)

    def options(self):
        return {"busy_timeout_s": float(next(self.number))}

    def connect_broker(self, place, io):
        return SqliteBroker.connect(f"sqlite:///{self.folder}/{place}.db", io=io, options=self.options())

    def connect_backend(self, place, io):
        return SqliteBackend.connect(f"sqlite:///{self.folder}/{place}.db", io=io, options=self.options())


class TestSqliteBrokerApart(_Apart, BrokerConformance):
    async def corrupt(self, broker, queue, raw):
        await broker.driver.write(lambda sql: steps.insert_one(sql, (queue, 5, None, "x", raw)))


class TestSqliteBackendApart(_Apart, BackendConformance):
    pass


class _WithoutPipes(_Apart):
    """A file where the folder of the pipes would be: there can be none, and the adapters look often instead."""

    def connect_broker(self, place, io):
        (self.folder / f"{place}.db-signals").touch()
        return super().connect_broker(place, io)

    def connect_backend(self, place, io):
        (self.folder / f"{place}.db-signals").touch()
        return super().connect_backend(place, io)


class TestSqliteBrokerWithoutPipes(_WithoutPipes, BrokerConformance):
    corrupt = TestSqliteBrokerApart.corrupt


class TestSqliteBackendWithoutPipes(_WithoutPipes, BackendConformance):
    pass
