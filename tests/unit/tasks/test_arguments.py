"""Arguments are checked where they are given, and become what they are annotated with where they are used."""

from __future__ import annotations

import enum
import pathlib
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest

from faena.errors import InvalidArguments
from faena.tasks.arguments import ArgumentSpec

if TYPE_CHECKING:
    from decimal import Decimal


class Color(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


class Box(msgspec.Struct):
    points: list[Point]


def spec(function, skip_first=False):
    return ArgumentSpec("shop.t", function, skip_first=skip_first)


def whole(a: int, b: str = "x", *rest: float, flag: bool = False, **more: Any) -> None: ...
def typed(at: datetime, box: Box, color: Color, path: pathlib.Path, kind: Literal["a", "b"] = "a") -> None: ...
def bare(a, b=1): ...
def bound(self, n: int): ...
def needs_keyword(a, *, key): ...
def half_known(a: Decimal, b: int) -> None: ...
def optional(n: int | None = None, many: list[int] | None = None) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "reason"),
    [
        (bare, (), {}, "missing a required argument: 'a'; it takes (a, b=1)"),
        (bare, (1, 2, 3), {}, "too many positional arguments; it takes (a, b=1)"),
        (bare, (1,), {"c": 2}, "got an unexpected keyword argument 'c'; it takes (a, b=1)"),
        (bare, (1,), {"a": 2}, "multiple values for argument 'a'; it takes (a, b=1)"),
        (needs_keyword, (1,), {}, "missing a required argument: 'key'; it takes (a, *, key)"),
        (whole, ("1",), {}, "argument 'a': Expected `int`, got `str` (given '1')"),
        (whole, (True,), {}, "argument 'a': Expected `int`, got `bool` (given True)"),
        (whole, (1,), {"b": 2}, "argument 'b': Expected `str`, got `int` (given 2)"),
        (whole, (1, "x", 1.5, "y"), {}, "argument '*args': Expected `float`, got `str` (given 'y')"),
        (whole, (1,), {"flag": 1}, "argument 'flag': Expected `bool`, got `int` (given 1)"),
        (half_known, (1, "x"), {}, "argument 'b': Expected `int`, got `str` (given 'x')"),
        (optional, ("x",), {}, "argument 'n': Expected `int | null`, got `str` (given 'x')"),
        (optional, (None, [1, "x"]), {}, "argument 'many': Expected `int`, got `str` - at `$[1]` (given [1, 'x'])"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(function, args, kwargs, reason):
    with pytest.raises(InvalidArguments) as caught:
        spec(function).check(args, kwargs)
    assert str(caught.value) == f"task 'shop.t': {reason}"
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (bare, (1,), {}),
        (bare, (), {"b": 1, "a": 2}),
        (whole, (1,), {}),
        (whole, (1, "x", 1.5, 2), {"flag": True, "anything": object()}),
        (needs_keyword, (1,), {"key": 2}),
        (half_known, (object(), 1), {}),
        (optional, (), {}),
        (typed, (datetime(2030, 1, 1), Box([Point(1)]), Color.RED, pathlib.Path("x")), {}),
        (typed, ("2030-01-01T00:00:00", {"points": [{"x": 1}]}, "red", "x", "b"), {}),
        (partial(bare, b=2), (1,), {}),
    ],
)
def test_a_right_call_passes(function, args, kwargs):
    spec(function).check(args, kwargs)


def test_plain_data_becomes_what_the_parameter_is_annotated_with():
    args, kwargs = spec(typed).coerce(
        ["2030-01-01T00:00:00", {"points": [{"x": 1, "y": 2}]}, "red"], {"path": "a/b", "kind": "b"}
    )
    assert args == [datetime(2030, 1, 1), Box([Point(1, 2)]), Color.RED]
    assert kwargs == {"path": pathlib.Path("a/b"), "kind": "b"}


def test_what_has_no_annotation_is_taken_as_it_comes():
    assert spec(bare).coerce([{"x": 1}], {"b": None}) == ([{"x": 1}], {"b": None})


def test_the_first_parameter_of_a_bound_task_is_not_an_argument():
    spec(bound, skip_first=True).check((1,), {})
    with pytest.raises(InvalidArguments, match=r"it takes \(n: 'int'\)|it takes \(n: int\)"):
        spec(bound, skip_first=True).check((), {})


def test_numbers_of_numpy_are_numbers():
    numpy = pytest.importorskip("numpy", reason="numpy is not installed; it is no dependency")
    spec(whole).check((numpy.int64(3),), {})


def test_pydantic_models_are_made_again():
    pydantic = pytest.importorskip("pydantic", reason="the pydantic extra is not installed")

    class User(pydantic.BaseModel):
        name: str

    def greet(user): ...

    greet.__annotations__["user"] = User
    assert spec(greet).coerce([{"name": "ana"}], {}) == ([User(name="ana")], {})
    with pytest.raises(InvalidArguments, match="argument 'user'"):
        spec(greet).coerce([{"nam": "ana"}], {})
