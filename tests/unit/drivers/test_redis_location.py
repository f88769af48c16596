"""Where a URL leads to."""

import pytest

from faena.drivers.redis.location import Location, locate
from faena.errors import InvalidSetting


def at(url, **options):
    found = locate(url, options)
    return found.kind, found.addresses, found.path, found.database, found.service, found.is_tls


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", ("server", (("localhost", 6379),), "", 0, "", False)),
        ("redis://host", ("server", (("host", 6379),), "", 0, "", False)),
        ("valkey://host:7000/3", ("server", (("host", 7000),), "", 3, "", False)),
        ("redis://[::1]:7000", ("server", (("::1", 7000),), "", 0, "", False)),
        ("redis://[::1]", ("server", (("::1", 6379),), "", 0, "", False)),
        ("rediss://host", ("server", (("host", 6379),), "", 0, "", True)),
        ("valkeys://host?db=2", ("server", (("host", 6379),), "", 2, "", True)),
        ("unix:///run/my%20redis.sock?db=1", ("server", (), "/run/my redis.sock", 1, "", False)),
        ("redis+sentinel://a,b:7/ours/2", ("sentinel", (("a", 26379), ("b", 7)), "", 2, "ours", False)),
        ("rediss+sentinel://a/ours", ("sentinel", (("a", 26379),), "", 0, "ours", True)),
        ("redis+cluster://a,b:7", ("cluster", (("a", 6379), ("b", 7)), "", 0, "", False)),
    ],
)
def test_a_url_leads_to_a_server(url, expected):
    assert at(url) == expected


def test_credentials_may_hold_anything_that_is_quoted():
    found = locate("redis://me%40home:p%3Aw%40%2F@host", {})
    assert (found.username, found.password, found.addresses) == ("me@home", "p:w@/", (("host", 6379),))
    assert locate("redis://:secret@host", {}).username is None
    assert locate("redis://:secret@host", {}).password == "secret"


def test_what_is_shown_has_no_secrets():
    found = locate("redis+sentinel://me:secret@a,b/ours?sentinel_password=hidden", {})
    assert (found.shown, found.sentinel_password) == ("redis+sentinel://me:***@a,b/ours", "hidden")
    assert not {"secret", "hidden"} & set(repr(found).replace("'", " ").split())


def test_options_stand_in_the_query_or_are_given_and_those_given_win():
    found = locate("redis://host?timeout_s=7&prefix=shop&ssl_cert_reqs=none", {"timeout_s": 3})
    assert found == Location(
        shown="redis://host", addresses=(("host", 6379),), timeout_s=3.0, prefix="shop", ssl_check=False
    )
    assert found.key_prefix == "{shop}:"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout_s": "soon"}, "it is a number, 0.001 or more"),
        ({"db": -1}, "it is a number, 0 or more"),
        ({"prefix": "a{b}"}, "it is a text without braces"),
        ({"prefix": ""}, "it is a text without braces"),
        ({"ssl_cert_reqs": "optional"}, "it is required or none"),
        ({"max_connections": 5}, "Redis has no such option"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options, text):
    with pytest.raises(InvalidSetting, match=text):
        locate("redis://host", options)
