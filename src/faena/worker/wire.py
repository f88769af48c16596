"""What a supervisor and its processes say to one another, over a socket pair. No task message ever travels here."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from faena.model.homes import Homes
from faena.telemetry.metrics import Row

_LENGTH_BYTES = 4


class Boot(Struct, frozen=True, tag=True):
    """To the process, first: which app to load, and what the command line says."""

    app: str | None
    workdir: str
    overrides: dict[str, Any]
    queues: tuple[str, ...]
    exclude_queues: tuple[str, ...]
    hostname: str
    index: int


class Hello(Struct, frozen=True, tag=True):
    """To the supervisor: the app is loaded; this is what it is set to."""

    app: str
    broker_url: str
    backend_url: str
    broker_options: dict[str, Any]
    backend_options: dict[str, Any]
    queues: tuple[str, ...]
    tasks: int
    slots: int
    settings: dict[str, Any]  # the settings that the supervisor needs, resolved
    warnings: tuple[str, ...] = ()
    homes: Homes | None = None  # where the app has several brokers
    places: dict[str, tuple[str, dict[str, Any]]] = {}  # of each of those: URL and options


class BootFailed(Struct, frozen=True, tag=True):
    """To the supervisor: the app cannot be loaded; `text` is for people."""

    text: str


class Begin(Struct, frozen=True, tag=True):
    """To the process: work, as this holder; from these queues, where it is not those that the app names."""

    holder: str
    queues: tuple[str, ...] = ()


class Granted(Struct, frozen=True, tag=True):
    """To the process: receive from this one of several brokers, as this holder."""

    broker: str
    holder: str


class Stop(Struct, frozen=True, tag=True):
    """To the process: take nothing more, hand back what has not begun, finish the rest, exit."""


class Interrupt(Struct, frozen=True, tag=True):
    """To the process: ask the tasks that run to stop; they go back."""


class Revoke(Struct, frozen=True, tag=True):
    """To the process: do not run these."""

    ids: tuple[str, ...]
    terminate: bool = False
    remember: bool = True  # refuse those that come later, too


class Unrevoke(Struct, frozen=True, tag=True):
    """To the process: run these again when they come."""

    ids: tuple[str, ...]


class Query(Struct, frozen=True, tag=True):
    """To the process: answer a question of remote control."""

    number: int
    name: str
    arguments: dict[str, Any]
    own: bool = False  # a command that the app declares


class Answer(Struct, frozen=True, tag=True):
    """To the supervisor: the answer to the query of that number."""

    number: int
    value: Any = None
    error: str | None = None


class Leaving(Struct, frozen=True, tag=True):
    """To the supervisor: the process ends by itself soon; replace it."""

    reason: str


class Counted(Struct, frozen=True, tag=True):
    """To the supervisor: what the process has counted since it began, in the place of what it said before."""

    rows: tuple[Row, ...]
    events: tuple[int, int] = (0, 0)  # sent, and dropped


ToProcess: TypeAlias = Boot | Begin | Granted | Stop | Interrupt | Revoke | Unrevoke | Query
ToSupervisor: TypeAlias = Hello | BootFailed | Answer | Leaving | Counted
Spoken: TypeAlias = ToProcess | ToSupervisor

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Spoken] = msgspec.msgpack.Decoder(Spoken)


def pack(spoken: Spoken) -> bytes:
    """Return the bytes of one message, its length first."""
    body = _encoder.encode(spoken)
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body


def receive_blocking(link: socket.socket) -> Spoken | None:
    """Read one message; None: the other side has closed."""
    head = _read_exactly(link, _LENGTH_BYTES)
    body = _read_exactly(link, int.from_bytes(head, "little")) if head is not None else None
    return None if body is None else _decoder.decode(body)


async def receive(reader: asyncio.StreamReader) -> Spoken | None:
    """Do as `receive_blocking`, in an event loop."""
    try:
        head = await reader.readexactly(_LENGTH_BYTES)
        return _decoder.decode(await reader.readexactly(int.from_bytes(head, "little")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _read_exactly(link: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = link.recv(size - len(parts))
        except ConnectionError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
