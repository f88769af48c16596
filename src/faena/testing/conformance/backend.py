"""Conformance of a backend."""

from __future__ import annotations

import pytest

from faena.backend import Backend
from faena.testing.conformance.claiming import Claiming
from faena.testing.conformance.controlling import Controlling
from faena.testing.conformance.following import Following
from faena.testing.conformance.hearing import Hearing
from faena.testing.conformance.ordering import Ordering
from faena.testing.conformance.recording import Recording
from faena.testing.conformance.remembering import Remembering
from faena.testing.conformance.scheduling import Scheduling
from faena.testing.conformance.stage import Stage, new_place
from faena.testing.conformance.watching import Watching
from faena.types import Io


class BackendConformance(Recording, Watching, Controlling, Ordering, Remembering, Following, Claiming, Scheduling, Hearing):
    """Derive from it, and say how to connect."""

    def connect_backend(self, place: str, io: Io) -> Backend:
        raise NotImplementedError

    @pytest.fixture(params=["blocking", "asyncio"])
    def stage(self, request: pytest.FixtureRequest) -> Stage:
        return Stage(self, new_place(), request.param)
