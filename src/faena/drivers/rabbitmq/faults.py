"""What goes wrong with RabbitMQ, in our words."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelClosed,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionClosed,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
)

from faena.drivers.rabbitmq.mismatch import declared_otherwise, mismatch_in
from faena.errors import FaenaError, ServerRefused, ServerUnavailable

BROKEN = (AMQPError, ChannelInvalidStateError, asyncio.TimeoutError, ConnectionError, OSError, RuntimeError)
"""What aiormq raises when a call fails. RuntimeError: the connection was closed while it was waited for."""

_NOT_ALLOWED = 530
_TOO_LARGE = re.compile(r"message size \d+ (?:is )?larger than configured max size (\d+)")


@contextmanager
def not_cancelled() -> Iterator[None]:
    """Raise ConnectionError where aiormq has cancelled what was waited for, which it does when the connection is gone.

    Taken for a cancellation of the task that waits, it would end that task without a word.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError("the connection was lost meanwhile") from error


class NotTaken(Exception):
    """The server has sent a message back (no queue is there for it), or has refused it."""

    def __init__(self, text: str, *, is_returned: bool = False) -> None:
        super().__init__(text)
        self.is_returned = is_returned


def translated(shown: str, error: BaseException) -> FaenaError:
    """Return what to raise. ServerRefused: trying again changes nothing."""
    text = _text_of(error)
    if isinstance(error, AuthenticationError | ProbableAuthenticationError):
        return ServerRefused(f"{shown}: it does not take this user name and password: {text}")
    if isinstance(error, ConnectionNotAllowed) or getattr(error, "errno", None) == _NOT_ALLOWED or "NOT_ALLOWED" in text:
        return ServerRefused(f"{shown}: there is no such virtual host, or this user may not use it: {text}")
    if said := _refusal_of_tls(error, text):
        return ServerRefused(f"{shown}: {said}: {text}")
    if "Connection.OpenOk" in text and "Connection.Close" in text:  # aiormq keeps the server's reason to itself
        return ServerRefused(
            f"{shown}: the server does not open this virtual host: there is none of that name, this user may not use it, "
            "or one of them has as many connections as it may have"
        )
    if isinstance(error, ChannelAccessRefused):
        return ServerRefused(f"{shown}: this user may not do that; see the minimum in the guide on RabbitMQ: {text}")
    if isinstance(error, ChannelPreconditionFailed):
        mismatch = mismatch_in(text)
        if mismatch is not None:
            return declared_otherwise(shown, mismatch)
        return ServerRefused(
            f"{shown}: a queue or an exchange is there already, and was declared otherwise: {text}; "
            "delete it, or set `queue_type` and `prefix` as they were"
        )
    if isinstance(error, ChannelNotFoundEntity):
        return ServerUnavailable(f"{shown}: a queue or an exchange was deleted: {text}")
    if isinstance(error, NotTaken):
        return ServerUnavailable(f"{shown}: {text}")
    if isinstance(error, TimeoutError):
        return ServerUnavailable(f"{shown}: it did not answer in time")
    if isinstance(error, ConnectionClosed | ChannelClosed):
        return ServerUnavailable(f"{shown}: the connection was closed: {text}")
    if shown.startswith("amqps:") and "reset" in text:
        text += "; a server that wants a certificate may do so, too: see ssl_certfile"
    return ServerUnavailable(f"{shown}: it cannot be reached: {text}")


def _refusal_of_tls(error: BaseException, text: str) -> str:
    """Say what is refused, and what to set; empty: it is something else. Once connected, aiormq leaves only the text."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is refused; name its CA in ssl_ca_certs, and the host as the certificate does"
    if not isinstance(error, ssl.SSLError) and "SSLError" not in text:
        return ""
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER" in text:
        return "it speaks no TLS at this port; amqp:// is without, and amqps:// mostly at port 5671"
    if "_ALERT_" in text:
        return "it refuses this connection, or our certificate, or that there is none; see ssl_certfile and ssl_keyfile"
    return ""


def largest_in(error: BaseException) -> int | None:
    """Return how large a message may be, where the server says that one was larger."""
    said = _TOO_LARGE.search(_text_of(error))
    return int(said[1]) if said is not None else None


def _text_of(error: BaseException) -> str:
    if isinstance(error, AMQPError):  # what the server has said; the words of the library are patterns without it
        said = [str(each) for each in error.args if isinstance(each, str) and each]
        return said[-1] if said else type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__)
