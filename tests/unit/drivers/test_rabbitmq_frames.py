"""Frames that are written and read by hand, against pamqp, which aiormq uses."""

import pytest
from pamqp import commands, frame
from pamqp.header import ContentHeader

from faena.drivers.rabbitmq import frames


def parsed(data):
    found = []
    while data:
        size, channel, each = frame.unmarshal(data)
        found.append((channel, each))
        data = data[size:]
    return found


@pytest.mark.parametrize("size", [0, 1, 4088, 4089, 20_000])
def test_a_message_is_what_others_read(size):
    body = bytes(number % 251 for number in range(size))
    properties = frames.properties_of(b"application/x-faena", 7, b"an id")
    found = parsed(frames.message(3, "an exchange", "a.key", properties, body, 4096))
    assert {channel for channel, _ in found} == {3}
    publish, header, *parts = [each for _, each in found]
    assert isinstance(publish, commands.Basic.Publish)
    assert (publish.exchange, publish.routing_key, publish.mandatory) == ("an exchange", "a.key", True)
    assert isinstance(header, ContentHeader)
    assert header.body_size == size
    told = header.properties
    assert (told.content_type, told.delivery_mode, told.priority, told.message_id) == ("application/x-faena", 2, 7, "an id")
    assert b"".join(part.value for part in parts) == body
    assert all(len(part.value) <= 4088 for part in parts)


def test_a_message_without_an_id_has_none():
    header = parsed(frames.message(1, "", "key", frames.properties_of(b"x", 0, b""), b"", 4096))[1][1]
    assert header.properties.message_id is None


def test_methods_are_what_others_read():
    data = (
        frames.ack(2, 1 << 40, multiple=True)
        + frames.ack(2, 5, multiple=False)
        + frames.nack(2, 6)
        + frames.qos(2, 300)
        + frames.consume(2, "queue", "tag")
        + frames.cancel(2, "tag")
    )
    many, one, back, qos, consume, cancel = [each for _, each in parsed(data)]
    assert (many.name, many.delivery_tag, many.multiple) == ("Basic.Ack", 1 << 40, True)
    assert (one.name, one.delivery_tag, one.multiple) == ("Basic.Ack", 5, False)
    assert (back.name, back.delivery_tag, back.multiple, back.requeue) == ("Basic.Nack", 6, False, True)
    assert (qos.name, qos.prefetch_count, qos.prefetch_size, qos.global_) == ("Basic.Qos", 300, 0, False)
    assert (consume.name, consume.queue, consume.consumer_tag, consume.no_ack) == ("Basic.Consume", "queue", "tag", False)
    assert (consume.exclusive, consume.nowait, consume.arguments) == (False, False, {})
    assert (cancel.name, cancel.consumer_tag, cancel.nowait) == ("Basic.Cancel", "tag", False)


def test_what_others_write_is_read():
    deliver = commands.Basic.Deliver("a tag", 1 << 33, True, "exchange", "key").marshal()
    assert frames.delivered(deliver) == (1 << 33, True)
    assert frames.returned(commands.Basic.Return(312, "NO_ROUTE", "exchange", "key").marshal()) == ("NO_ROUTE", "key")
