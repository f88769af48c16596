"""How many messages a process holds: laws for every course of measurements and fetches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faena.worker.window import LARGEST, TARGET_S, TOO_MUCH_S, Window

SLOTS = st.integers(1, 32)
TIMES_S = st.floats(1e-6, 100.0)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("measured"), st.integers(0, 200), TIMES_S),
        st.tuples(st.just("fetched"), st.integers(1, 4096), st.integers(0, 4096)),
        st.tuples(st.just("slowed")),
    ),
    max_size=60,
)


def play(window, steps):
    for name, *arguments in steps:
        getattr(window, name)(*arguments)


@given(SLOTS, STEPS)
def test_there_is_always_room_for_one_in_each_slot_and_never_for_more_than_the_largest(slots, steps):
    window = Window(slots)
    play(window, steps)
    assert slots <= window.size <= LARGEST * slots
    assert 0 <= window.refill_at < window.size


@given(SLOTS, st.integers(1, 50), STEPS)
def test_a_fixed_number_stays(slots, fixed, steps):
    window = Window(slots, fixed)
    play(window, steps)
    assert window.size == fixed * slots


@given(SLOTS, STEPS, st.floats(TARGET_S, 100.0))
def test_slow_tasks_are_held_one_at_a_time(slots, steps, each_s):
    window = Window(slots)
    play(window, steps)
    for _ in range(60):
        window.measured(slots, slots * each_s)
        window.fetched(window.size, window.size)
    assert window.size == slots


@given(SLOTS, STEPS, st.lists(st.tuples(st.integers(1, 512), st.integers(0, 512)), max_size=20))
def test_while_a_task_runs_for_longer_nothing_is_held_in_advance_whatever_is_fetched(slots, steps, fetches):
    window = Window(slots)
    play(window, steps)
    window.slowed()
    for asked, got in fetches:
        window.fetched(asked, got)
        window.measured(0, 0.0)
    assert window.size == slots


@given(SLOTS, STEPS)
def test_fast_tasks_are_held_by_the_hundred_soon(slots, steps):
    window = Window(slots)
    play(window, steps)
    for _ in range(120):
        window.measured(100, 100 * 1e-5)
        window.fetched(window.size, window.size)
    assert window.size == LARGEST * slots


@given(SLOTS, STEPS, st.integers(0, 5000))
def test_what_is_given_away_leaves_something_to_do_and_is_no_more_than_there_is(slots, steps, waiting):
    window = Window(slots)
    play(window, steps)
    surplus = window.surplus(waiting)
    assert 0 <= surplus <= waiting
    if window.average_s * waiting <= TOO_MUCH_S * slots:
        assert surplus == 0
