"""What every broker and every backend has to do, as tests to run on yours.

    from faena.testing.conformance import BrokerConformance

    class TestMyBroker(BrokerConformance):
        def connect_broker(self, place, io):
            return MyBroker.connect(f"my://{place}", io=io, options={})

`place` names an empty place of its own for each test; connections to one place see one another. Every test runs twice:
with io="blocking", its coroutines driven to the end without a loop, and with io="asyncio".
"""

from faena.testing.conformance.backend import BackendConformance
from faena.testing.conformance.broker import BrokerConformance
from faena.testing.conformance.joint import JointConformance
from faena.testing.conformance.workflow import JointWorkflowConformance, WorkflowConformance

__all__ = [
    "BackendConformance",
    "BrokerConformance",
    "JointConformance",
    "JointWorkflowConformance",
    "WorkflowConformance",
]
