"""Places of messages: the order of numbers is the order of turns."""

from hypothesis import given
from hypothesis import strategies as st

from faena.drivers.sqlite import claims, places

queues = st.integers(1, places.LAST_QUEUE)


@given(queues, st.integers(0, 9), st.integers(0, 9))
def test_a_lower_rank_stands_before_a_higher_one_and_both_within_what_is_ready(queue, one, other):
    if one < other:
        assert places.region(queue, one)[1] < places.region(queue, other)[0]
    first, last = places.ready(queue)
    assert first <= places.region(queue, one)[0] < places.region(queue, one)[1] <= last


@given(queues, queues)
def test_queues_do_not_touch_one_another(one, other):
    if one < other:
        assert places.whole(one)[1] < places.whole(other)[0]


@given(queues)
def test_what_is_delayed_stands_behind_what_is_ready_and_fits_into_an_integer_of_sqlite(queue):
    assert places.ready(queue)[1] < places.region(queue, places.DELAYED)[0]
    assert places.whole(queue)[1] < 2**63


@given(st.integers(1, 2**26))
def test_a_claim_names_its_holder_and_no_two_are_equal(holder):
    first, last = claims.claims_of(holder)
    one, other = claims.new_claim(holder), claims.new_claim(holder)
    assert first < one < other <= last < claims.claims_of(holder + 1)[0] + 1
    assert last < 2**63
