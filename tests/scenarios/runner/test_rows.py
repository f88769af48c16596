"""The table of Invoke's behaviour names tests that exist, and leaves no section out."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from tests.scenarios.runner.rows import FILES, SECTIONS, rows

ROOT = Path(__file__).parents[3]
ROW_FILES = ("L", "S", "R", "C")  # each of their tests stands in the table


def names_in(letter: str) -> set[str]:
    tree = ast.parse((ROOT / FILES[letter]).read_text())
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")}


def test_every_row_names_tests_that_exist():
    known = {f"{letter}:{name}" for letter in FILES for name in names_in(letter)}
    assert [each for _, _, _, tests in rows() for each in tests if each not in known] == []


def test_every_section_has_rows_and_every_row_is_one_of_its_own():
    assert {section for section, _, _, _ in rows()} == set(SECTIONS)
    assert {how for _, _, how, _ in rows()} == {"same", "ours"}
    assert [key for key, count in Counter((row[0], row[1]) for row in rows()).items() if count > 1] == []


def test_no_test_of_a_row_is_missing_in_the_table():
    named = {each for _, _, _, tests in rows() for each in tests}
    known = {f"{letter}:{name}" for letter in ROW_FILES for name in names_in(letter)}
    assert sorted(known - named) == []
