"""Places that need no server: the memory of this process, and a file of the test's own."""

from pathlib import Path

import pytest

from faena.backends.memory import MemoryBackend
from faena.backends.sqlite import SqliteBackend
from faena.brokers.memory import MemoryBroker
from faena.brokers.sqlite import SqliteBroker
from faena.drivers.memory import state


class Memory:
    def connect_broker(self, place, io):
        return MemoryBroker.connect(f"memory://{place}", io=io)

    def connect_backend(self, place, io):
        return MemoryBackend.connect(f"memory://{place}", io=io)

    @pytest.fixture(autouse=True)
    def _forget(self, stage):
        yield
        state.forget(f"memory://{stage.place}")


class Sqlite:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path):
        self.folder = tmp_path

    def connect_broker(self, place, io):
        return SqliteBroker.connect(f"sqlite:///{self.folder}/{place}.db", io=io)

    def connect_backend(self, place, io):
        return SqliteBackend.connect(f"sqlite:///{self.folder}/{place}.db", io=io)
