"""The shared memory in which a process says what it runs."""

import os

import pytest

from faena.worker.slots import Running, Slots


@pytest.fixture
def slots():
    slots = Slots.create(64)
    yield slots
    slots.close()


def test_nothing_runs_in_the_beginning(slots):
    assert slots.running() == []
    assert slots.header() == (0.0, 0, 0, 0)


def test_the_other_side_sees_what_runs_and_since_when(slots):
    other = Slots(os.dup(slots.descriptor), 64)
    slots.begin(0, "one", 10.0, 0.0)
    slots.begin(63, "two", 11.0, 15.5)
    slots.begin(7, "three", 12.0, 0.0)
    slots.clear(7)
    assert other.running() == [Running("one", 10.0, 0.0), Running("two", 11.0, 15.5, 63)]
    other.close()


def test_looking_for_what_runs_touches_no_slot_that_was_never_used():
    slots = Slots.create(1024)
    try:
        slots.begin(2, "one", 1.0, 0.0)
        slots.clear(2)
        assert slots.running() == []
        assert os.fstat(slots.descriptor).st_blocks * 512 <= 4 * 4096 < os.fstat(slots.descriptor).st_size
    finally:
        slots.close()


def test_ids_as_long_as_they_may_be_and_in_any_script_are_kept_whole(slots):
    for task_id in ("x" * 255, "ñ" * 127, "世" * 85):
        slots.begin(3, task_id, 1.0, 0.0)
        assert [running.task_id for running in slots.running()] == [task_id]


def test_a_shorter_id_after_a_longer_one_is_not_mixed_up(slots):
    slots.begin(1, "a-long-id", 1.0, 0.0)
    slots.begin(1, "short", 2.0, 0.0)
    assert slots.running() == [Running("short", 2.0, 0.0, 1)]


def test_a_beat_tells_the_numbers(slots):
    slots.beat(3, 10, 2)
    beat_s, *numbers = slots.header()
    assert beat_s > 0
    assert numbers == [10, 2, 3]
