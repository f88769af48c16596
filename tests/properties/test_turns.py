"""In which order a worker looks at its queues: laws for every course of what waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faena.model.turns import Taking, aged, turns_of

NAMES = "abcdef"
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 20), min_size=1)
LIMITS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def fetch(turns, waiting, limit):
    """Take as every broker does: queue by queue, in the order given, until there is enough."""
    counts = {}
    left = limit
    for queue in turns.next():
        count = min(left, waiting.get(queue, 0))
        if count:
            counts[queue] = count
            waiting[queue] -= count
            left -= count
    turns.took(counts, limit)
    return counts


@given(st.sampled_from(["fair", "strict", "weighted"]), WEIGHTS, st.lists(LIMITS, max_size=3))
def test_every_queue_is_looked_at_once_in_each_fetch(order, weights, rounds):
    turns = turns_of(tuple(weights), Taking(order, weights))
    for limits in rounds:
        for limit in limits:
            assert sorted(turns.next()) == sorted(weights)
            fetch(turns, dict.fromkeys(weights, 10), limit)


@given(WEIGHTS)
def test_fair_lets_each_come_first_equally_often(weights):
    turns = turns_of(tuple(weights), Taking())
    firsts = [turns.next()[0] for _ in range(3 * len(weights))]
    assert all(firsts.count(queue) == 3 for queue in weights)


@given(st.lists(st.sampled_from(NAMES), min_size=1, unique=True), LIMITS)
def test_strict_is_strict(queues, limits):
    turns = turns_of(queues, Taking("strict"))
    waiting = dict.fromkeys(queues, 50)
    for limit in limits:
        before = dict(waiting)
        taken = fetch(turns, waiting, limit)
        for place, queue in enumerate(queues):
            assert queue not in taken or not any(before[first] > taken.get(first, 0) for first in queues[:place])


@given(WEIGHTS, LIMITS)
def test_full_queues_get_their_shares_to_within_one_fetch(weights, limits):
    turns = turns_of(tuple(weights), Taking("weighted", weights))
    waiting = dict.fromkeys(weights, 10**9)
    total = dict.fromkeys(weights, 0)
    for limit in limits * 20:
        for queue, count in fetch(turns, waiting, limit).items():
            total[queue] += count
    served = [total[queue] / weights[queue] for queue in weights]
    assert max(served) - min(served) <= max(limits)


@given(WEIGHTS, LIMITS, st.lists(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 60)), max_size=30))
def test_what_was_empty_saves_nothing_up_and_is_not_punished(weights, limits, arrivals):
    """However the queues filled and emptied before: once all are full, the shares hold to within two fetches."""
    turns = turns_of(tuple(weights), Taking("weighted", weights))
    waiting = dict.fromkeys(weights, 0)
    for more in arrivals:
        for queue, count in more.items():
            if queue in waiting:
                waiting[queue] += count
        fetch(turns, waiting, limits[0])
    waiting = dict.fromkeys(weights, 10**9)
    for _ in weights:  # each is found full once
        fetch(turns, waiting, 1)
    total = dict.fromkeys(weights, 0)
    for limit in limits * 30:
        for queue, count in fetch(turns, waiting, limit).items():
            total[queue] += count
    shares = sum(weights.values())
    whole = sum(total.values())
    for queue, weight in weights.items():
        slack = (2 * max(limits) + 62) * weight + 2 * max(limits)
        assert abs(total[queue] - whole * weight / shares) <= slack


@given(WEIGHTS, LIMITS)
def test_no_queue_starves(weights, limits):
    turns = turns_of(tuple(weights), Taking("weighted", weights))
    waiting = dict.fromkeys(weights, 10**9)
    taken = set()
    for _ in range(sum(weights.values()) + len(weights)):
        taken.update(fetch(turns, waiting, limits[0]))
    assert taken == set(weights)


@given(st.integers(0, 9), st.floats(0, 1e6), st.floats(0.001, 1e5))
def test_waiting_never_lowers_and_reaches_the_top(rank, waited_s, ageing_s):
    now = aged(rank, waited_s, ageing_s)
    assert 0 <= now <= rank
    assert aged(rank, waited_s + ageing_s, ageing_s) in (max(0, now - 1), max(0, now - 2))  # floats round
    assert aged(rank, ageing_s * (rank + 1), ageing_s) == 0
    assert aged(rank, -5.0, ageing_s) == rank
