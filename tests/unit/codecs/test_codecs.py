"""What codecs refuse, and how they say so."""

import enum
import pathlib
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import msgspec
import pytest

from faena.codecs.json import JsonCodec
from faena.codecs.msgpack import MsgpackCodec
from faena.codecs.registry import Codecs
from faena.errors import ContentDisallowed, DecodeError, EncodeError, InvalidSetting


@pytest.fixture(params=[JsonCodec(), MsgpackCodec()], ids=lambda codec: codec.name)
def codec(request):
    return request.param


def test_the_error_names_the_place_of_what_cannot_travel(codec):
    with pytest.raises(EncodeError, match=r"value\[1\]\['a'\]\[0\] \(object: a builtins.object cannot travel\)"):
        codec.encode([1, {"a": [object()]}])


def test_a_lone_surrogate_is_refused(codec):
    with pytest.raises(EncodeError, match="surrogates"):
        codec.encode(["ok", "\ud800"])


def test_a_value_that_holds_itself_is_refused(codec):
    loop = []
    loop.append(loop)
    with pytest.raises(EncodeError, match="nested too deeply"):
        codec.encode(loop)


def test_a_generator_is_refused(codec):
    with pytest.raises(EncodeError, match="generator"):
        codec.encode(n for n in range(3))


@pytest.mark.parametrize("forged", [b'{"__type__":"datetime","__value__":"x"}', b'{"__type__":"set","__value__":[[]]}'])
def test_a_forged_tag_is_a_decode_error(forged):
    with pytest.raises(DecodeError):
        JsonCodec().decode(forged)


def test_an_unknown_tag_is_a_dictionary_of_the_user(codec):
    mine = {"__type__": "invoice", "__value__": 3}
    assert codec.decode(msgspec.json.encode(mine) if codec.name == "json" else msgspec.msgpack.encode(mine)) == mine


def test_objects_with_fields_travel_as_dictionaries(codec):
    @dataclass
    class Point:
        x: int

    class Box(msgspec.Struct):
        point: Point

    class Pair(NamedTuple):
        a: int
        b: int

    Color = enum.Enum("Color", {"RED": "red"})
    found = codec.decode(codec.encode({"box": Box(Point(1)), "pair": Pair(1, 2), "color": Color.RED}))
    assert found == {"box": {"point": {"x": 1}}, "pair": [1, 2], "color": "red"}


def test_paths_pydantic_models_and_subclasses_of_plain_types_travel(codec):
    pydantic = pytest.importorskip("pydantic", reason="the pydantic extra is not installed")

    class User(pydantic.BaseModel):
        name: str
        at: datetime

    class Text(str):
        pass

    value = [
        pathlib.PurePosixPath("/a/b"),
        User(name="ñandú", at=datetime(2030, 1, 1)),
        Text("t"),
        enum.IntEnum("N", "A").A,
    ]
    assert codec.decode(codec.encode(value)) == ["/a/b", {"name": "ñandú", "at": "2030-01-01T00:00:00"}, "t", 1]


def test_only_accepted_content_is_read_and_pickle_only_by_name():
    codecs = Codecs(["json"])
    data = codecs.encode("pickle", {1, 2})
    with pytest.raises(ContentDisallowed, match="accept_content allows json"):
        codecs.decode("pickle", data)
    assert Codecs(["json", "pickle"]).decode("pickle", data) == {1, 2}
    assert Codecs(["application/json"]).decode("json", b"1") == 1


def test_an_unknown_serializer_is_a_wrong_setting():
    with pytest.raises(InvalidSetting, match="json, msgpack and pickle"):
        Codecs(["yaml"])
