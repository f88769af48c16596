"""The RabbitMQ adapter, on a real server."""

import asyncio
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conformance.rabbitmq_places import prepare, publish_raw, remove_all

from faena._lib.deadline import deadline
from faena.backends.sqlite import SqliteBackend
from faena.brokers.rabbitmq import RabbitmqBroker
from faena.drivers.background import background
from faena.drivers.rabbitmq.frames import properties_of
from faena.drivers.rabbitmq.location import locate
from faena.drivers.rabbitmq.messages import Row
from faena.drivers.rabbitmq.topology import queue_name
from faena.model.delivery import Bury, DeadReason
from faena.testing.conformance import BrokerConformance, WorkflowConformance
from faena.testing.conformance.stage import Stage, messages, new_place, staged, take

URL = os.environ.get("FAENA_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")


@pytest.fixture(scope="module", autouse=True)
def server():
    node = locate(URL, {}).nodes[0]
    try:
        socket.create_connection((node.host, node.port), 2).close()
    except OSError as error:
        pytest.skip(f"no RabbitMQ at {node.host}:{node.port} ({error}); FAENA_TEST_RABBITMQ_URL names another")


@pytest.fixture(scope="module")
def sweeping():
    """Remove places while the next tests run: most of that is waiting for the end of the list of what is there."""
    with ThreadPoolExecutor(4) as threads:
        swept = []
        yield lambda options: swept.append(threads.submit(lambda: asyncio.run(remove_all(URL, options))))
        for each in swept:
            each.result()


class _Places:
    queue_type = ""

    def options(self, place):
        return {"prefix": place[-20:] + ".", "queue_type": self.queue_type}

    def connect_broker(self, place, io):
        return RabbitmqBroker.connect(URL, io=io, options=self.options(place))

    @pytest.fixture(autouse=True)
    def _place(self, stage, request, sweeping):
        self.place = stage.place
        if any(word in request.node.name for word in ("due", "delay")):
            asyncio.run(prepare(URL, self.options(stage.place)))
        yield
        sweeping(self.options(stage.place))

    async def corrupt(self, broker, queue, raw):
        row = Row("", queue, queue_name(locate(URL, self.options(self.place)), queue), raw, properties_of(b"", 0, b""))
        if broker.capabilities and isinstance(broker, RabbitmqBroker):
            await publish_raw(URL, self.options(self.place), row)
        else:
            background().run(lambda: publish_raw(URL, self.options(self.place), row))


class _InTheBackground(_Places):
    """What blocks is the same code in the background: once is enough."""

    @pytest.fixture
    def stage(self):
        return Stage(self, new_place(), "blocking")


class _OnALoop(_Places):
    @pytest.fixture
    def stage(self):
        return Stage(self, new_place(), "asyncio")


class TestQuorumQueues(_InTheBackground, BrokerConformance):
    MANY = 1000
    corrupt = _Places.corrupt
    queue_type = "quorum"


class TestClassicQueues(_OnALoop, BrokerConformance):
    MANY = 1000
    corrupt = _Places.corrupt
    queue_type = "classic"


class TestWorkflowsOnRabbitmqBesideSqlite(_OnALoop, WorkflowConformance):
    """The broker has no access by id, and the backend is a file: every end of a task takes four steps."""

    queue_type = "classic"

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def connect_backend(self, place, io):
        return SqliteBackend.connect(f"sqlite:///{self.folder}/{place}.db", io=io)


class TestSendingMuch(_OnALoop):
    queue_type = "classic"

    @staged
    async def test_many_messages_may_take_longer_than_one_call_as_long_as_the_server_takes_them(self, stage):
        broker = await stage.broker()
        await broker.publish(messages(1))  # the queue is there
        with deadline(time.monotonic() + 1.5):  # more than the first part takes, less than all of it
            await broker.publish(messages(6000))
        (status,) = await broker.queues.status()
        assert (status.name, status.waiting) == ("default", 6001)


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
class TestLettersThatAreOld(_OnALoop):
    @pytest.fixture(autouse=True)
    def _type(self, queue_type):
        self.queue_type = queue_type

    def options(self, place):
        return {**super().options(place), "dead_letters_kept_s": "0.5"}

    @staged
    async def test_the_server_removes_them_when_their_time_is_over_and_a_look_gives_them_no_more(self, stage):
        broker = await stage.broker()
        assert broker.capabilities.expires_dead_letters
        await broker.publish(messages(3))
        consumer, _ = await stage.consumer(broker)
        taken = await take(consumer, 3)
        begun_s = time.monotonic()
        await consumer.settle([Bury(each, DeadReason.FAILED, "") for each in taken])
        while await broker.dead_letters.list(None, 10):  # each look takes them, and lets them go back
            assert time.monotonic() < begun_s + 10
        assert time.monotonic() > begun_s + 0.45
