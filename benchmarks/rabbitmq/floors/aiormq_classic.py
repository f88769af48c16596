"""The floor with aiormq on classic queues."""

from benchmarks.rabbitmq.loops import Aiormq, Floor


class Side(Floor):
    library = Aiormq
    kind = "classic"
