"""When to try again: laws for every policy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faena.model.retry import RetryPolicy

POLICIES = st.builds(
    RetryPolicy,
    max_retries=st.none() | st.integers(0, 100),
    delay_s=st.floats(0, 1e6),
    backoff_s=st.none() | st.floats(0.001, 1e4),
    factor=st.floats(1.0, 10.0),
    max_backoff_s=st.floats(0.0, 1e5),
    jitter=st.floats(0.0, 1.0),
)
RETRIES = st.integers(0, 10**9)
DRAWS = st.floats(0.0, 1.0, exclude_max=True)


@given(POLICIES, RETRIES, DRAWS)
def test_a_wait_is_never_negative_and_never_longer_than_the_cap(policy, retries, draw):
    wait_s = policy.wait_s(retries, draw)
    if policy.backoff_s is None:
        assert wait_s == policy.delay_s
    else:
        assert 0.0 <= wait_s <= policy.max_backoff_s * (1 + 1e-9)


@given(POLICIES, st.integers(0, 50))
def test_without_jitter_a_wait_never_gets_shorter(policy, retries):
    import msgspec

    steady = msgspec.structs.replace(policy, jitter=0.0)
    assert steady.wait_s(retries, 0.5) <= steady.wait_s(retries + 1, 0.5)


@given(POLICIES, RETRIES)
def test_retries_end_at_their_number_and_not_before(policy, retries):
    assert policy.allows(retries) == (policy.max_retries is None or retries < policy.max_retries)
