"""Where the server is, and how it is to be used: from the URL and the options of an adapter.

amqp://[user:password@]host[:port][/virtual-host][?option=value&...]
amqps://...                        over TLS; the server's certificate is checked
amqp://a/shop;amqp://b/shop        nodes of one cluster: the first that answers is taken
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from faena.config.secrets import mask_text
from faena.drivers.options import TLS, number, tls_option, unknown
from faena.errors import InvalidSetting

_PORT, _TLS_PORT = 5672, 5671
_SECONDS = ("timeout_s", "connect_timeout_s", "consumer_timeout_s")
_KEPT_MOST_S = 4_294_967.0  # the server counts milliseconds in 32 bits
_OPTIONS = ("prefix", "queue_type", "largest_message_bytes", "heartbeat_s", "dead_letters_kept_s", *_SECONDS, *TLS)


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the cluster."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Location:
    """The server, and what decides how a connection to it behaves."""

    shown: str  # for people: without its secrets
    nodes: tuple[Node, ...]
    virtual_host: str = "/"
    is_tls: bool = False
    prefix: str = ""  # of the names of all queues and exchanges
    queue_type: Literal["quorum", "classic"] = "quorum"
    timeout_s: float = 5.0  # of one call, connecting included
    connect_timeout_s: float = 2.0
    consumer_timeout_s: float = 1800.0  # the server's consumer_timeout, for which clients cannot ask
    heartbeat_s: int = 0  # see docs/internals/broker-contract.md, "Who keeps the connection alive"
    dead_letters_kept_s: float = 30 * 86400.0
    largest_message_bytes: int = 16 * 1024 * 1024  # max_message_size of RabbitMQ 4; clients cannot ask for it
    ssl_ca_certs: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_check: bool = True


def locate(url: str, options: Mapping[str, object]) -> Location:
    """Read a URL (see above); options may stand in its query, too. Raises InvalidSetting."""
    nodes: list[Node] = []
    hosts: set[tuple[bool, str]] = set()
    given: dict[str, object] = {}
    for part in url.split(";"):
        head, separator, rest = part.strip().partition("://")
        if not separator or head.lower() not in ("amqp", "amqps"):
            raise _refused(url, "it does not begin with amqp:// or amqps://")
        is_tls = head.lower() == "amqps"
        rest, _, query = rest.partition("?")
        given |= dict(parse_qsl(query))
        authority, _, path = rest.partition("/")
        hosts.add((is_tls, unquote(path) or "/"))
        nodes.append(_node(url, authority, _TLS_PORT if is_tls else _PORT))
    if len(hosts) > 1:
        raise _refused(url, "its parts are nodes of one cluster: they have one virtual host, and all or none has TLS")
    ((is_tls, virtual_host),) = hosts
    shown = ";".join(mask_text(part.strip()).partition("?")[0] for part in url.split(";"))
    return _with_options(Location(shown, tuple(nodes), virtual_host, is_tls), {**given, **options})


def _node(url: str, authority: str, default_port: int) -> Node:
    credentials, at, address = authority.rpartition("@")
    username, has_password, password = credentials.partition(":")
    host, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):  # no port; an IPv6 address stands in brackets
        host, port = address, str(default_port)
    if not port.isdigit():
        raise _refused(url, f"'{port}' is no port")
    return Node(
        host.strip("[]") or "localhost",
        int(port),
        unquote(username) if at else "guest",
        unquote(password) if has_password else "guest",
    )


def _refused(url: str, why: str) -> InvalidSetting:
    return InvalidSetting("url", mask_text(url), why)


def _with_options(found: Location, options: Mapping[str, object]) -> Location:
    values: dict[str, Any] = {}
    for name, value in options.items():
        if name == "prefix" and isinstance(value, str) and len(value.encode()) <= 60:
            values[name] = value
        elif name == "prefix":
            raise InvalidSetting(name, value, "it is a text of 60 bytes at most")
        elif name == "queue_type" and value in ("quorum", "classic"):
            values[name] = value
        elif name == "queue_type":
            raise InvalidSetting(name, value, "it is quorum or classic")
        elif name in ("largest_message_bytes", "heartbeat_s"):
            values[name] = int(number(name, value, least=0))
        elif name in _SECONDS:
            values[name] = number(name, value, least=0.001)
        elif name == "dead_letters_kept_s":
            values[name] = number(name, value, least=0.0)
            if values[name] > _KEPT_MOST_S:
                raise InvalidSetting(
                    name, value, f"RabbitMQ can keep a message for {_KEPT_MOST_S:.0f} s at most; 0: for ever"
                )
        elif name in TLS:
            values |= tls_option(name, value)
        else:
            raise unknown(name, value, "RabbitMQ", _OPTIONS)
    return replace(found, **values)
