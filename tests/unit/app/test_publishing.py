"""Sending goes on for a limited time, and never sends twice what was taken."""

import asyncio

import pytest

from faena import Faena
from faena.app.publishing import apublish, publish
from faena.broker import Capabilities
from faena.errors import BrokerUnavailable, MessageTooLarge, PublishedInPart
from faena.model.message import Message


class Moody:
    """A broker that answers as it is told: None takes all, a number that many, an error none."""

    capabilities = Capabilities(durable=True, lease="holder", largest_message_bytes=100, deduplicates=False)

    def __init__(self, *moods):
        self.moods, self.taken = list(moods), []

    async def publish(self, messages):
        mood = self.moods.pop(0)
        if isinstance(mood, Exception):
            raise mood
        part = messages[:mood]
        self.taken += [message.id for message in part]
        if mood is not None:
            raise PublishedInPart([message.id for message in part], len(messages))


class OneLink:
    def __init__(self, broker):
        self.broker = broker

    def blocking(self):
        return self

    async def asyncio(self):
        return self


MESSAGES = [Message(str(n), "t", "q", b"") for n in range(5)]
DOWN = BrokerUnavailable("down")


def sent(way, broker, **options):
    conf = Faena("x", set_as_current=False).conf
    if way is publish:
        publish(OneLink(broker), conf, MESSAGES, options)
    else:
        asyncio.run(apublish(OneLink(broker), conf, MESSAGES, options))
    return broker.taken


@pytest.mark.parametrize("way", [publish, apublish])
def test_what_a_broker_took_is_not_sent_again_when_it_fails_in_between(way):
    assert sent(way, Moody(DOWN, 2, DOWN, 1, None)) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("way", [publish, apublish])
def test_the_time_is_limited_and_the_error_names_what_was_taken(way):
    with pytest.raises(BrokerUnavailable, match="down"):
        sent(way, Moody(DOWN), retry=False)
    with pytest.raises(PublishedInPart) as caught:
        sent(way, Moody(2, 1, DOWN, DOWN, DOWN, DOWN), retry_policy={"timeout": 0.3})
    assert (caught.value.accepted, caught.value.total) == ({"0", "1", "2"}, 5)


@pytest.mark.parametrize("way", [publish, apublish])
def test_a_message_that_the_broker_can_never_take_is_refused_at_once(way):
    with pytest.raises(MessageTooLarge, match="pass a reference"):
        conf = Faena("x", set_as_current=False).conf
        large = [Message("1", "t", "q", bytes(101))]
        if way is publish:
            publish(OneLink(Moody(None)), conf, large, {})
        else:
            asyncio.run(apublish(OneLink(Moody(None)), conf, large, {}))
