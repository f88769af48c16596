from types import SimpleNamespace

import msgspec
import pytest

from faena.drivers.rabbitmq.messages import letter_of
from faena.model.delivery import DeadReason
from faena.model.message import Message

MESSAGE = Message(id="1", task="t", queue="q", body=b"[[], {}]")
BODY = msgspec.msgpack.encode(MESSAGE)


def found(headers, body=BODY):
    properties = SimpleNamespace(headers=headers, message_id="1")
    return SimpleNamespace(header=SimpleNamespace(properties=properties), body=body, routing_key="q.dead")


def test_a_letter_of_ours_is_read_whole():
    letter = letter_of(
        found(
            {
                "x-faena-reason": "failed",
                "x-faena-queue": "q",
                "x-faena-detail": "why",
                "x-faena-buried-at": "12.5",
                "x-faena-deliveries": 3,
                "x-faena-crashes": 2,
            }
        )
    )
    assert (letter.reason, letter.queue, letter.detail) == (DeadReason.FAILED, "q", "why")
    assert (letter.buried_at_s, letter.deliveries, letter.crashes, letter.message) == (12.5, 3, 2, MESSAGE)


@pytest.mark.parametrize("strange", ["", "whenever", None, [1], {"a": 1}, b"\xff", "nan", "inf"], ids=repr)
def test_what_others_have_put_there_is_a_letter_too(strange):
    names = ("reason", "queue", "detail", "buried-at", "deliveries", "crashes")
    letter = letter_of(found({f"x-faena-{name}": strange for name in names}))
    assert (letter.reason, letter.raw, letter.message) == (DeadReason.MALFORMED, BODY, None)
    assert (letter.buried_at_s, letter.deliveries, letter.crashes) == (0.0, 1, 0)
    assert letter_of(found(None)).reason is DeadReason.MALFORMED
