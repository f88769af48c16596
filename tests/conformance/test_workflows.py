"""The workflows of the backends that need no server: alone, in one store with their broker, and beside another."""

from pathlib import Path

import pytest
from tests.conformance.embedded_places import Memory, Sqlite
from tests.conformance.ways import Blocking, OnALoop

from faena.brokers.sqlite import SqliteBroker
from faena.testing.conformance import JointWorkflowConformance, WorkflowConformance


class TestMemoryWorkflows(Memory, WorkflowConformance):
    pass


class TestMemoryJointWorkflows(Memory, JointWorkflowConformance):
    pass


class TestSqliteWorkflows(Sqlite, WorkflowConformance):
    pass


class TestSqliteJointWorkflows(Sqlite, JointWorkflowConformance):
    pass


class TestSqliteWorkflowsBesideAnotherFile(Blocking, Sqlite, WorkflowConformance):
    def connect_broker(self, place, io):
        return SqliteBroker.connect(f"sqlite:///{self.folder}/{place}-broker.db", io=io)


class TestMemoryWorkflowsBesideSqlite(OnALoop, Memory, WorkflowConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path):
        self.folder = tmp_path

    def connect_broker(self, place, io):
        return SqliteBroker.connect(f"sqlite:///{self.folder}/{place}.db", io=io)
