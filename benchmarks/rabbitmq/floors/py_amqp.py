"""The floor with py-amqp on quorum queues."""

from benchmarks.rabbitmq.loops import Floor, PyAmqp


class Side(Floor):
    library = PyAmqp
    kind = "quorum"
