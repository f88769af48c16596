"""The law of circuit breakers against one that keeps every attempt, and a whole life of a breaker."""

from hypothesis import given, settings
from hypothesis import strategies as st

from faena.model.breaker import BreakerRule, Phase, Tally, is_obeyed, opened
from faena.model.limit import Change, LimitStatus, Terms

RULES = st.builds(
    lambda rate, least, within, pause, growth: BreakerRule(rate, least, within, pause, pause * growth),
    st.floats(0.01, 1), st.integers(1, 20), st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.floats(1, 100),
)  # fmt: skip
NOW_S = 1.7e9


@given(st.floats(0.5, 1000), st.lists(st.tuples(st.floats(0, 300), st.booleans()), max_size=60))
def test_a_tally_counts_what_is_young_and_nothing_that_is_old(within_s, steps):
    tally, now_s, all_of_it = Tally(within_s), NOW_S, []
    for wait_s, is_error in steps:
        now_s += wait_s
        all_of_it.append((now_s, is_error))
        attempts, errors = tally.add(is_error, now_s)
        young = [error for at_s, error in all_of_it if at_s > now_s - 0.9 * within_s + 1e-3]
        maybe = [error for at_s, error in all_of_it if at_s > now_s - within_s - 1e-3]
        assert len(young) <= attempts <= len(maybe)
        assert sum(young) <= errors <= sum(maybe)
    tally.clear()
    assert tally.add(True, now_s) == (1, 1)


def test_a_tally_takes_the_same_room_however_much_comes_and_bears_a_clock_that_goes_back():
    tally = Tally(60)
    for number in range(10_000):
        counts = tally.add(number % 2 == 0, NOW_S + number)
    assert len(tally._slices) <= 10
    assert counts[0] in range(54, 61)
    assert tally.add(False, NOW_S) == (counts[0] + 1, counts[1])


@given(RULES, st.integers(0, 100), st.integers(0, 100))
def test_it_breaks_by_the_rate_of_errors_when_there_are_enough_attempts(rule, attempts, errors):
    errors = min(attempts, errors)
    expected = errors > 0 and attempts >= rule.least and errors / attempts >= rule.error_rate
    close_call = attempts and abs(errors / attempts - rule.error_rate) < 1e-9
    assert close_call or rule.is_broken(attempts, errors) is expected


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 1e4)),
        st.tuples(st.just("old"), st.booleans()),
        st.tuples(st.just("try"), st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(RULES, EVENTS)
def test_a_breaker_is_closed_by_a_try_only_and_its_pause_grows_with_each_that_fails(rule, events):
    now_s, standing = NOW_S, opened(rule.pause_s, NOW_S, 10, 9, "OSError: away")
    for kind, value in events:
        before, error = standing, "OSError: again" if kind != "wait" and value else None
        if kind == "wait":
            now_s += value
            if standing.phase is Phase.OPEN and standing.until_s <= now_s:
                standing = standing.half_opened(now_s)
                assert standing.pause_s == before.pause_s
        elif kind == "old":  # began before this phase
            assert standing.after(rule, standing.since_s - 0.1, now_s, error) is standing
        else:
            standing = standing.after(rule, now_s, now_s, error)
            if before.phase is Phase.OPEN:
                assert standing is before
            elif error is None:
                assert standing is None
                return
            else:
                assert (standing.phase, standing.since_s, standing.error) == (Phase.OPEN, now_s, "OSError: again")
                assert standing.pause_s == min(2 * before.pause_s, rule.max_pause_s)
        assert standing.opened_at_s == NOW_S
        assert rule.pause_s <= standing.pause_s <= rule.max_pause_s
        assert standing.until_s <= max(now_s, standing.since_s + rule.max_pause_s)


def test_what_it_sets_of_its_limits_is_told_from_what_it_does_not():
    standing = opened(30, NOW_S, error="x" * 500 + "\nsecond line")
    assert len(standing.error) == 200
    half = standing.half_opened(NOW_S + 30)
    for each, other in ((standing, half), (half, standing), (standing, None), (None, half)):
        wanted = None if each is None else each.change()
        status = LimitStatus("breaker:a", Terms(), None, wanted)
        assert is_obeyed(each, status)
        assert not is_obeyed(other, status)
    assert is_obeyed(None, None)
    assert not is_obeyed(half, None)
    assert standing.change().applied_to(None).is_paused
    assert half.change().after(standing.change()) == Change(None, 1, False)
