"""The app that the benchmark's worker and client share: RabbitMQ as the broker, results in Redis for an hour."""

import os

from benchmarks.rabbitmq.bodies import mark as note
from benchmarks.redis import bodies
from benchmarks.redis.side import BROKER, TTL_S, URL
from faena import Faena

app = Faena(
    "bench",
    broker=f"{BROKER}?prefix=faena.&queue_type={os.environ.get('BENCH_QUEUE_TYPE', 'quorum')}",
    result_backend=URL,
    result_expires=TTL_S,
)

echo = app.task(bodies.echo)
mark = app.task(note, ignore_result=True)
