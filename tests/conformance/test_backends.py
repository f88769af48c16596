"""The adapters of backends that need no server, alone and together with the broker of the same place."""

from tests.conformance.embedded_places import Memory, Sqlite

from faena.testing.conformance import BackendConformance, JointConformance


class TestMemoryBackend(Memory, BackendConformance):
    pass


class TestMemoryJoint(Memory, JointConformance):
    pass


class TestSqliteBackend(Sqlite, BackendConformance):
    pass


class TestSqliteJoint(Sqlite, JointConformance):
    pass
