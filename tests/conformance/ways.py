"""For variants of a place, where one of the two ways to wait is enough: the other is tried on the place itself."""

import pytest

from faena.testing.conformance.stage import Stage, new_place


class OnALoop:
    @pytest.fixture
    def stage(self):
        return Stage(self, new_place(), "asyncio")


class Blocking:
    @pytest.fixture
    def stage(self):
        return Stage(self, new_place(), "blocking")
