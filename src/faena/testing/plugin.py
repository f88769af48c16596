"""Fixtures for pytest, there as soon as faena is installed.

    def test_welcome(faena_app, faena_run):
        welcome.delay("ana@example.org")
        faena_run()                     # runs what waits, in this thread
        assert outbox == ["ana@example.org"]

Override `faena_source_app` to return your own app; without that it is the current one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from faena.app.app import Faena
from faena.app.current import current_app
from faena.model.event import Event
from faena.testing.clock import Clock
from faena.testing.embedded import in_memory
from faena.testing.worker import InProcessWorker, run_pending


@pytest.fixture
def faena_clock() -> Clock:
    """The time of `faena_app`; it moves when told: `faena_clock.advance(60)`."""
    return Clock()


@pytest.fixture
def faena_source_app() -> Faena:
    """The app under test. Override it in your conftest.py."""
    return current_app()


@pytest.fixture
def faena_app(faena_source_app: Faena, faena_clock: Clock) -> Iterator[Faena]:
    """The app, in memory, with the time of `faena_clock`."""
    with in_memory(faena_source_app, faena_clock) as app:
        yield app


@pytest.fixture
def faena_run(faena_app: Faena) -> Callable[[], list[Event]]:
    """Call it to run everything that is due, in this thread; returns what happened."""
    return lambda: run_pending(faena_app)


@pytest.fixture
def faena_worker(faena_app: Faena) -> Iterator[InProcessWorker]:
    """A worker that runs beside the test."""
    with InProcessWorker(faena_app) as worker:
        yield worker
