"""Where the server is, and how it is to be used: from the URL and the options of an adapter.

redis://[user:password@]host[:port][/database][?option=value&...]        valkey:// is the same
rediss://...                      over TLS; the server's certificate is checked (valkeys:// is the same)
unix://[user:password@]/path/to/redis.sock[?db=0]
redis+sentinel://[user:password@]host:port,host:port/service[/database]  (rediss+sentinel:// over TLS)
redis+cluster://[user:password@]host:port,host:port                      (rediss+cluster:// over TLS)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

from msgspec import Struct
from msgspec.structs import replace

from faena.config.secrets import mask_text
from faena.drivers.options import TLS, number, tls_option, unknown
from faena.errors import InvalidSetting

Address: TypeAlias = tuple[str, int]

_PORT, _SENTINEL_PORT = 6379, 26379
_TEXTS = ("sentinel_username", "sentinel_password")
_SECONDS = ("timeout_s", "connect_timeout_s", "dead_letters_kept_s")
_OPTIONS = ("prefix", "db", "largest_message_bytes", *_SECONDS, *_TEXTS, *TLS)


class Location(Struct, frozen=True):
    """The server, and what decides how a connection to it behaves."""

    shown: str  # for people: without its secrets
    addresses: tuple[Address, ...] = ()  # of the server, of sentinels, or of nodes of a cluster
    path: str = ""  # of a unix socket
    kind: Literal["server", "sentinel", "cluster"] = "server"
    service: str = ""  # the name that sentinels know the server by
    is_tls: bool = False
    username: str | None = None
    password: str | None = None
    database: int = 0
    prefix: str = "faena"
    timeout_s: float = 5.0  # of one call, connecting included
    connect_timeout_s: float = 2.0
    largest_message_bytes: int = 128 * 1024 * 1024
    dead_letters_kept_s: float = 30 * 86400.0  # memory is not a disk: nothing stays in it for ever
    ssl_ca_certs: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_check: bool = True
    sentinel_username: str | None = None
    sentinel_password: str | None = None

    def __repr__(self) -> str:
        return f"Location({self.shown!r})"

    @property
    def key_prefix(self) -> str:
        """What every key begins with. Its braces are a hash tag: all keys of a prefix lie on one node of a cluster."""
        return f"{{{self.prefix}}}:"


def locate(url: str, options: Mapping[str, object]) -> Location:
    """Read a URL (see above); options may stand in its query, too."""
    head, separator, rest = url.partition("://")
    scheme, _, kind = head.lower().replace("valkey", "redis").partition("+")
    if not separator or scheme not in ("redis", "rediss", "unix") or kind not in ("", "sentinel", "cluster"):
        raise _refused(url, "it does not begin with redis://, rediss://, unix:// or one of their forms")
    if ";" in rest:
        raise _refused(
            url,
            "it is a list of servers, and those of Redis know nothing of one another: what was sent to the first would be "
            "missing on the second; name the Sentinels (redis+sentinel://a,b/mymaster) or a cluster (redis+cluster://a,b)",
        )
    rest, _, query = rest.partition("?")
    credentials, at, rest = rest.rpartition("@")
    username, colon, password = credentials.partition(":")
    found = Location(
        shown=mask_text(url).partition("?")[0],
        is_tls=scheme == "rediss",
        username=unquote(username) or None if at else None,
        password=unquote(password) if colon else None,
    )
    given: dict[str, object] = {**dict(parse_qsl(query)), **options}
    if scheme == "unix":
        found = replace(found, path=unquote(rest))
        if kind or not found.path.startswith("/"):
            raise _refused(url, "a unix:// URL names the path of the socket: unix:///run/redis/redis.sock")
        given.setdefault("db", 0)
    else:
        found = _with_hosts(found, url, kind, rest)
    return _with_options(found, given)


def _with_hosts(found: Location, url: str, kind: str, rest: str) -> Location:
    hosts, _, tail = rest.partition("/")
    port = _SENTINEL_PORT if kind == "sentinel" else _PORT
    addresses = tuple(_address(url, host, port) for host in (hosts or "localhost").split(","))
    match kind:
        case "sentinel":
            service, _, tail = tail.partition("/")
            if not service:
                raise _refused(url, "it does not name the service: redis+sentinel://host:26379/mymaster")
            return replace(found, kind="sentinel", addresses=addresses, service=unquote(service), database=_db(url, tail))
        case "cluster":
            if tail not in ("", "0"):
                raise _refused(url, "a cluster has no other database than 0")
            return replace(found, kind="cluster", addresses=addresses)
    if len(addresses) > 1:
        raise _refused(url, "it names several hosts; say of what: redis+sentinel:// or redis+cluster://")
    return replace(found, addresses=addresses, database=_db(url, tail))


def _address(url: str, text: str, default: int) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):  # no port; an IPv6 address stands in brackets
        return text.strip("[]"), default
    if not port.isdigit():
        raise _refused(url, f"'{port}' is no port")
    return host.strip("[]"), int(port)


def _db(url: str, text: str) -> int:
    if text and not text.isdigit():
        raise _refused(url, f"'{text}' is no number of a database")
    return int(text or 0)


def _refused(url: str, why: str) -> InvalidSetting:
    return InvalidSetting("url", mask_text(url), why)


def _with_options(found: Location, options: Mapping[str, object]) -> Location:
    values: dict[str, Any] = {}
    for name, value in options.items():
        if name == "prefix" and isinstance(value, str) and value and not {"{", "}"} & set(value):
            values["prefix"] = value
        elif name == "prefix":
            raise InvalidSetting(name, value, "it is a text without braces")
        elif name == "db":
            values["database"] = int(number(name, value, least=0))
        elif name == "largest_message_bytes":
            values[name] = int(number(name, value, least=1))
        elif name in _SECONDS:
            values[name] = number(name, value, least=0.001)
        elif name in _TEXTS and isinstance(value, str):
            values[name] = value
        elif name in TLS:
            values |= tls_option(name, value)
        else:
            raise unknown(name, value, "Redis", _OPTIONS)
    return replace(found, **values)
