"""The floor with pika on quorum queues."""

from benchmarks.rabbitmq.loops import Floor, Pika


class Side(Floor):
    library = Pika
    kind = "quorum"
