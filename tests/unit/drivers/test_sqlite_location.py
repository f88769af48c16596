"""Where an SQLite file is, and what may be said about it."""

import os

import pytest

from faena.drivers.sqlite.location import Location, locate
from faena.errors import InvalidSetting


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/app.db", "/var/lib/app.db"),
        ("sqlite:///.faena/faena.db", os.path.join(os.path.realpath("."), ".faena/faena.db")),
        ("sqlite://faena.db", os.path.join(os.path.realpath("."), "faena.db")),
        ("sqlite:////tmp/with space?and#marks.db", "/tmp/with space?and#marks.db"),
    ],
)
def test_a_url_names_a_file(url, path):
    assert locate(url, {}) == Location(os.path.realpath(path))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///folder/", "redis://x"])
def test_a_url_without_a_file_is_refused(url):
    with pytest.raises(InvalidSetting):
        locate(url, {})


def test_options_are_taken_over():
    options = {"synchronous": "FULL", "busy_timeout_s": 2, "largest_message_bytes": 10, "max_pages": 7}
    assert locate("sqlite:////a.db", options) == Location("/a.db", "FULL", 2.0, 10, 7)


@pytest.mark.parametrize(
    ("option", "value"),
    [("synchronous", "OFF"), ("synchronous", 1), ("busy_timeout_s", 0), ("max_pages", "many"), ("journal", "WAL")],
)
def test_an_option_that_is_unknown_or_out_of_range_is_refused(option, value):
    with pytest.raises(InvalidSetting, match=option):
        locate("sqlite:////a.db", {option: value})
