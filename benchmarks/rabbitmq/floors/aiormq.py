"""The floor with aiormq on quorum queues."""

from benchmarks.rabbitmq.loops import Aiormq, Floor


class Side(Floor):
    library = Aiormq
    kind = "quorum"
