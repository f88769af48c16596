"""What a supervisor makes of a process whose loop stands still."""

import logging

import pytest

from faena.worker.enforcement import Enforcement
from faena.worker.slots import Slots


class Process:
    """A process as its supervisor sees it: what it shares, and what became of it."""

    def __init__(self, slots):
        self.pid, self.index, self.slots = 7, 0, slots
        self.killed_for = []

    def running(self):
        return self.slots.running()

    def kill(self, _number, why, _verdicts=None):
        self.killed_for.append(why)


@pytest.fixture
def process(monkeypatch):
    slots = Slots.create(1)
    monkeypatch.setattr("faena.worker.slots.time.monotonic", lambda: 100.0)
    slots.beat(0, 0, 0)
    yield Process(slots)
    slots.close()


def enforcement(patience_s):
    settings = {"worker_max_memory_per_child": None, "worker_watchdog_timeout": patience_s}
    return Enforcement(settings, replace=lambda *_: None)


def test_a_process_that_says_nothing_and_runs_nothing_is_killed_after_a_second_look(process):
    enforced = enforcement(2.0)
    for now_s in (101.9, 102.1, 104.0):
        enforced.look(process, now_s)
        assert process.killed_for == []
    enforced.look(process, 104.2)
    assert process.killed_for == ["no progress for 4 s"]


def test_what_a_task_has_held_up_may_say_first_that_it_turns_again(process, caplog, monkeypatch):
    enforced = enforcement(60.0)
    process.slots.begin(0, "t", 100.0, 0.0)
    with caplog.at_level(logging.WARNING):
        enforced.look(process, 170.0)
    assert "settles nothing: a task has held up its event loop for 70 s; it runs t" in caplog.text
    process.slots.clear(0)
    enforced.look(process, 171.0)  # it has ended, and the process has not come to say so
    monkeypatch.setattr("faena.worker.slots.time.monotonic", lambda: 171.1)
    process.slots.beat(0, 1, 0)
    enforced.look(process, 175.0)
    assert process.killed_for == []


def test_each_silence_is_counted_by_itself(process):
    enforced = enforcement(60.0)
    enforced.look(process, 170.0)
    process.slots.begin(0, "t", 172.0, 0.0)
    enforced.look(process, 173.0)
    process.slots.clear(0)
    enforced.look(process, 176.0)
    assert process.killed_for == []
    enforced.look(process, 181.0)
    assert process.killed_for == ["no progress for 81 s"]


def test_nobody_is_killed_without_a_watchdog(process):
    enforced = enforcement(None)
    for now_s in (1_000.0, 2_000.0):
        enforced.look(process, now_s)
    assert process.killed_for == []
