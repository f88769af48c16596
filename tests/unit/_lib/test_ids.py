"""Identifiers: unique, in the order of their making, alone or many at once."""

import re

from hypothesis import given
from hypothesis import strategies as st

from faena._lib.ids import new_id, new_ids

FORM = re.compile(r"[0-9a-f]{12}7[0-9a-f]{3}a[0-9a-f]{15}")


@given(st.lists(st.integers(0, 300), max_size=20))
def test_those_made_together_and_those_made_alone_sort_in_the_order_of_their_making(counts):
    made = []
    for count in counts:
        many = new_ids(count)
        assert len(many) == count
        made += [*many, new_id()]
    assert made == sorted(set(made))
    assert all(FORM.fullmatch(each) for each in made)


def test_more_than_a_millisecond_has_numbers_for_are_made_at_once():
    made = new_ids(20_000)
    assert made == sorted(set(made)) and len(made) == 20_000
    assert all(FORM.fullmatch(each) for each in made)
