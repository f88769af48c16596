"""The workflows of the backends that need no server: alone, in one store with their broker, and beside another."""

from pathlib import Path

import pytest
from tests.conformance.ways import Blocking, OnALoop

from faena.backends.memory import MemoryBackend
from faena.backends.sqlite import SqliteBackend
from faena.brokers.memory import MemoryBroker
from faena.brokers.sqlite import SqliteBroker
from faena.drivers.memory import state
from faena.testing.conformance import JointWorkflowConformance, WorkflowConformance


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


class TestMemoryWorkflows(_Memory, WorkflowConformance):
    pass


class TestMemoryJointWorkflows(_Memory, JointWorkflowConformance):
    pass


class TestSqliteWorkflows(_Sqlite, WorkflowConformance):
    pass


class TestSqliteJointWorkflows(_Sqlite, JointWorkflowConformance):
    pass


class TestSqliteWorkflowsBesideAnotherFile(Blocking, _Sqlite, WorkflowConformance):
    def connect_broker(self, place, io):
        return SqliteBroker.connect(f"sqlite:///{self.folder}/{place}-broker.db", io=io)


class TestMemoryWorkflowsBesideSqlite(OnALoop, _Memory, WorkflowConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path):
        self.folder = tmp_path

    def connect_broker(self, place, io):
        return SqliteBroker.connect(f"sqlite:///{self.folder}/{place}.db", io=io)
