"""What a server says when it closes a channel for one message, told apart for all that were on their way."""

import pytest
from aiormq.exceptions import ChannelPreconditionFailed

from faena.drivers.rabbitmq.faults import largest_in
from faena.drivers.rabbitmq.messages import Row
from faena.drivers.rabbitmq.publisher import _told
from faena.errors import MessageTooLarge

SAID = "PRECONDITION_FAILED - message size 201 is larger than configured max size 200"


def row_of(size):
    return Row("id", "default", "default", bytes(size), b"")


@pytest.mark.parametrize(
    ("text", "largest"),
    [
        (SAID, 200),
        ("PRECONDITION_FAILED - message size 201 larger than configured max size 200", 200),
        ("PRECONDITION_FAILED - unknown delivery tag 7", None),
    ],
)
def test_the_largest_size_is_read(text, largest):
    assert largest_in(ChannelPreconditionFailed(text)) == largest


def test_only_what_is_too_large_is_told_so():
    error = ChannelPreconditionFailed(SAID)
    assert isinstance(_told(row_of(201), error), MessageTooLarge)
    assert isinstance(_told(row_of(200), error), ConnectionError)
    assert _told(row_of(200), None) is None
    other = ChannelPreconditionFailed("PRECONDITION_FAILED - unknown delivery tag 7")
    assert _told(row_of(201), other) is other
