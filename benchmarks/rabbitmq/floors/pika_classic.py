"""The floor with pika on classic queues."""

from benchmarks.rabbitmq.loops import Floor, Pika


class Side(Floor):
    library = Pika
    kind = "classic"
