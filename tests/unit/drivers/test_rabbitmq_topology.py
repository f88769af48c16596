"""Names on RabbitMQ, and the ladder of delays as a pure law."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faena.drivers.rabbitmq.location import Location, Node, locate
from faena.drivers.rabbitmq.topology import (
    LEVELS,
    LONGEST_MS,
    UNIT_MS,
    digest,
    due_exchange,
    level_arguments,
    level_bindings,
    level_name,
    queue_arguments,
    queue_name,
    route_of_delay,
)
from faena.drivers.redis.location import locate as locate_redis
from faena.errors import InvalidSetting

HERE = Location("amqp://here", (Node("here", 5672, "guest", "guest"),), prefix="p.")


def matches(pattern, key):
    """Say whether a topic exchange routes the key so: `*` is one word, `#` any number of them."""
    parts = [{"*": r"[^.]+", "#": r".*"}.get(word, re.escape(word)) for word in pattern.split(".")]
    return re.fullmatch(r"\.".join(parts), key) is not None


def climb_down(exchange, key):
    """Return how long a message is under way (ms), and the pattern that takes it at the bottom."""
    waited_ms = 0
    while exchange != due_exchange(HERE):
        level = int(exchange.rpartition(".")[2])
        waits, passes = level_bindings(level)
        assert matches(waits, key) != matches(passes, key), "a message goes one way, never both or none"
        if matches(waits, key):
            arguments = level_arguments(HERE, level)
            waited_ms += arguments["x-message-ttl"]
            exchange = arguments["x-dead-letter-exchange"]
        else:
            exchange = level_name(HERE, level - 1) if level else due_exchange(HERE)
    return waited_ms


@given(st.floats(0.001, LONGEST_MS / 1000))
def test_a_message_comes_down_no_earlier_and_less_than_a_unit_later(delay_s):
    exchange, key = route_of_delay(HERE, "mail", delay_s)
    waited_ms = climb_down(exchange, key)
    assert delay_s * 1000 <= waited_ms < delay_s * 1000 + UNIT_MS + 1e-3
    assert matches(f"#.{digest('mail')}", key)
    assert len(key.encode()) <= 255


@pytest.mark.parametrize("delay_s", [LONGEST_MS / 1000 + 1, 3.2e9])
def test_a_delay_past_the_longest_waits_for_the_longest(delay_s):
    assert climb_down(*route_of_delay(HERE, "mail", delay_s)) == LONGEST_MS


def test_no_level_has_a_time_to_live_that_a_server_would_refuse():
    assert max(level_arguments(HERE, level)["x-message-ttl"] for level in range(LEVELS)) < 2**32


@pytest.mark.parametrize(("server", "limit"), [(3, None), (4, -1), (5, -1)])
def test_a_server_that_would_throw_away_what_is_returned_often_is_told_not_to(server, limit):
    assert queue_arguments(HERE, server).get("x-delivery-limit") == limit


@given(st.text(max_size=300))
def test_every_queue_has_a_name_that_the_protocol_takes(queue):
    name = queue_name(HERE, queue)
    assert re.fullmatch(r"[a-zA-Z0-9-_.:@#,/><]*", name)
    assert len(name.encode()) <= 240


@given(st.lists(st.text(max_size=220), unique=True, min_size=2, max_size=2))
def test_two_queues_never_share_a_name(queues):
    assert queue_name(HERE, queues[0]) != queue_name(HERE, queues[1])


@pytest.mark.parametrize(
    ("url", "nodes", "virtual_host", "is_tls"),
    [
        ("amqp://", [("localhost", 5672, "guest", "guest")], "/", False),
        ("amqp://guest@localhost//", [("localhost", 5672, "guest", "guest")], "/", False),
        ("amqp://me:p%40ss@rabbit:5673/shop", [("rabbit", 5673, "me", "p@ss")], "shop", False),
        ("amqps://[::1]/%2Fa", [("::1", 5671, "guest", "guest")], "/a", True),
        ("amqp://a/x;amqp://b:1/x", [("a", 5672, "guest", "guest"), ("b", 1, "guest", "guest")], "x", False),
    ],
)
def test_a_url_says_where_the_server_is(url, nodes, virtual_host, is_tls):
    found = locate(url, {})
    assert [(node.host, node.port, node.username, node.password) for node in found.nodes] == nodes
    assert (found.virtual_host, found.is_tls) == (virtual_host, is_tls)


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        ("redis://x", {}, "it does not begin with amqp:// or amqps://"),
        ("amqp://a:port", {}, "'port' is no port"),
        ("amqp://a/x;amqp://b/y", {}, "its parts are nodes of one cluster"),
        ("amqp://a;amqps://a", {}, "its parts are nodes of one cluster"),
        ("amqp://a", {"queue_type": "fast"}, "it is quorum or classic"),
        ("amqp://a?prefix=" + "x" * 61, {}, "it is a text of 60 bytes at most"),
        ("amqp://a", {"timeout_s": "soon"}, "it is a number, 0.001 or more"),
        ("amqp://a?vhost=x", {}, "RabbitMQ has no such option"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(url, options, reason):
    with pytest.raises(InvalidSetting, match=re.escape(reason)):
        locate(url, options)


@pytest.mark.parametrize("read", [locate, locate_redis])
def test_an_option_that_is_not_there_is_named_with_the_nearest_and_never_with_a_secret(read):
    scheme = "amqp" if read is locate else "redis"
    with pytest.raises(InvalidSetting, match="did you mean 'timeout_s'"):
        read(f"{scheme}://a?timeouts=1", {})
    with pytest.raises(InvalidSetting) as caught:
        read(f"{scheme}://a?password=hush-hush", {})
    assert "hush-hush" not in str(caught.value)
    with pytest.raises(InvalidSetting, match="it is a number"):
        read(f"{scheme}://a?timeout_s=nan", {})


def test_a_password_is_never_shown():
    found = locate("amqp://me:secret@a/x;amqp://me:secret@b/x", {})
    assert "secret" not in repr(found) + found.shown
