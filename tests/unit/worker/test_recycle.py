"""When a process is replaced, and how soon."""

from faena.worker.recycle import MemoryRule, pause_before_spawn_s, was_short


def test_the_first_short_life_is_followed_at_once_and_further_ones_later_and_later():
    pauses = [pause_before_spawn_s(lives, was_killed=False) for lives in range(10)]
    assert pauses == [0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert pause_before_spawn_s(10**6, was_killed=False) == 30.0


def test_what_is_killed_from_outside_is_back_within_a_second():
    assert max(pause_before_spawn_s(lives, was_killed=True) for lives in range(100)) == 1.0


def test_a_life_is_short_when_it_was_of_no_use():
    assert was_short(1.0, 0, 0)
    assert not was_short(1.0, 1, 0), "it has done something"
    assert not was_short(1.0, 0, 1), "a task ended it, and tasks have their own count"
    assert not was_short(60.0, 0, 0), "it has lived"


def test_memory_over_the_limit_replaces_and_far_over_it_kills():
    rule = MemoryRule(1000)
    assert [(rule.replaces(kib), rule.kills(kib)) for kib in (1000, 1001, 1250, 1251)] == [
        (False, False), (True, False), (True, False), (True, True),
    ]  # fmt: skip
    assert not MemoryRule(None).replaces(10**9)
    assert not MemoryRule(None).kills(10**9)
