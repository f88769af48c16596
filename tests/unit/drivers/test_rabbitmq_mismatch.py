"""What servers say of queues that were declared otherwise is read in all the forms that they have for it."""

import pytest

from faena.drivers.rabbitmq.mismatch import Mismatch, declared_otherwise, mismatch_in

SAID = "PRECONDITION_FAILED - inequivalent arg '{}' for {} '{}' in vhost '/': received {} but current is {}"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (("x-queue-type", "queue", "q", "'quorum'", "'classic'"), ("x-queue-type", "quorum", "classic")),
        (("x-queue-type", "queue", "q", "the value 'quorum' of type 'longstr'", "none"),
         ("x-queue-type", "quorum", "classic")),  # 3.10, of a queue that was declared without a type
        (("x-max-priority", "queue", "q", "the value '9' of type 'byte'", "none"), ("x-max-priority", "9", None)),
        (("x-max-priority", "queue", "q", "none", "the value '9' of type 'byte'"),
         ("x-queue-type", "quorum", "classic")),  # of a classic queue of ours, which 3.10 compares first
        (("durable", "queue", "q", "'true'", "'false'"), ("durable", "true", "false")),
        (("x-message-ttl", "queue", "q", "none", "the value '60000' of type 'signedint'"),
         ("x-message-ttl", None, "60000")),
    ],
)  # fmt: skip
def test_what_differs_is_read(said, found):
    assert mismatch_in(SAID.format(*said)) == Mismatch("queue", "q", *found)


def test_a_name_may_hold_anything_and_other_refusals_are_not_read():
    odd = "it's 'odd' in vhost 'x'"
    assert mismatch_in(SAID.format("durable", "queue", odd, "'true'", "'false'")).name == odd
    assert mismatch_in("PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out") is None


def test_only_the_limit_that_version_3_did_not_know_may_lack():
    assert Mismatch("queue", "q", "x-delivery-limit", "-1", None).is_of_version_3
    assert not Mismatch("queue", "q", "x-delivery-limit", "-1", "5").is_of_version_3
    assert not Mismatch("queue", "q", "x-queue-type", "quorum", None).is_of_version_3


def test_the_error_says_what_there_is_what_was_wanted_and_what_to_do():
    error = declared_otherwise("amqp://host/", Mismatch("queue", "mail", "x-max-priority", "9", None))
    assert str(error) == (
        "amqp://host/: queue 'mail' is there already, and is another one: its x-max-priority is not set, and 9 was wanted; "
        "delete it once it is empty, or set another `prefix`"
    )
    assert (error.name, error.argument, error.found, error.wanted) == ("mail", "x-max-priority", None, "9")
