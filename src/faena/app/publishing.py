"""Hand messages to the broker, trying again for a limited time while it cannot be reached."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import inf
from typing import Any, NoReturn, TypeVar

from faena._lib.deadline import deadline
from faena._lib.drive import run
from faena.app.links import Links
from faena.config.settings import Settings
from faena.errors import BackendUnavailable, BrokerUnavailable, MessageTooLarge, PublishedInPart
from faena.model.message import Message

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


def publish(
    links: Links, conf: Settings, messages: Sequence[Message], options: Mapping[str, Any], began_s: float | None = None
) -> None:
    """Raises BrokerUnavailable when the broker took nothing within `task_publish_timeout`; PublishedInPart.

    `began_s`: when it was tried first (monotonic); None: now.
    """
    began_s, pause_s = time.monotonic() if began_s is None else began_s, _FIRST_PAUSE_S
    rest: _Rest | None = None  # until something has failed: all of it
    while True:
        try:
            with deadline(began_s + (timeout_s(conf, options) or inf)):
                broker = links.blocking().broker
                check_size(broker.capabilities.largest_message_bytes, messages)
                run(broker.publish(messages if rest is None else rest.messages))
        except (BrokerUnavailable, PublishedInPart) as error:
            rest = (rest or _Rest(messages)).after(error)
            if time.monotonic() + pause_s >= began_s + patience_s(conf, options):
                rest.give_up(error)
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        else:
            return


async def apublish(links: Links, conf: Settings, messages: Sequence[Message], options: Mapping[str, Any]) -> None:
    """Do as `publish`, without blocking the event loop."""
    import asyncio  # 50 ms that synchronous programs do not pay

    began_s, pause_s, rest = time.monotonic(), _FIRST_PAUSE_S, _Rest(messages)
    while True:
        try:
            with deadline(began_s + (timeout_s(conf, options) or inf)):
                broker = (await links.asyncio()).broker
                check_size(broker.capabilities.largest_message_bytes, messages)
                await broker.publish(rest.messages)
        except (BrokerUnavailable, PublishedInPart) as error:
            rest = rest.after(error)
            if time.monotonic() + pause_s >= began_s + patience_s(conf, options):
                rest.give_up(error)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        else:
            return


def patiently(conf: Settings, options: Mapping[str, Any], work: Callable[[], T]) -> T:
    """Do `work`, which may be repeated, as often as it takes while broker or backend cannot be reached.

    Raises what it raised last when `task_publish_timeout` is over.
    """
    began_s, pause_s = time.monotonic(), _FIRST_PAUSE_S
    while True:
        try:
            with deadline(began_s + (timeout_s(conf, options) or inf)):
                return work()
        except (BrokerUnavailable, BackendUnavailable):
            if time.monotonic() + pause_s >= began_s + patience_s(conf, options):
                raise
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


async def apatiently(conf: Settings, options: Mapping[str, Any], work: Callable[[], Awaitable[T]]) -> T:
    """Do as `patiently`, without blocking the event loop."""
    import asyncio

    began_s, pause_s = time.monotonic(), _FIRST_PAUSE_S
    while True:
        try:
            with deadline(began_s + (timeout_s(conf, options) or inf)):
                return await work()
        except (BrokerUnavailable, BackendUnavailable):
            if time.monotonic() + pause_s >= began_s + patience_s(conf, options):
                raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


class _Rest:
    """What the broker has not taken yet."""

    __slots__ = ("messages", "taken")

    def __init__(self, messages: Sequence[Message], taken: frozenset[str] = frozenset()) -> None:
        self.messages, self.taken = messages, taken

    def after(self, error: BrokerUnavailable | PublishedInPart) -> _Rest:
        if isinstance(error, BrokerUnavailable):
            return self
        left = [message for message in self.messages if message.id not in error.accepted]
        return _Rest(left, self.taken | error.accepted)

    def give_up(self, error: BrokerUnavailable | PublishedInPart) -> NoReturn:
        if self.taken:
            raise PublishedInPart(self.taken, len(self.taken) + len(self.messages)) from error
        raise error


def patience_s(conf: Settings, options: Mapping[str, Any]) -> float:
    if options.get("retry", conf.task_publish_retry) is False:
        return 0.0
    return timeout_s(conf, options)


def timeout_s(conf: Settings, options: Mapping[str, Any]) -> float:
    policy = options.get("retry_policy") if options else None
    return float(policy.get("timeout", conf.task_publish_timeout) if policy else conf.task_publish_timeout)


def check_size(limit_bytes: int | None, messages: Sequence[Message]) -> None:
    if limit_bytes is not None:
        for message in messages:
            if len(message.body) > limit_bytes:
                raise MessageTooLarge(len(message.body), limit_bytes, "the broker")
