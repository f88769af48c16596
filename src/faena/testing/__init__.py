"""Helpers for testing apps, and the conformance suites for adapters."""

from faena.testing.clock import Clock
from faena.testing.embedded import in_memory
from faena.testing.worker import InProcessWorker, Recorder, run_pending

__all__ = ["Clock", "InProcessWorker", "Recorder", "in_memory", "run_pending"]
