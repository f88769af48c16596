"""Where a conformance test plays: its adapters, both ways of waiting, and what goes on beside it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import wraps
from typing import Any, Generic, Protocol, TypeVar

import pytest

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.backend import Backend, JointSettler
from faena.broker import Broker, Consumer, Holder
from faena.model.delivery import Delivery, Malformed, Place, Verdict
from faena.model.message import Message
from faena.model.turns import USUAL, Taking
from faena.types import Io

T = TypeVar("T")

SOON_S = 0.9
"""What is pushed happens within this time; an adapter that looks of its own accord each second would miss it."""
PATIENCE_S = 20.0  # longer than anything takes on a busy machine


class Suite(Protocol):
    """What the author of an adapter fills in."""

    def connect_broker(self, place: str, io: Io) -> Broker: ...

    def connect_backend(self, place: str, io: Io) -> Backend: ...


class Running(Generic[T]):
    """Something that goes on beside the test: in a thread of its own, or as a task of the same loop."""

    def __init__(self, io: Io, body: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[T] | None = None
        self._result: T
        self._error: BaseException | None = None
        if io == "blocking":
            self._thread = threading.Thread(target=self._run, args=(body,), daemon=True)
            self._thread.start()
        else:
            self._task = asyncio.create_task(body())

    def _run(self, body: Callable[[], Coroutine[Any, Any, T]]) -> None:
        try:
            self._result = run(body())
        except BaseException as error:  # noqa: BLE001 - it is raised again by `outcome`
            self._error = error

    async def outcome(self, within_s: float = PATIENCE_S) -> T:
        """Wait for its end; raise what it raised, or TimeoutError."""
        if self._task is not None:
            return await asyncio.wait_for(self._task, within_s)
        assert self._thread is not None
        self._thread.join(within_s)
        if self._thread.is_alive():
            raise TimeoutError(f"it was still going on after {within_s} s")
        if self._error is not None:
            raise self._error
        return self._result


class Stage:
    """One test's place, in one way of waiting. Everything that it opened is closed at the end."""

    def __init__(self, suite: Any, place: str, io: Io) -> None:
        self._suite, self.place = suite, place
        self.io: Io = io
        self._to_close: list[Callable[[], Awaitable[None]]] = []

    async def broker(self) -> Broker:
        """Return a connection of its own."""
        broker: Broker = self._suite.connect_broker(self.place, self.io)
        await broker.open()
        self._to_close.append(broker.close)
        return broker

    async def backend(self) -> Backend:
        backend: Backend = self._suite.connect_backend(self.place, self.io)
        await backend.open()
        self._to_close.append(backend.close)
        return backend

    async def consumer(self, broker: Broker, *queues: str, lease_s: float = 600.0) -> tuple[Consumer, Holder]:
        """Return a consumer of a new holder."""
        holder = await broker.leases.open_holder("conformance", lease_s)
        return self.consumer_of(broker, holder, *queues), holder

    def consumer_of(self, broker: Broker, holder: Holder, *queues: str, taking: Taking = USUAL) -> Consumer:
        names = queues or ("default",)
        consumer = broker.consumer(holder, names) if taking == USUAL else broker.consumer(holder, names, taking)
        self._to_close.append(consumer.close)
        return consumer

    def beside(self, body: Callable[[], Coroutine[Any, Any, T]]) -> Running[T]:
        """Start something that goes on while the test does."""
        return Running(self.io, body)

    async def turn(self) -> None:
        """Let what goes on beside the test run for a moment; nothing may rely on how far it comes."""
        if self.io == "asyncio":
            await asyncio.sleep(0)

    def play(self, body: Coroutine[Any, Any, None]) -> None:
        async def whole() -> None:
            try:
                await body
            finally:
                for close in reversed(self._to_close):
                    await close()

        if self.io == "blocking":
            run(whole())
        else:
            asyncio.run(whole())


def staged(test: Callable[[Any, Stage], Coroutine[Any, Any, None]]) -> Callable[[Any, Stage], None]:
    """Make a test of a coroutine function that takes a stage."""

    @wraps(test)
    def play(self: Any, stage: Stage) -> None:
        stage.play(test(self, stage))

    return play


def new_place() -> str:
    return f"conformance-{os.getpid()}-{new_id()}"


async def joint_places(stage: Stage) -> tuple[Broker, Backend, Consumer, JointSettler]:
    """Return a broker and a backend that are one store, and what one holder receives and settles with."""
    broker, backend = await stage.broker(), await stage.backend()
    consumer, holder = await stage.consumer(broker)
    settler = backend.joint(broker, holder)
    assert settler is not None
    return broker, backend, consumer, settler


def message(task: str = "tasks.add", queue: str = "default", **fields: Any) -> Message:
    return Message(**{"id": new_id(), "task": task, "queue": queue, "body": b"[[1, 2], {}]", **fields})


def messages(count: int, **fields: Any) -> list[Message]:
    return [message(**fields) for _ in range(count)]


def ids(batch: Any) -> list[str]:
    """Return the ids of messages, or of the messages of deliveries."""
    return [each.id if isinstance(each, Message) else each.message.id for each in batch]


def delivered(batch: Any) -> list[Delivery]:
    """Return the batch, all of which are deliveries."""
    for each in batch:
        assert not isinstance(each, Malformed), each
    return list(batch)


async def take(consumer: Consumer, count: int, within_s: float = PATIENCE_S) -> list[Delivery]:
    """Receive until `count` deliveries are there; a broker may hand them out in several batches."""
    found: list[Delivery] = []
    while len(found) < count:
        batch = delivered(await consumer.receive(count - len(found), within_s))
        assert batch, f"{count} deliveries were expected, {len(found)} came"
        found += batch
    return found


async def expect_places(broker: Broker, wanted: Sequence[str], expected: Sequence[Place | None]) -> None:
    """Check where messages are, with a broker that can tell."""
    if broker.capabilities.locates:
        assert list(await broker.locate(wanted)) == list(expected)


async def lose(
    broker: Broker, consumer: Consumer, holder: Holder, verdicts: Mapping[str, Verdict] | None = None
) -> int | None:
    """Let a holder's process be gone, and recover it; return how many messages went back, or None: it cannot tell."""
    if broker.capabilities.lease == "connection":
        await consumer.close()  # as the system does with the connections of a process that has died
    found = await broker.leases.recover(holder, verdicts or {})
    return found if broker.capabilities.lease == "holder" else None


def needs_leases_of_holders(broker: Broker) -> None:
    if broker.capabilities.lease != "holder":
        pytest.skip("leases of this broker are not its holders'")


async def nothing_more(consumer: Consumer) -> bool:
    return not await consumer.receive(10, 0)


def backend_expires_by_itself(removed: list[int], over: int) -> bool:
    """Say whether these answers of `expire` can be those of a store that has removed some of what is over already."""
    return removed[-1] == 0 and sum(removed) < over and all(0 <= each <= 3 for each in removed)
