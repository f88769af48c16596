"""What a process must not begin, and the limits that were ordered of its runs."""

from __future__ import annotations

import asyncio

from faena import Faena
from faena.model.control import Order, OrderKind, Revocation, RevokeRule, TimeLimits
from faena.model.message import Message
from faena.worker.refusals import Refusals


def message(**fields):
    return Message(**{"id": "1", "task": "app.a", "queue": "q", "body": b"", **fields})


def rule(name="a", expires_at_s=None, **value):
    return Order(OrderKind.REVOKE, name, value, 0.0, expires_at_s)


def test_nothing_is_refused_and_nothing_is_looked_at_while_nothing_was_ordered():
    refusals = Refusals(60.0)
    assert (refusals.is_any, refusals.refuses(message())) == (False, False)
    refusals.add(["1"])
    assert (refusals.is_any, refusals.refuses(message()), refusals.refuses(message(id="2"))) == (True, True, False)
    refusals.remove(["1", "unknown"])
    assert refusals.is_any is False


def test_a_rule_is_obeyed_until_it_is_withdrawn_or_over():
    refusals = Refusals(60.0)
    assert refusals.obey(rule(task="app.*", terminate=True)) == RevokeRule("app.*", terminate=True)
    assert refusals.refuses(message())
    assert not refusals.refuses(message(task="other"))
    refusals.obey(rule("over", expires_at_s=1.0, task="other"))
    assert not refusals.refuses(message(task="other"))
    refusals.withdraw(OrderKind.REVOKE, ["a", "over"])
    assert refusals.is_any is False


def test_an_order_that_is_not_understood_is_passed_over(caplog):
    refusals = Refusals(60.0)
    assert refusals.obey(Order("of-a-newer-version", "x", {})) is None
    assert refusals.obey(rule("bad", task=["no", "text"])) is None
    assert refusals.is_any is False
    assert "an order 'bad' of kind 'revoke' is not understood" in caplog.text


def test_what_stands_in_the_backend_takes_the_place_of_what_was_known():
    app = Faena("refusals", broker="memory://refusals", set_as_current=False)
    refusals = Refusals(60.0)
    refusals.obey(rule("gone", task="*"))

    async def whole():
        link = app.links.connect("asyncio")
        await link.backend.orders.give(
            [rule("r", queue="mail"), Order(OrderKind.TIME_LIMIT, "app.a", {"soft_s": 1.5, "hard_s": None})]
        )
        await link.backend.revocations.add([Revocation("7")])
        await refusals.load(link)

    asyncio.run(whole())
    assert refusals.time_limits == {"app.a": TimeLimits(1.5, None)}
    found = [refusals.refuses(each) for each in (message(), message(queue="mail"), message(id="7"))]
    assert found == [False, True, True]
