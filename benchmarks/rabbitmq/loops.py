"""The floors: the least code that moves messages on RabbitMQ and loses none, once with each client library.

`publish` sends with confirms, `WINDOW` unconfirmed at most. `serve` takes and runs, and acknowledges batches with one
frame, after they ran. No results. Only what a library offers its users is used.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import time

import msgspec

from benchmarks.rabbitmq.bodies import mark
from benchmarks.redis.bodies import echo
from benchmarks.redis.side import BROKER, BlockingSide

BATCH, WINDOW, PREFETCH = 128, 512, 512
QUEUE = "loops"
ARGUMENTS = {  # as faena declares its queues
    "quorum": {"x-queue-type": "quorum"},
    "classic": {"x-queue-type": "classic", "x-max-priority": 9},
}
IDLE_S = 0.02  # a batch that is not full is acknowledged then


class Call(msgspec.Struct, frozen=True, array_like=True):
    id: bytes
    task: str
    arguments: bytes
    sent_at: float


TASKS = {"echo": echo, "mark": mark}


def body_of(task, number):
    return msgspec.msgpack.encode(Call(os.urandom(16), task, msgspec.json.encode((number,)), time.time()))


class Batch:
    """What was run and is not acknowledged yet."""

    def __init__(self, acknowledge):
        self.acknowledge, self.count, self.last = acknowledge, 0, 0
        self.decode, self.decode_json = msgspec.msgpack.Decoder(Call).decode, msgspec.json.Decoder().decode

    def run(self, tag, body):
        call = self.decode(body)
        TASKS[call.task](*self.decode_json(call.arguments))
        self.count, self.last = self.count + 1, tag
        if self.count == BATCH:
            self.flush()

    def flush(self):
        if self.count:
            self.acknowledge(self.last)
            self.count = 0


class Pika:
    """pika, with its SelectConnection: the blocking one waits for each confirm."""

    def __init__(self, kind):
        import pika

        self.pika = pika
        self.sent, self.confirmed, self.bodies = 0, 0, []
        self.properties = pika.BasicProperties(delivery_mode=2)
        self.connection = pika.SelectConnection(
            pika.URLParameters(BROKER), on_open_callback=lambda connection: connection.channel(on_open_callback=self.opened)
        )
        self.kind = kind
        self.loop = self.connection.ioloop
        self.loop.start()

    def opened(self, channel):
        self.channel = channel
        channel.queue_declare(QUEUE, durable=True, arguments=ARGUMENTS[self.kind])
        channel.confirm_delivery(self.on_confirm, callback=lambda _: self.loop.stop())

    def publish(self, bodies):
        self.bodies, self.sent, self.base = bodies, 0, self.confirmed
        self.fill()
        self.loop.start()

    def fill(self):
        while self.sent < len(self.bodies) and self.sent - (self.confirmed - self.base) < WINDOW:
            self.channel.basic_publish("", QUEUE, self.bodies[self.sent], self.properties)
            self.sent += 1

    def on_confirm(self, frame):
        assert frame.method.NAME == "Basic.Ack"
        self.confirmed = frame.method.delivery_tag if frame.method.multiple else self.confirmed + 1
        if self.confirmed - self.base >= len(self.bodies):
            self.loop.stop()
        else:
            self.fill()

    def serve(self):
        batch = Batch(lambda tag: self.channel.basic_ack(tag, multiple=True))

        def on_message(channel, method, properties, body):
            batch.run(method.delivery_tag, body)

        def tick():
            batch.flush()
            self.loop.call_later(IDLE_S, tick)

        self.channel.basic_qos(prefetch_count=PREFETCH, callback=lambda _: self.channel.basic_consume(QUEUE, on_message))
        tick()
        self.loop.start()


class PyAmqp:
    """py-amqp, which Celery's kombu is built upon."""

    def __init__(self, kind):
        import amqp

        self.amqp, self.confirmed = amqp, 0
        self.connection = amqp.Connection(BROKER.rpartition("@")[2].strip("/"))
        self.connection.connect()
        self.channel = self.connection.channel()
        self.channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=ARGUMENTS[kind])
        self.channel.confirm_select()
        self.channel.events["basic_ack"].add(self.on_ack)

    def on_ack(self, tag, multiple):
        self.confirmed = tag if multiple else self.confirmed + 1

    def publish(self, bodies):
        sent, base = 0, self.confirmed
        while self.confirmed - base < len(bodies):
            while sent < len(bodies) and sent - (self.confirmed - base) < WINDOW:
                self.channel.basic_publish(self.amqp.Message(bodies[sent], delivery_mode=2), routing_key=QUEUE)
                sent += 1
            self.connection.drain_events(timeout=10)

    def serve(self):
        batch = Batch(lambda tag: self.channel.basic_ack(tag, multiple=True))
        self.channel.basic_qos(0, PREFETCH, False)
        self.channel.basic_consume(QUEUE, callback=lambda message: batch.run(message.delivery_tag, message.body))
        while True:
            try:
                self.connection.drain_events(timeout=IDLE_S)
            except TimeoutError:
                batch.flush()


class Aiormq:
    """aiormq, on uvloop."""

    def __init__(self, kind):
        import uvloop

        self.kind, self.loop = kind, uvloop.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.open())

    def publish(self, bodies):
        self.loop.run_until_complete(self.apublish(bodies))

    def serve(self):
        self.loop.run_until_complete(self.aserve())

    async def open(self):
        import aiormq

        self.properties = aiormq.spec.Basic.Properties(delivery_mode=2)
        self.connection = await aiormq.connect(BROKER)
        self.channel = await self.connection.channel()
        await self.channel.queue_declare(QUEUE, durable=True, arguments=ARGUMENTS[self.kind])

    async def apublish(self, bodies):
        for at in range(0, len(bodies), WINDOW):
            calls = [
                self.channel.basic_publish(body, routing_key=QUEUE, properties=self.properties, wait=False)
                for body in bodies[at : at + WINDOW]
            ]
            await asyncio.gather(*calls)

    async def aserve(self):
        acknowledgements = []
        batch = Batch(lambda tag: acknowledgements.append(tag))

        async def acknowledge():
            while acknowledgements:
                await self.channel.basic_ack(acknowledgements.pop(0), multiple=True, wait=False)

        async def on_message(message):
            batch.run(message.delivery_tag, message.body)
            if acknowledgements:
                await acknowledge()

        await self.channel.basic_qos(prefetch_count=PREFETCH)
        await self.channel.basic_consume(QUEUE, on_message)
        while True:
            await asyncio.sleep(IDLE_S)
            batch.flush()
            await acknowledge()


class AioPika(Aiormq):
    """aio-pika, which is built upon aiormq, on uvloop."""

    async def open(self):
        import aio_pika

        self.message = lambda body: aio_pika.Message(body, delivery_mode=2)
        self.connection = await aio_pika.connect(BROKER)
        self.channel = await self.connection.channel()
        self.queue = await self.channel.declare_queue(QUEUE, durable=True, arguments=ARGUMENTS[self.kind])

    async def apublish(self, bodies):
        exchange = self.channel.default_exchange
        for at in range(0, len(bodies), WINDOW):
            calls = [exchange.publish(self.message(body), QUEUE, mandatory=False) for body in bodies[at : at + WINDOW]]
            await asyncio.gather(*calls)

    async def aserve(self):
        latest = []
        acknowledgements = []
        batch = Batch(lambda tag: acknowledgements.append(latest[0]))

        async def acknowledge():
            while acknowledgements:
                await acknowledgements.pop(0).ack(multiple=True)

        async def on_message(message):
            latest[:] = [message]
            batch.run(message.delivery_tag, message.body)
            if acknowledgements:
                await acknowledge()

        await self.channel.set_qos(prefetch_count=PREFETCH)
        await self.queue.consume(on_message)
        while True:
            await asyncio.sleep(IDLE_S)
            batch.flush()
            await acknowledge()


class Floor(BlockingSide):
    """A side of one library and one type of queue."""

    library = Pika
    kind = "quorum"

    def open(self):
        self.link = self.library(self.kind)

    def send(self, numbers):
        for number in numbers:
            self.link.publish([body_of("echo", number)])
        return list(numbers)

    def send_bulk(self, numbers, chunk):
        for start in range(0, len(numbers), chunk):
            self.link.publish([body_of("echo", number) for number in numbers[start : start + chunk]])
        return list(numbers)

    def send_marks(self, count):
        for start in range(0, count, 500):
            self.link.publish([body_of("mark", number) for number in range(start, min(count, start + 500))])

    def commands(self, kind, processes):
        return [[sys.executable, "-m", "benchmarks.rabbitmq.loops", type(self).__module__] for _ in range(processes)]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    side = importlib.import_module(sys.argv[1]).Side()
    side.open()
    side.link.serve()
