"""What the texts of options and arguments may be."""

from __future__ import annotations

import pytest

from faena.cli.options import to_count, to_id, to_name, to_queue


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("20", 20), ("1_000", 1000), ("1000000000", 1_000_000_000)])
def test_counts(text, count):
    assert to_count(text) == count


@pytest.mark.parametrize("text", ["", "-1", "x", "1.5", "nan", "1000000001", "9" * 30, "9" * 5000])
def test_what_is_no_count_is_refused(text):
    with pytest.raises(ValueError, match=r"^a whole number from 0 to 1,000,000,000$"):
        to_count(text)


@pytest.mark.parametrize("convert", [to_id, to_name, to_queue])
def test_names_and_ids_are_as_they_are_and_never_empty(convert):
    assert convert("app.mail-7") == "app.mail-7"
    assert convert("é") == "é"
    with pytest.raises(ValueError, match=r"an id|characters"):
        convert("")


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "x" * 301])
@pytest.mark.parametrize("convert", [to_name, to_queue])
def test_names_are_printable_and_not_without_end(convert, text):
    with pytest.raises(ValueError, match="a printable text of 1 to"):
        convert(text)
