"""The timetable of a stop: laws for every budget and every moment."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from faena.worker.drain import Phase, next_change_s, phase

ORDER = [Phase.FINISH, Phase.ASK, Phase.KILL]
BUDGETS_S = st.floats(0.0, 1e6)
MOMENTS_S = st.floats(0.0, 1e7)


@given(BUDGETS_S, MOMENTS_S, MOMENTS_S)
def test_a_stop_never_goes_back_to_an_earlier_phase(budget_s, one_s, other_s):
    earlier_s, later_s = sorted((one_s, other_s))
    assert ORDER.index(phase(earlier_s, budget_s)) <= ORDER.index(phase(later_s, budget_s))


@given(BUDGETS_S)
def test_at_the_end_of_the_budget_everything_is_killed(budget_s):
    assert phase(budget_s, budget_s) is Phase.KILL
    assert next_change_s(budget_s, budget_s) == 0.0


@given(st.floats(0.1, 1e5), MOMENTS_S)
def test_waiting_until_the_next_change_leads_through_every_phase_in_two_steps(budget_s, elapsed_s):
    assume(elapsed_s < budget_s)
    seen = [phase(elapsed_s, budget_s)]
    for _ in range(2):
        elapsed_s += next_change_s(elapsed_s, budget_s) + 1e-6 * budget_s
        seen.append(phase(elapsed_s, budget_s))
    assert seen[-1] is Phase.KILL
    assert seen == sorted(seen, key=ORDER.index)


def test_without_a_budget_everything_is_killed_at_once():
    assert phase(0.0, 0.0) is Phase.KILL
