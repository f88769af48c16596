"""What `faena doctor` looks at in a RabbitMQ server: what would be refused, lost, or read by others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from faena.cli.findings import Finding
from faena.cli.output import size_of
from faena.drivers.background import background
from faena.drivers.rabbitmq.health import LEAST, Health, health_of
from faena.drivers.rabbitmq.location import Location
from faena.drivers.rabbitmq.publisher import Publisher
from faena.errors import FaenaError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LARGEST_FROM_4, _LARGEST_BEFORE = 16 * 1024**2, 128 * 1024**2  # max_message_size, where nobody has set it
_OTHER_CHANNELS = 8  # of one process, besides those of its queues


def rabbitmq_findings(driver: object, queues: Sequence[str], *, has_backend: bool) -> Iterator[Finding]:
    """Look at the server of a broker; nothing where it is none of RabbitMQ."""
    if not isinstance(driver, Publisher):
        return
    location = driver.location
    yield from _way(location)
    try:
        health = background().run(lambda: health_of(location, queues))
    except FaenaError as error:
        yield Finding("server", "fail", str(error), "see the guide on RabbitMQ")
        return
    yield _server(health)
    if health.trouble:
        yield Finding("alarms", "fail", health.trouble, "sending waits until that is over; workers go on")
    else:
        yield Finding("alarms", "ok", "none: it takes messages")
    yield _rights(location, health)
    yield from _queues(location, health, len(queues))
    yield _delays(health)
    yield from _bounds(location, health, len(queues), has_backend)


def _way(location: Location) -> Iterator[Finding]:
    """Look at how the server is reached."""
    afar = [node.host for node in location.nodes if node.host not in _LOOPBACK]
    if location.is_tls and not location.ssl_check:
        yield Finding("encryption", "warn", "TLS, and nobody checks who answers (ssl_cert_reqs=none)", "set ssl_ca_certs")
    elif location.is_tls:
        yield Finding("encryption", "ok", "TLS; certificate and name of the server are checked")
    elif afar:
        text = f"none: the password and every message can be read on the way to {', '.join(afar)}"
        yield Finding("encryption", "warn", text, "use amqps://, unless the network is yours alone")
    if afar and any(node.username == "guest" for node in location.nodes):
        yield Finding(
            "user", "warn", "guest, whom everybody knows", "make a user of the app's own; see the guide on RabbitMQ"
        )


def _server(health: Health) -> Finding:
    text = f"{health.name} {'.'.join(map(str, health.version))}" + (f", {health.cluster}" if health.cluster else "")
    if health.version < LEAST:
        return Finding("server", "fail", text, f"RabbitMQ {'.'.join(map(str, LEAST))} or newer is needed")
    return Finding("server", "ok", text)


def _rights(location: Location, health: Health) -> Finding:
    names = f"what begins with '{location.prefix}'" if location.prefix else "queues of any name"
    advice = "see the least rights in the guide on RabbitMQ"
    if not health.may_write:
        return Finding("rights", "fail", "this user may not send: it may not write to amq.default", advice)
    if health.may_read is False:
        return Finding("rights", "fail", f"this user may not read from {names}: a worker of it gets nothing", advice)
    if health.may_declare:
        return Finding("rights", "ok", f"this user may declare, write and read {names}")
    if health.missing:
        missing = ", ".join(health.missing)
        return Finding("rights", "fail", f"this user may not declare {names}, and there is no queue {missing}", advice)
    return Finding("rights", "ok", f"this user may not declare {names}: its queues are there")


def _queues(location: Location, health: Health, count: int) -> Iterator[Finding]:
    for error in health.otherwise:
        yield Finding("queue types", "fail", f"queue '{error.name}': {error.said}", error.advice)
    if not health.otherwise:
        there = f"{count - len(health.missing)} of {count} queues are there"
        yield Finding("queue types", "ok", f"{location.queue_type}; {there}")
    if location.queue_type == "classic" and len(location.nodes) > 1:
        text = "classic queues lie on one node each: when its disk is gone, so is what waits there"
        yield Finding("replicas", "warn", text, "use queue_type=quorum, unless it may be lost")


def _delays(health: Health) -> Finding:
    if health.lacking_levels is None:
        return Finding("delays", "ok", "their queues are made with the first delayed message")
    if health.lacking_levels:
        text = f"of the ladder are gone: {', '.join(health.lacking_levels)}; delayed messages are lost there"
        return Finding("delays", "fail", text, "stop sending, delete what is left of it, and it is made anew")
    return Finding("delays", "ok", "their ladder of queues is whole")


def _bounds(location: Location, health: Health, count: int, has_backend: bool) -> Iterator[Finding]:
    text = f"what is not acknowledged for {location.consumer_timeout_s:,.0f} s is taken back (consumer_timeout_s)"
    if has_backend:
        yield Finding("long tasks", "ok", f"{text}; tasks that run for longer are kept in the backend")
    else:
        advice = "set result_backend, or raise consumer_timeout there and consumer_timeout_s here"
        yield Finding("long tasks", "warn", f"{text}: a task that runs for longer is run again by another", advice)
    usual = _LARGEST_FROM_4 if health.version >= (4,) else _LARGEST_BEFORE
    if location.largest_message_bytes > usual:
        text = f"up to {size_of(location.largest_message_bytes)} are sent; such a server takes {size_of(usual)} by itself"
        yield Finding("large messages", "warn", text, "raise max_message_size there, or lower largest_message_bytes")
    if health.most_channels and count + _OTHER_CHANNELS > health.most_channels:
        text = f"a connection has {health.most_channels} at most, and a worker of {count} queues needs more"
        yield Finding("channels", "fail", text, "raise channel_max there, or take from fewer queues (-Q)")
