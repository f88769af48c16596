"""RabbitMQ as a broker.

See docs/internals/broker-contract.md for how the contract is met, and docs/guides/rabbitmq.md for its use.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import NoReturn

from faena._lib.ids import new_id
from faena.broker import Capabilities, Consumer, DeadLetters, Holder, Leases, Limits, Queues
from faena.drivers.background import in_background
from faena.drivers.rabbitmq.consumer import RabbitConsumer
from faena.drivers.rabbitmq.declaring import ensure_dead, ensure_ladder, ensure_queue
from faena.drivers.rabbitmq.letters import RabbitDeadLetters
from faena.drivers.rabbitmq.location import Location, locate
from faena.drivers.rabbitmq.messages import row_of
from faena.drivers.rabbitmq.publisher import Publisher
from faena.drivers.rabbitmq.queues import RabbitQueues
from faena.drivers.rabbitmq.topology import PRIORITIES
from faena.errors import NotSupported
from faena.model.delivery import Found, Place, Verdict
from faena.model.limit import Change, LimitStatus, Obstacle, Terms
from faena.model.message import Message
from faena.model.turns import USUAL, Taking
from faena.types import Io


class RabbitmqBroker:
    """See `faena.broker.Broker`."""

    def __init__(self, location: Location, io: Io) -> None:
        self._location, self._io = location, io
        is_classic = location.queue_type == "classic"
        self._capabilities = Capabilities(
            durable=True,
            lease="connection",
            longest_lease_s=location.consumer_timeout_s,
            deduplicates=False,
            keeps_verdicts=False,
            expires_dead_letters=True,
            priority_levels=PRIORITIES if is_classic else 1,
            largest_message_bytes=location.largest_message_bytes,
            cancels=False,
            locates=False,
            browses=False,
            pauses=False,
        )
        self._publisher = Publisher(location, f"faena {os.getpid()}@{socket.gethostname()}")
        self._leases = _Leases()
        self._queues = RabbitQueues(location, self._publisher)
        self._dead_letters = RabbitDeadLetters(location, self._publisher)

    @classmethod
    def connect(cls, url: str, *, io: Io, options: Mapping[str, object] = {}) -> RabbitmqBroker:
        """Options: see `faena.drivers.rabbitmq.location`; they may stand in the query of the URL, too."""
        broker = cls(locate(url, options), io)
        return in_background(broker) if io == "blocking" else broker

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def driver(self) -> Publisher:
        return self._publisher

    @property
    def leases(self) -> Leases:
        return self._leases

    @property
    def queues(self) -> Queues:
        return in_background(self._queues) if self._io == "blocking" else self._queues

    @property
    def dead_letters(self) -> DeadLetters:
        return in_background(self._dead_letters) if self._io == "blocking" else self._dead_letters

    async def open(self) -> None:
        await self._publisher.session()

    async def close(self) -> None:
        await self._publisher.close()

    async def check_queues(self, queues: Sequence[str]) -> None:
        """See `faena.broker.check_queues`. Those that are not there are made."""
        session = await self._publisher.session()
        for queue in queues:
            await ensure_queue(session, queue)

    async def declare_queues(self, queues: Sequence[str]) -> None:
        """See `faena.broker.declare_queues`: the queues, those of their dead letters, and the ladder of delays."""
        session = await self._publisher.session()
        for queue in queues:
            await ensure_queue(session, queue)
            await ensure_dead(session, queue)
            await ensure_ladder(session, queue)

    async def publish(self, messages: Sequence[Message]) -> None:
        if messages:
            await self._publisher.publish([row_of(self._location, message) for message in messages])

    async def cancel(self, ids: Sequence[str]) -> Sequence[Message]:  # noqa: ARG002
        raise NotSupported(
            "taking a message out of its queue", self._location.shown, "RabbitMQ has no access by id",
            "revoke the task: a worker drops it when it comes",
        )  # fmt: skip

    async def locate(self, ids: Sequence[str]) -> Sequence[Place | None]:  # noqa: ARG002
        raise NotSupported(
            "finding a message by its id", self._location.shown, "RabbitMQ has no access by id",
            "look at the task's result instead",
        )  # fmt: skip

    async def find(self, task_id: str) -> Found | None:  # noqa: ARG002
        raise NotSupported(
            "finding a message by its id", self._location.shown, "RabbitMQ has no access by id",
            "look at the task's result instead",
        )  # fmt: skip

    @property
    def limits(self) -> Limits:
        refusing = _NoLimits(self._location)
        return in_background(refusing) if self._io == "blocking" else refusing

    async def offer(self, messages: Sequence[Message], bounds: Mapping[str, int], *, whole: bool) -> Sequence[str]:  # noqa: ARG002
        raise NotSupported(
            "a bound of queues that the sender minds", self._location.shown, "RabbitMQ cannot count and take in one step",
            "a policy of the server can bound queues (max-length)",
        )  # fmt: skip

    def consumer(self, holder: Holder, queues: Sequence[str], taking: Taking = USUAL) -> Consumer:  # noqa: ARG002
        consumer = RabbitConsumer(self._location, holder, queues, self._publisher)
        return in_background(consumer) if self._io == "blocking" else consumer


class _NoLimits:
    """See `faena.broker.Limits`. Where none are declared, nothing is asked of it."""

    def __init__(self, location: Location) -> None:
        self._location = location

    async def declare(self, terms: Mapping[str, Terms | None]) -> Mapping[str, Terms]:
        if any(each is not None for each in terms.values()):
            self._refuse()
        return {}

    async def change(self, family: str, change: Change | None) -> Terms:  # noqa: ARG002
        self._refuse()

    async def list(self) -> Sequence[LimitStatus]:
        return ()

    async def obstacles(self, ids: Sequence[str]) -> Sequence[Sequence[Obstacle] | None]:
        return [None] * len(ids)

    def _refuse(self) -> NoReturn:
        raise NotSupported(
            "limits of rate and concurrency", self._location.shown, "RabbitMQ hands out what waits, and holds nothing back",
            "give the tasks a queue of their own and few processes that take from it",
        )  # fmt: skip


class _Leases:
    """See `faena.broker.Leases`. The connection of the process is its lease: the server takes back what it held."""

    async def open_holder(self, owner: str, lease_s: float) -> Holder:  # noqa: ARG002
        return f"{owner}/{new_id()[-8:]}"

    async def renew(self, holders: Sequence[Holder], lease_s: float) -> Sequence[Holder]:  # noqa: ARG002
        return holders

    async def recover(self, holder: Holder, verdicts: Mapping[str, Verdict]) -> int:  # noqa: ARG002
        return 0

    async def reap(self) -> int:
        return 0
