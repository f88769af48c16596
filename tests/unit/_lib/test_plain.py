"""What any value is, in words that travel."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, json

from faena._lib.plain import plain


class Point(Struct):
    x: int


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (plain, "faena._lib.plain.plain"),
        (Point(1), {"x": 1}),
        ({re.compile("a"): [plain]}, {"re.compile('a')": ["faena._lib.plain.plain"]}),
        ((1, (2.5, plain)), (1, (2.5, "faena._lib.plain.plain"))),
        ({1: PurePosixPath("/x")}, {"1": "/x"}),
        (datetime(2030, 1, 31, tzinfo=UTC), "2030-01-31T00:00:00Z"),
        (timedelta(seconds=90), "PT90S"),
        ({"a"}, ["a"]),
        (b"\x00\xff", "AP8="),
        (ValueError("no"), "no"),
    ],
)
def test_what_has_no_word_is_named(value, found):
    assert plain(value) == found
    json.encode(plain(value))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_is_plain_stays_as_it_is(value):
    assert plain(value) == value
