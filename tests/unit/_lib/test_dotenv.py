"""`.env` files."""

from __future__ import annotations

import pytest

from faena._lib.dotenv import read_dotenv


def test_lines_are_read_as_shells_read_them():
    text = '\ufeff# comment\n\nA=1\nexport B = two words # comment\nC="x\\n\\"y\\" # z" # c\nD=\'a\\nb\'\nE=\nF=a#b\nA=2\n'
    assert read_dotenv(text) == {
        "A": "2",
        "B": "two words",
        "C": 'x\n"y" # z',
        "D": "a\\nb",
        "E": "",
        "F": "a#b",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A=1\nB", "line 2: expected NAME=value, found 'B'"),
        ("A B=1", "line 1: expected NAME=value, found 'A B'"),
        ("=1", "line 1: expected NAME=value, found ''"),
        ('A="x', 'line 1: the quote " is not closed'),
    ],
)
def test_a_line_that_sets_nothing_is_an_error(text, reason):
    with pytest.raises(ValueError, match="line") as caught:
        read_dotenv(text)
    assert str(caught.value) == reason
