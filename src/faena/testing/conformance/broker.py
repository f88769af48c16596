"""The conformance of a broker, theme by theme."""

from __future__ import annotations

import pytest

from faena.broker import Broker
from faena.testing.conformance.bounding import Bounding
from faena.testing.conformance.leasing import Leasing
from faena.testing.conformance.limiting import Limiting
from faena.testing.conformance.looking import Looking
from faena.testing.conformance.publishing import Publishing
from faena.testing.conformance.receiving import Receiving
from faena.testing.conformance.settling import Settling
from faena.testing.conformance.stage import Stage, new_place
from faena.testing.conformance.turning import Turning
from faena.types import Io


class BrokerConformance(Publishing, Receiving, Turning, Bounding, Settling, Leasing, Looking, Limiting):
    """Derive from it, say how to connect, and how to lay something malformed into a queue (`corrupt`)."""

    def connect_broker(self, place: str, io: Io) -> Broker:
        raise NotImplementedError

    @pytest.fixture(params=["blocking", "asyncio"])
    def stage(self, request: pytest.FixtureRequest) -> Stage:
        return Stage(self, new_place(), request.param)
