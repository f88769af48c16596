"""Texts of others, as far as they are shown."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from faena._lib.shorten import shortened


@pytest.mark.parametrize("text", ["", "a b", "x" * 300, "word " * 1000, "one\ntwo " * 300, "no  spaces are \tlost "])
def test_what_people_write_stays_as_it_is(text):
    assert shortened(text) == text


def test_an_over_long_word_keeps_its_ends_and_its_neighbours():
    text = f"no task '{'a' * 400}{'b' * 400}' here\nbut {'é' * 1000}"
    assert shortened(text) == (
        f"no task '{'a' * 99}[... 602 characters ...]{'b' * 99}' here\nbut {'é' * 100}[... 800 characters ...]{'é' * 100}"
    )


def test_an_over_long_text_of_short_words_is_cut_as_a_whole():
    said = shortened("word " * 100_000)
    assert len(said) < 10_000
    assert said.startswith("word word")
    assert "characters ...]" in said


@pytest.mark.parametrize("command", ["fa", "faena"])
def test_both_commands_shorten_what_the_line_says_when_they_refuse_it(command, tmp_path):
    (tmp_path / "tasks.py").write_text("from faena import task\n\n\n@task\ndef build(c):\n    pass\n")
    argv = [os.path.join(os.path.dirname(sys.executable), command), "x" * 5000]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "xxx[... 4,80" in done.stderr
    assert len(done.stderr) < 400
