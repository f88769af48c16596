"""What people read holds no secrets."""

from __future__ import annotations

import pytest

from faena.config.secrets import mask, mask_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:pw@host:6379/0", "redis://:***@host:6379/0"),
        ("amqps://me:p%40w@host//", "amqps://me:***@host//"),
        ("redis://me:p@ss@host/0", "redis://me:***@host/0"),
        ("a://u:1@h;b://u:2@h", "a://u:***@h;b://u:***@h"),
        ("sqs://host?aws_secret_access_key=abc&region=eu", "sqs://host?aws_secret_access_key=***&region=eu"),
        ("redis://me@host/0", "redis://me@host/0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("sqlite:////var/x@y.db", "sqlite:////var/x@y.db"),
        ("cannot reach redis://u:pw@h/0: refused", "cannot reach redis://u:***@h/0: refused"),
    ],
)
def test_passwords_of_urls_are_masked(text, shown):
    assert mask_text(text) == shown


def test_secrets_are_masked_by_name_however_deep():
    value = {"password": "x", "list": [{"api_key": "x", "n": 1}], "tuple": ("redis://a:x@h",), "empty_secret": ""}
    assert mask(value) == {
        "password": "***",
        "list": [{"api_key": "***", "n": 1}],
        "tuple": ("redis://a:***@h",),
        "empty_secret": "",
    }
