"""Dramatiq, on Redis unless a RabbitMQ is named, with its result backend; two processes of eight threads, as by default."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from dramatiq.results.errors import ResultMissing

from benchmarks.redis import bodies
from benchmarks.redis.bodies import COROUTINES, THREADS
from benchmarks.redis.side import BROKER, TTL_S, URL, WAIT_S, BlockingSide

backend = RedisBackend(url=URL)
if BROKER == URL:
    broker = RedisBroker(url=URL)
else:
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    broker = RabbitmqBroker(url=BROKER)
broker.add_middleware(Results(backend=backend, result_ttl=TTL_S * 1000))
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)

echo = dramatiq.actor(bodies.echo, store_results=True)
sleep = dramatiq.actor(bodies.sleep, store_results=True)
sleep_coroutine = dramatiq.actor(bodies.sleep_coroutine, store_results=True)
AT_ONCE = {"plain": 8, "threads": THREADS, "coroutines": COROUTINES}  # each coroutine holds a thread of the worker, too


class Side(BlockingSide):
    def send(self, numbers):
        return [echo.send(number) for number in numbers]

    def send_sleeps(self, kind, count):
        task = sleep_coroutine if kind == "coroutines" else sleep
        return [task.send() for _ in range(count)]

    def result(self, handle):
        return handle.get_result(backend=backend, block=True, timeout=WAIT_S * 1000)

    def read(self, handles):
        values = []
        for handle in handles:
            try:
                values.append(handle.get_result(backend=backend))
            except ResultMissing:
                values.append(None)
        return values

    def commands(self, kind, processes):
        threads = str(AT_ONCE[kind])
        words = ("dramatiq", "-p", str(processes), "-t", threads, "benchmarks.redis.peers.dramatiq_peer:broker")
        return [self.command(kind, *words)]
