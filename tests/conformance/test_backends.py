"""The adapters of backends that need no server, alone and together with the broker of the same place."""

from pathlib import Path

import pytest

from faena.backends.memory import MemoryBackend
from faena.backends.sqlite import SqliteBackend
from faena.brokers.memory import MemoryBroker
from faena.brokers.sqlite import SqliteBroker
from faena.drivers.memory import state
from faena.testing.conformance import BackendConformance, JointConformance


class _Memory:
    def connect_broker(self, place, io):
        return MemoryBroker.connect(f"memory://{place}", io=io)

    def connect_backend(self, place, io):
        return MemoryBackend.connect(f"memory://{place}", io=io)

    @pytest.fixture(autouse=True)
    def _forget(self, stage):
        yield
        state.forget(f"memory://{stage.place}")


class _Sqlite:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path):
        self.folder = tmp_path

    def connect_broker(self, place, io):
        return SqliteBroker.connect(f"sqlite:///{self.folder}/{place}.db", io=io)

    def connect_backend(self, place, io):
        return SqliteBackend.connect(f"sqlite:///{self.folder}/{place}.db", io=io)


class TestMemoryBackend(_Memory, BackendConformance):
    pass


class TestMemoryJoint(_Memory, JointConformance):
    pass


class TestSqliteBackend(_Sqlite, BackendConformance):
    pass


class TestSqliteJoint(_Sqlite, JointConformance):
    pass
