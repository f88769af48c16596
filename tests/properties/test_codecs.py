"""What is put into a codec comes out again as what it was."""

import json
import math
from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faena.codecs.json import JsonCodec
from faena.codecs.msgpack import MsgpackCodec
from faena.codecs.pickle import PickleCodec
from faena.errors import DecodeError

texts = st.text(st.characters(exclude_categories=["Cs"]))
hashables = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False),
    texts,
    st.binary(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.times(),
    st.timedeltas(timedelta(-900_000_000), timedelta(900_000_000)),
    st.decimals(allow_nan=False),
    st.uuids(),
)
values = st.recursive(
    st.one_of(hashables, st.sets(hashables), st.frozensets(hashables), st.complex_numbers(allow_nan=False)),
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(texts, inner),
        st.dictionaries(hashables, inner),
        st.dictionaries(st.sampled_from(["__type__", "__value__"]), inner),
    ),
    max_leaves=20,
)
CODECS = [JsonCodec(), MsgpackCodec(), PickleCodec()]


def same(one, other):
    """Equal, and of the same types all the way down: 1, 1.0 and True are equal in Python."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@given(value=values)
def test_every_value_comes_back_as_what_it_was(codec, value):
    assert same(codec.decode(codec.encode(value)), value)


@pytest.mark.parametrize("codec", CODECS[:2], ids=lambda codec: codec.name)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.0])
def test_unusual_floats_come_back(codec, number):
    back = codec.decode(codec.encode({"n": [number]}))["n"][0]
    assert repr(back) == repr(number)


@pytest.mark.parametrize("codec", CODECS[:2], ids=lambda codec: codec.name)
@given(data=st.binary(max_size=200))
def test_garbage_is_refused_with_one_kind_of_error(codec, data):
    try:
        codec.decode(data)
    except DecodeError:
        pass


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(texts, inner)),
    max_leaves=8,
)
TAGS = ["datetime", "date", "time", "timedelta", "decimal", "uuid", "bytes", "complex", "float", "set", "dict", "own"]


@given(name=st.sampled_from(TAGS), value=json_values)
def test_a_forged_tag_is_refused_or_read_and_nothing_else(name, value):
    try:
        JsonCodec().decode(json.dumps({"__type__": name, "__value__": value}).encode())
    except DecodeError:
        pass


@given(st.lists(values, max_size=4), st.dictionaries(texts, values, max_size=2))
def test_arguments_of_a_call_are_encoded_as_a_list_of_both(args, kwargs):
    codec = JsonCodec()
    assert codec.encode_call(tuple(args), kwargs) == codec.encode([tuple(args), kwargs])
