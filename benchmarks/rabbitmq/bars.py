"""The figures that faena has to reach on RabbitMQ, and what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.rabbitmq.rounds import AT_ONCE, BUFFERED, BULK, IGNORED, KEPT, ONE
from benchmarks.redis.bars import Bar
from benchmarks.redis.rounds import Sample, Samples, ratio

Rows = Mapping[str, Mapping[int, Sample]]

QUORUM, CLASSIC = "faena", "faena, classic"


def bars(samples: Samples) -> list[Bar]:
    """Return every bar with what was measured. Queues of one type are compared with each other."""
    kept, ignored, bulk, one = (samples.get(what, {}) for what in (KEPT, IGNORED, BULK, ONE))
    pika, aiormq = "floor, pika", "floor, aiormq"
    rows: list[tuple[str, Rows, str, str, float]] = [
        ("results kept: classic / celery", kept, CLASSIC, "celery", 8),
        ("results kept: classic / dramatiq", kept, CLASSIC, "dramatiq", 4),
        ("results kept: quorum / taskiq", kept, QUORUM, "taskiq", 4),
        ("results ignored: quorum / floor, pika", ignored, QUORUM, pika, 0.6),
        ("results ignored: classic / floor, pika", ignored, CLASSIC, pika + ", classic", 0.6),
        ("send, 500 in a call: quorum / floor, aiormq", bulk, QUORUM, aiormq, 0.8),
        ("send, 500 in a call: classic / floor, aiormq", bulk, CLASSIC, aiormq + ", classic", 0.8),
        ("send, 500 in a call: quorum / floor, pika", bulk, QUORUM, pika, 0.8),
        ("send one by one with confirm: classic / celery without", one, CLASSIC, "celery", 2),
        ("send, 100 calls at once, with confirm: classic / celery without", one, CLASSIC + AT_ONCE, "celery", 2),
        ("send one by one, buffered: classic / celery", one, CLASSIC + BUFFERED, "celery", 2),
    ]
    return [Bar(name, ratio(found, "per_s", above, below), limit, True) for name, found, above, below, limit in rows]
