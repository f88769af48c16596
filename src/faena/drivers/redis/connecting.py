"""Make connections: over TCP, TLS or a unix socket, and logged in within one round trip.

A server that sentinels know is asked for anew with each connection. In a cluster all our keys lie on one node, which any
other node names when it is asked for one of them (MOVED).
"""

from __future__ import annotations

import socket
import time
from functools import lru_cache
from typing import Any

from faena.drivers.redis.faults import translated, unreachable
from faena.drivers.redis.location import Address, Location
from faena.drivers.redis.wire import BlockingWire, ProtocolWire, ReplyError, Wire, pack
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
    left_s = max(0.001, min(location.connect_timeout_s, deadline - time.monotonic()))
    try:
        if io == "blocking":
            return BlockingWire(_socket_to(location, address, left_s), location.shown)
        return await _opened_in_loop(location, address, left_s)
    except (OSError, ValueError) as error:  # ValueError: a host name that cannot be one
        raise unreachable(location.shown, error) from error


def _socket_to(location: Location, address: Address | None, timeout_s: float) -> socket.socket:
    if address is None:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout_s)
        try:
            sock.connect(location.path)
        except OSError:
            sock.close()
            raise
        return sock
    sock = socket.create_connection(address, timeout_s)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return _tls_of(location).wrap_socket(sock, server_hostname=address[0]) if location.is_tls else sock
    except (OSError, ValueError):
        sock.close()
        raise


async def _opened_in_loop(location: Location, address: Address | None, timeout_s: float) -> Wire:
    import asyncio  # 50 ms that synchronous programs do not pay

    loop: Any = asyncio.get_running_loop()  # our protocol is one by its methods: to derive from it, we had to import it
    wire = ProtocolWire(loop, location.shown)
    async with asyncio.timeout(timeout_s):
        if address is None:
            await loop.create_unix_connection(lambda: wire, location.path)
        else:
            context = _tls_of(location) if location.is_tls else None
            await loop.create_connection(lambda: wire, *address, ssl=context)
    return wire


@lru_cache(maxsize=16)
def _tls_of(location: Location) -> Any:
    import ssl  # 10 ms that others do not pay

    context = ssl.create_default_context(cafile=location.ssl_ca_certs)
    if not location.ssl_check:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if location.ssl_certfile is not None:
        context.load_cert_chain(location.ssl_certfile, location.ssl_keyfile)
    return context


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
