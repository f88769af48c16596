"""`python -m benchmarks.redis`: run the benchmark on Redis, print it, keep its samples, its page and its plot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.redis import server
from benchmarks.redis.bars import bars
from benchmarks.redis.command import Benchmark, main
from benchmarks.redis.contenders import CONTENDERS
from benchmarks.redis.report import chart, page
from benchmarks.redis.rounds import FULL, MEASURES, QUICK, ask, verbs


@contextmanager
def _servers() -> Iterator[tuple[int, dict[str, object]]]:
    with server.server() as port:
        yield port, {"server": server.version(port)}


if __name__ == "__main__":
    sys.exit(
        main(
            Benchmark(
                "redis", __doc__, "ten minutes", CONTENDERS, FULL, QUICK, verbs, MEASURES, _servers, ask, bars, page, chart
            )
        )
    )
