"""Make connections: redis-py opens the socket (TCP, TLS, unix), the rest of the way is ours (`wire`).

A server that sentinels know is asked for anew with each connection. In a cluster all our keys lie on one node, which any
other node names when it is asked for one of them (MOVED).
"""

from __future__ import annotations

import time
from typing import Any

import redis.connection as blocking
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from faena.drivers.redis.faults import translated, unreachable
from faena.drivers.redis.location import Address, Location
from faena.drivers.redis.wire import BlockingWire, ReplyError, Wire, pack, protocol_wire
from faena.errors import ServerUnavailable
from faena.types import Io


async def connect(location: Location, io: Io, moved_to: Address | None, deadline: float) -> Wire:
    """Return a wire to the server, logged in. Raises ServerUnavailable, ServerRefused."""
    if location.path:
        wire = await _opened(location, io, None, deadline)
        await _log_in(wire, location, deadline)
        return wire
    if location.kind == "sentinel":
        return await _connect_by_sentinels(location, io, deadline)
    error: ServerUnavailable | None = None
    for address in [*([moved_to] if moved_to else []), *location.addresses]:
        try:
            wire = await _opened(location, io, address, deadline)
        except ServerUnavailable as failed:
            error = failed
            continue
        await _log_in(wire, location, deadline)
        return wire
    assert error is not None
    raise error


async def _connect_by_sentinels(location: Location, io: Io, deadline: float) -> Wire:
    problem = "no sentinel could be reached"
    for sentinel in location.addresses:
        try:
            asked = await _opened(location, io, sentinel, deadline)
        except ServerUnavailable:
            continue
        try:
            name = location.sentinel_username
            await _authenticate(asked, location, (name, location.sentinel_password), deadline)
            (answer,) = await asked.replies(
                asked.send(pack(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", location.service)), 1, deadline)
            )
        finally:
            asked.close()
        if isinstance(answer, ReplyError):
            raise translated(location.shown, answer)
        if answer is None:
            problem = f"the sentinels know no service '{location.service}'"
            continue
        wire = await _opened(location, io, (answer[0].decode(), int(answer[1])), deadline)
        await _log_in(wire, location, deadline)
        (role,) = await wire.replies(wire.send(pack(("ROLE",)), 1, deadline))
        if not isinstance(role, ReplyError) and role[0] == b"master":
            return wire
        wire.close()
        problem = "the sentinels name a server that is no master; a fail-over goes on"
    raise ServerUnavailable(f"{location.shown}: {problem}")


async def _opened(location: Location, io: Io, address: Address | None, deadline: float) -> Wire:
    kind, arguments = _kind_of(location, io, address, deadline)
    connection = kind(**arguments)
    try:
        if io == "blocking":
            connection.connect()
            return BlockingWire(connection, connection._sock, location.shown)
        await connection.connect()
        wire: Wire = protocol_wire(connection, connection._writer.transport, location.shown)
        return wire
    except (RedisError, OSError) as error:
        raise unreachable(location.shown, error.__cause__ or error) from error


def _kind_of(location: Location, io: Io, address: Address | None, deadline: float) -> tuple[Any, dict[str, Any]]:
    module: Any = blocking
    never: Any = Retry(NoBackoff(), 0)
    if io == "asyncio":
        import redis.asyncio.connection as module  # synchronous programs do not pay for asyncio
        from redis.asyncio import retry

        never = retry.Retry(NoBackoff(), 0)
    left_s = max(0.001, min(location.connect_timeout_s, deadline - time.monotonic()))
    arguments: dict[str, Any] = {
        "socket_timeout": left_s,
        "socket_connect_timeout": left_s,
        "retry": never,
        "redis_connect_func": _nothing if io == "blocking" else _nothing_asyncio,
        "protocol": 2,
    }
    if address is None:
        return module.UnixDomainSocketConnection, arguments | {"path": location.path}
    arguments |= {"host": address[0], "port": address[1], "socket_keepalive": True}
    if not location.is_tls:
        return module.Connection, arguments
    return module.SSLConnection, arguments | {
        "ssl_ca_certs": location.ssl_ca_certs,
        "ssl_certfile": location.ssl_certfile,
        "ssl_keyfile": location.ssl_keyfile,
        "ssl_cert_reqs": "required" if location.ssl_check else "none",
        "ssl_check_hostname": location.ssl_check,
    }


def _nothing(connection: Any) -> None:
    """Log in ourselves, in one round trip."""


async def _nothing_asyncio(connection: Any) -> None:
    """The same."""


async def _log_in(wire: Wire, location: Location, deadline: float) -> None:
    await _authenticate(wire, location, (location.username, location.password), deadline)
    commands: list[tuple[str, ...]] = [("CLIENT", "ID"), ("CLIENT", "SETNAME", wire.name)]
    if location.database:
        commands.append(("SELECT", str(location.database)))
    replies = await wire.replies(wire.send(b"".join([pack(command) for command in commands]), len(commands), deadline))
    wire.client_id = replies[0] if isinstance(replies[0], int) else None
    if location.database and isinstance(replies[-1], ReplyError):
        wire.close()
        raise translated(location.shown, replies[-1])


async def _authenticate(
    wire: Wire, location: Location, credentials: tuple[str | None, str | None], deadline: float
) -> None:
    username, password = credentials
    if password is None:
        return
    words: tuple[str, ...] = ("AUTH", username, password) if username else ("AUTH", password)
    (reply,) = await wire.replies(wire.send(pack(words), 1, deadline))
    if isinstance(reply, ReplyError):
        wire.close()
        raise translated(location.shown, reply)
