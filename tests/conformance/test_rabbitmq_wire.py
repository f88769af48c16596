"""What the wire of RabbitMQ has to stand: pieces of any size, large bodies, alarms, queues that go away, and ends."""

import asyncio
import ctypes
import os
import random
import socket
import struct
import time
from contextlib import asynccontextmanager, suppress

import pytest
from aiormq.connection import Connection
from pamqp import commands
from pamqp.frame import marshal
from tests.conformance.rabbitmq_places import remove_all

from faena import Faena
from faena._lib.deadline import deadline
from faena._lib.ids import new_id
from faena.backend import Completion
from faena.brokers.rabbitmq import RabbitmqBroker
from faena.drivers.rabbitmq import session as session_module
from faena.drivers.rabbitmq import topology
from faena.drivers.rabbitmq.location import locate
from faena.drivers.rabbitmq.session import open_session
from faena.errors import MessageTooLarge, PublishedInPart, ServerUnavailable
from faena.model.delivery import Ack, Bury, DeadReason, Release
from faena.testing.conformance.stage import ids, message, messages
from faena.worker.connection import Connection as WorkerConnection

URL = os.environ.get("FAENA_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
NODE = locate(URL, {}).nodes[0]


class Relay:
    """Stands before the server: hands bytes on in pieces, holds them up, cuts, and says what a server may say."""

    def __init__(self, piece=65536):
        self.piece = piece
        self.open = asyncio.Event()  # for what is sent to the server
        self.open.set()
        self.cut_after = None  # bytes of what is sent to the server
        self.clients = []
        self.tasks = set()

    async def start(self):
        self.server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        return URL.replace(f"{NODE.host}:{NODE.port}", f"127.0.0.1:{port}")

    def say(self, method):
        for client in self.clients:
            client.write(marshal(method, 0))

    async def stop(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _take(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        there, back = await asyncio.open_connection(NODE.host, NODE.port)
        self.clients.append(writer)
        answers = asyncio.create_task(self._hand_on(there, writer, self.piece))
        try:
            while data := await reader.read(65536):
                await self.open.wait()
                if self.cut_after is not None:
                    data, self.cut_after = data[: self.cut_after], self.cut_after - len(data)
                back.write(data)
                if self.cut_after is not None and self.cut_after <= 0:
                    self.cut_after = None
                    await back.drain()
                    break
        finally:
            answers.cancel()
            for each in (back, writer):
                each.transport.abort()

    @staticmethod
    async def _hand_on(reader, writer, piece):
        with suppress(ConnectionError):
            while data := await reader.read(piece):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture(autouse=True)
def _server():
    try:
        socket.create_connection((NODE.host, NODE.port), 2).close()
    except OSError as error:
        pytest.skip(f"no RabbitMQ at {NODE.host}:{NODE.port} ({error}); FAENA_TEST_RABBITMQ_URL names another")


@asynccontextmanager
async def place(relay=None, **options):
    """Give a broker; take away after it what it has made."""
    options = {"prefix": f"wire-{new_id()[-12:]}.", "queue_type": "classic", **options}
    broker = RabbitmqBroker.connect(URL if relay is None else await relay.start(), io="asyncio", options=options)
    consumers = []

    def consumer(*queues):
        consumers.append(broker.consumer("holder", queues or ("default",)))
        return consumers[-1]

    try:
        yield broker, consumer
    finally:
        for each in consumers:
            await each.close()
        await broker.close()
        if relay is not None:
            await relay.stop()
        await remove_all(URL, {key: options[key] for key in ("prefix", "queue_type")})


async def delete_queue(broker, queue="default"):
    location = broker._location
    session = await open_session(locate(URL, {}), "deleting")
    channel = await session.channel()
    await channel.queue_delete(topology.queue_name(location, queue))
    await session.close()


def go_dark(client):
    """Have the kernel drop all packets that come for this socket, as if its machine were gone."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # a program of one instruction: return 0
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    SO_ATTACH_FILTER = 26
    client.get_extra_info("socket")._sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


async def received(consumer, count):
    found = []
    while len(found) < count:
        try:
            batch = await consumer.receive(count, 10)
        except ServerUnavailable:  # of an earlier cut
            continue
        assert batch, "nothing came"
        found += batch
    return found


@pytest.mark.parametrize("piece", [1, 7, 1021])
def test_messages_come_whole_in_whatever_pieces_their_bytes_come(piece):
    async def play():
        async with place(Relay(piece)) as (broker, consumer):
            sent = [message(body=bytes([number]) * (number * 37)) for number in range(40)]
            await broker.publish(sent)
            taker = consumer()
            found = await received(taker, 40)
            assert [each.message for each in found] == sent
            assert await taker.settle([Ack(each) for each in found]) == [True] * 40

    asyncio.run(play())


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_bodies_of_many_frames_come_whole_among_small_ones_and_come_again(queue_type):
    async def play():
        async with place(queue_type=queue_type) as (broker, consumer):
            large = message(body=os.urandom(3_000_000))
            sent = [message(), large, message(body=os.urandom(131_064)), message(body=b""), message()]
            await broker.publish(sent)
            taker = consumer()
            found = await received(taker, 5)
            assert [each.message for each in found] == sent
            assert await taker.settle([Release(each) for each in found]) == [True] * 5
            again = await received(taker, 5)
            assert sorted(ids(again)) == sorted(ids(sent))
            assert all(each.deliveries >= 2 for each in again)  # pushed and given back, they may have been counted more
            assert next(each.message for each in again if each.message.id == large.id) == large

    asyncio.run(play())


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_a_queue_that_is_deleted_under_a_consumer_is_made_anew_and_what_comes_then_is_received(queue_type):
    async def play():
        async with place(queue_type=queue_type) as (broker, consumer):
            await broker.publish(messages(2))
            taker = consumer()
            held = await received(taker, 2)
            waiting = asyncio.create_task(taker.receive(5, 20))
            await asyncio.sleep(0)
            await delete_queue(broker)
            while not await broker.queues.status():  # it is not there until the consumer has made it
                await asyncio.sleep(0.01)
            await broker.publish([sent := message()])
            assert ids(await waiting) == [sent.id]
            await taker.settle([Ack(each) for each in held])  # of the queue that has gone: no error
            await broker.publish([other := message()])
            assert ids(await received(taker, 1)) == [other.id]

    asyncio.run(play())


def test_what_one_takes_who_does_not_wait_and_what_is_pushed_meanwhile_are_each_acknowledged_alone():
    async def play():
        async with place() as (broker, consumer):
            for _ in range(30):
                taker = consumer()
                await taker.receive(4, 0.001)  # from here on messages are pushed
                sent = messages(6)
                publishing = asyncio.create_task(broker.publish(sent))
                held = []
                while len(held) < 6:
                    held += await taker.receive(2, 0)
                await publishing
                done = random.sample(held, 3)
                for each in done:
                    assert await taker.settle([Ack(each)]) == [True]
                await taker.close()
                other = consumer()
                again = await received(other, 3)
                assert sorted(ids(again)) == sorted(set(ids(held)) - set(ids(done)))
                await other.settle([Ack(each) for each in again])
                await other.close()

    asyncio.run(play())


def test_of_what_is_sent_to_a_queue_that_has_gone_nothing_is_lost_also_where_it_is_the_same_twice():
    async def play():
        async with place() as (broker, consumer):
            await broker.publish(messages(1))
            await delete_queue(broker)
            twice = message()
            elsewhere = message(queue="elsewhere")
            await broker.publish([twice, elsewhere, twice, message()])
            found = await received(consumer(), 3)
            assert ids(found).count(twice.id) == 2
            assert ids(await received(consumer("elsewhere"), 1)) == [elsewhere.id]

    asyncio.run(play())


def test_heartbeats_are_counted_also_while_nothing_but_messages_comes(monkeypatch):
    monkeypatch.setattr(Connection, "HEARTBEAT_GRACE_MULTIPLIER", 1)  # aiormq gives the server up after two seconds

    async def play():
        async with place(heartbeat_s=1) as (broker, consumer):
            taker = consumer()
            until_s = time.monotonic() + 3.5
            while time.monotonic() < until_s:  # time itself is what is tried
                await broker.publish(messages(5))
                found = await received(taker, 5)
                assert await taker.settle([Ack(each) for each in found]) == [True] * 5

    asyncio.run(play())


def test_an_alarm_holds_up_who_publishes_and_is_said():
    async def play():
        relay = Relay()
        async with place(relay, timeout_s=0.5) as (broker, consumer):
            await broker.publish(messages(1))
            relay.say(commands.Connection.Blocked("low on memory"))
            relay.open.clear()
            with pytest.raises(ServerUnavailable, match="memory or disk alarm"):
                await broker.publish(messages(1))
            relay.open.set()
            relay.say(commands.Connection.Unblocked())
            await broker.publish(messages(1))
            assert len(await received(consumer(), 3)) == 3  # the second, too: it was on its way

    asyncio.run(play())


def test_what_is_sent_while_an_alarm_is_known_to_stand_does_not_come_after_it():
    async def play():
        relay = Relay()
        async with place(relay) as (broker, consumer):
            await broker.publish([first := message()])
            relay.say(commands.Connection.Blocked("low on memory"))
            session = await broker._publisher.session()
            async with asyncio.timeout(10):
                while not await session._is_blocked():
                    await asyncio.sleep(0)
            for _ in range(3):
                with pytest.raises(ServerUnavailable, match="memory or disk alarm"), deadline(time.monotonic() + 0.1):
                    await broker.publish(messages(1))
            relay.say(commands.Connection.Unblocked())
            await broker.publish([last := message()])
            taker = consumer()
            assert ids(await received(taker, 2)) == [first.id, last.id]
            assert list(await taker.receive(1, 0)) == []

    asyncio.run(play())


def test_an_alarm_takes_nothing_from_a_worker_that_has_something_to_send():
    async def play():
        relay = Relay()
        async with place(relay) as (broker, _):
            await broker.publish(sent := messages(2))
            app = Faena(
                "alarm", broker=broker._location.shown.replace("***", "guest"), set_as_current=False,
                broker_transport_options={"prefix": broker._location.prefix, "queue_type": "classic", "timeout_s": 1.0},
            )  # fmt: skip
            lost = []

            async def on_open(link):
                pass

            connection = WorkerConnection(app.links, "holder", ["default"], on_open=on_open, on_lost=lambda: lost.append(1))
            held = []
            while len(held) < 2:
                held += await connection.receive(2 - len(held), 5)
            relay.say(commands.Connection.Blocked("low on memory"))
            publisher = await (await connection.link()).broker._publisher.session()
            async with asyncio.timeout(10):
                while not await publisher._is_blocked():
                    await asyncio.sleep(0)
            retrying = asyncio.create_task(connection.complete([Completion(Release(held[0], held[0].message))]))
            done, _ = await asyncio.wait([retrying], timeout=1.5)  # longer than a call may take
            assert not done
            relay.say(commands.Connection.Unblocked())
            assert await retrying == [True]
            assert await connection.complete([Completion(Ack(held[1]))]) == [True]
            again = await connection.receive(5, 5)
            assert ids(again) == [held[0].message.id]
            await connection.complete([Completion(Ack(again[0]))])
            assert not lost
            await connection.close()
            await app.aclose()
            assert {each.id for each in sent} == set(ids(held))

    asyncio.run(play())


@pytest.mark.skipif(os.environ.get("FAENA_TEST_CHAOS") != "full", reason="134 MB: FAENA_TEST_CHAOS=full")
def test_a_message_that_is_too_large_for_the_server_is_told_apart_from_those_beside_it():
    async def play():
        async with place(largest_message_bytes=300_000_000) as (broker, consumer):
            large, small = message(body=bytes(134_217_729)), messages(3)  # max_message_size of RabbitMQ 3
            with pytest.raises(MessageTooLarge, match="max_message_size"):
                await broker.publish([large, small[0]])
            told = await asyncio.gather(
                broker.publish([large]), broker.publish([small[1]]), broker.publish([small[2]]), return_exceptions=True
            )
            assert [type(each) for each in told] in (
                [MessageTooLarge, ServerUnavailable, ServerUnavailable], [MessageTooLarge, type(None), type(None)],
            )  # fmt: skip
            await broker.publish([small[0]])
            taker = consumer()
            while small[0].id not in ids(await received(taker, 1)):
                pass

    asyncio.run(play())


def test_what_is_sent_to_a_server_that_does_not_read_does_not_pile_up():
    async def play():
        relay = Relay()
        async with place(relay) as (broker, _):
            await broker.publish(messages(1))
            relay.open.clear()
            for _ in range(20):
                with pytest.raises(ServerUnavailable), deadline(time.monotonic() + 0.05):
                    await broker.publish([message(body=os.urandom(1_000_000))])
            session = await broker._publisher.session()
            assert session.wire._transport_now.get_write_buffer_size() < 3_000_000

    asyncio.run(play())


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
def test_a_machine_that_goes_dark_is_left_for_a_new_connection_also_by_who_sends(monkeypatch):
    sooner = [(name, 1000 if name == "TCP_USER_TIMEOUT" else value) for name, value in session_module._KEEP_ALIVE]
    monkeypatch.setattr(session_module, "_KEEP_ALIVE", sooner)

    async def play():
        relay = Relay()
        async with place(relay) as (broker, _):
            await broker.publish(messages(1))
            for client in relay.clients:
                if not client.is_closing():
                    go_dark(client)
            async with asyncio.timeout(20):
                while True:
                    with suppress(ServerUnavailable), deadline(time.monotonic() + 0.5):
                        await broker.publish(messages(1))
                        break

    asyncio.run(play())


def test_a_dead_letter_is_kept_however_long_its_reason():
    async def play():
        async with place() as (broker, consumer):
            await broker.publish([sent := message()])
            taker = consumer()
            (held,) = await received(taker, 1)
            assert await taker.settle([Bury(held, DeadReason.FAILED, "why " + "ñ" * 1_000_000)]) == [True]
            (letter,) = await broker.dead_letters.list("default", 10)
            assert letter.message.id == sent.id
            assert letter.detail.startswith("why ñ")

    asyncio.run(play())


def test_who_publishes_hears_of_a_cut_and_publishes_again():
    async def play():
        relay = Relay()
        async with place(relay, timeout_s=20) as (broker, consumer):
            await broker.publish(messages(1))
            relay.cut_after = 40_000
            many = messages(500)
            began_s = time.monotonic()
            with pytest.raises((ServerUnavailable, PublishedInPart)):
                await broker.publish(many)
            assert time.monotonic() - began_s < 10  # at once, and not when the time is over
            await broker.publish(many)
            taker = consumer()
            left = set(ids(many))
            while left:  # some are there twice: those that the server took before the cut
                left -= set(ids(await received(taker, 1)))

    asyncio.run(play())


def test_who_consumes_hears_of_a_cut_and_what_was_held_comes_again():
    async def play():
        relay = Relay()
        async with place(relay, timeout_s=20) as (broker, consumer):
            sent = messages(3)
            await broker.publish(sent)
            taker = consumer()
            held = await received(taker, 3)
            waiting = asyncio.create_task(taker.receive(5, 20))
            await asyncio.sleep(0)
            for client in relay.clients:
                client.transport.abort()
            with pytest.raises(ServerUnavailable):
                await waiting
            assert await taker.settle([Ack(each) for each in held]) == [False] * 3
            assert sorted(ids(await received(taker, 3))) == sorted(ids(sent))

    asyncio.run(play())


def test_a_channel_that_the_server_closes_fails_what_was_on_it_and_another_one_is_opened():
    async def play():
        async with place() as (broker, consumer):
            await broker.publish([message(due_at_s=time.time() + 3600)])  # the ladder is there
            session = await open_session(locate(URL, {}), "deleting")
            channel = await session.channel()
            exchange, _ = topology.route_of_delay(broker._location, "default", 3600)
            await channel.exchange_delete(exchange)
            await session.close()
            with pytest.raises(ServerUnavailable, match="deleted"):
                await broker.publish([message(due_at_s=time.time() + 3600)])
            await broker.publish([sent := message()])
            assert ids(await received(consumer(), 1)) == [sent.id]

    asyncio.run(play())


def test_many_calls_at_once_share_what_is_written_and_each_hears_its_own():
    async def play():
        async with place() as (broker, consumer):
            sent = messages(300)
            await asyncio.gather(*(broker.publish([each]) for each in sent))
            found = await received(consumer(), 300)
            assert sorted(ids(found)) == sorted(ids(sent))

    asyncio.run(play())
