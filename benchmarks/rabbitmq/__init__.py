"""faena on RabbitMQ, measured against its peers and against hand-written loops.

`python -m benchmarks.rabbitmq` runs it, `--quick` one short round. It starts a RabbitMQ and a Redis of its own on free
ports of the loopback and stops them; Redis keeps the results of all contenders.

It measures as the benchmark on Redis does, with its parts (`benchmarks.redis`): sides in processes and environments of
their own that take turns within rounds, figures as medians over the rounds, ratios as medians within a round. The floors
(`loops.py`) are the least that keeps the promise that matters, once with each client library.
"""
