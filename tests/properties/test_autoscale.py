"""How many processes a worker has: laws for every course of loads, and a queue that is worked off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faena.worker.autoscale import Autoscale, Bounds, Load, look

BOUNDS = st.builds(
    lambda least, more, age_s, cool_s: Bounds(least + more, least, age_s, cool_s),
    st.integers(1, 8), st.integers(0, 24), st.floats(0.1, 10.0), st.floats(1.0, 60.0),
)  # fmt: skip
LOADS = st.lists(
    st.tuples(st.floats(0.0, 1.0), st.integers(0, 3), st.integers(0, 500), st.floats(0.0, 60.0), st.floats(0.0, 500.0)),
    max_size=60,
)
STEPS_S = st.floats(0.5, 20.0)


def play(bounds, loads, step_s):
    """Return (load, wanted) of each look; the processes are as many as were wanted before."""
    state, processes, found = Autoscale(), bounds.least, []
    for at, (share, starting, waiting, age_s, pace) in enumerate(loads):
        load = Load(processes, starting, share * processes, waiting, age_s, pace)
        state, wanted = look(state, load, bounds, at * step_s)
        found.append((load, wanted))
        processes = wanted
    return found


@given(BOUNDS, LOADS, STEPS_S)
def test_there_are_never_fewer_than_the_least_nor_more_than_the_most_nor_twice_as_many_at_once(bounds, loads, step_s):
    for load, wanted in play(bounds, loads, step_s):
        assert bounds.least <= wanted <= bounds.most
        assert wanted <= 2 * load.processes
        if load.starting or not load.waiting:
            assert wanted <= load.processes


@given(BOUNDS, LOADS, STEPS_S)
def test_nobody_who_is_busy_is_taken_away_and_nothing_shrinks_while_tasks_are_late(bounds, loads, step_s):
    for load, wanted in play(bounds, loads, step_s):
        assert wanted >= min(bounds.most, load.busy)
        if load.waiting and load.oldest_age_s > bounds.target_age_s and not load.starting:
            assert wanted >= load.processes


@given(BOUNDS, LOADS, STEPS_S)
def test_what_was_needed_within_the_cool_down_stays(bounds, loads, step_s):
    found = play(bounds, loads, step_s)
    for at, (_, wanted) in enumerate(found):
        recent = [busy for index, ((load, _), busy) in enumerate(zip(found, [each.busy for each, _ in found], strict=True))
                  if index <= at and (at - index) * step_s < bounds.cool_down_s]  # fmt: skip
        assert wanted >= min(bounds.most, max(recent))


@given(st.integers(1, 40), st.floats(0.2, 5.0), st.integers(1, 4))
def test_a_steady_stream_is_kept_up_with_and_nothing_is_kept_when_it_ends(rate, duration_s, least):
    """Tasks come at a rate; each takes its time. Within a while nobody waits for long, and afterwards few are left."""
    bounds = Bounds(256, least, target_age_s=1.0, cool_down_s=10.0)
    state, processes, waiting, running = Autoscale(), least, [], []
    late_s = []
    for now_s in range(120):
        running = [until_s for until_s in running if until_s > now_s]
        if now_s < 60:
            waiting += [now_s] * rate
        done = 0
        room_s = processes * 1.0 - sum(min(1.0, until_s - now_s) for until_s in running)
        while waiting and len(running) < processes and room_s > 0:
            waiting.pop(0)
            running.append(now_s + duration_s)
            room_s -= min(1.0, duration_s)
            done += 1
        age_s = now_s - waiting[0] if waiting else 0.0
        late_s.append(age_s)
        state, processes = look(state, Load(processes, 0, len(running), len(waiting), age_s, done), bounds, float(now_s))
    assert max(late_s[40:60]) <= 3.0
    assert processes == least
