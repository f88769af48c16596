"""`python -m benchmarks.rabbitmq`: run the benchmark on RabbitMQ, print it, keep its samples, its page and its plot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.rabbitmq import server
from benchmarks.rabbitmq.bars import bars
from benchmarks.rabbitmq.contenders import CONTENDERS
from benchmarks.rabbitmq.report import chart, page
from benchmarks.rabbitmq.rounds import FULL, MEASURES, QUICK, Where, ask, verbs
from benchmarks.redis import server as redis
from benchmarks.redis.command import Benchmark, main


@contextmanager
def _servers() -> Iterator[tuple[Where, dict[str, object]]]:
    with redis.server() as port, server.server() as place:
        yield (place, port), {"server": place.version, "redis": redis.version(port)}


if __name__ == "__main__":
    sys.exit(
        main(
            Benchmark(
                "rabbitmq",
                __doc__,
                "two minutes",
                CONTENDERS,
                FULL,
                QUICK,
                verbs,
                MEASURES,
                _servers,
                ask,
                bars,
                page,
                chart,
            )
        )
    )
