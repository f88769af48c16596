"""Which messages a rule of revocation is about."""

from __future__ import annotations

import pytest

from faena.model.control import RevokeRule
from faena.model.message import Message

MESSAGE = Message("id", "shop.mail.send", "mail", b"", sent_at_s=100.0, headers={"tenant": 7, "groups": ["a", "b"]})


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (RevokeRule(task="shop.mail.send"), True),
        (RevokeRule(task="shop.*"), True),
        (RevokeRule(task="shop.mail"), False),
        (RevokeRule(queue="ma?l"), True),
        (RevokeRule(queue="Mail"), False),
        (RevokeRule(headers={"tenant": "7"}), True),
        (RevokeRule(headers={"tenant": ["6", "7"]}), True),
        (RevokeRule(headers={"tenant": 8}), False),
        (RevokeRule(headers={"groups": "b"}), True),
        (RevokeRule(headers={"groups": ["c"]}), False),
        (RevokeRule(headers={"other": None}), False),
        (RevokeRule(sent_before_s=100.5), True),
        (RevokeRule(sent_before_s=100.0), False),
        (RevokeRule(task="shop.*", queue="mail", headers={"tenant": 7}, sent_before_s=101.0), True),
        (RevokeRule(task="shop.*", queue="other", headers={"tenant": 7}), False),
    ],
)
def test_everything_that_a_rule_says_has_to_fit(rule, fits):
    assert rule.matches(MESSAGE) is fits


def test_a_message_without_headers_fits_no_header():
    assert not RevokeRule(headers={"tenant": "7"}).matches(Message("id", "t", "q", b""))


def test_a_rule_says_what_it_is_about_and_the_same_rule_says_the_same():
    rule = RevokeRule("shop.*", "mail", {"b": ["1", 2], "a": "x"}, 0.0, terminate=True)
    assert rule.text() == (
        "task shop.* in queue mail with header a=x with header b=1,2 sent before 1970-01-01 00:00:00.000+00:00"
    )
    assert RevokeRule(queue="mail").text() == "any task in queue mail"
