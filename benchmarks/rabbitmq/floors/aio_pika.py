"""The floor with aio-pika on quorum queues."""

from benchmarks.rabbitmq.loops import AioPika, Floor


class Side(Floor):
    library = AioPika
    kind = "quorum"
