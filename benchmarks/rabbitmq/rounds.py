"""The plan of a run on RabbitMQ, and its execution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.rabbitmq import server
from benchmarks.rabbitmq.contenders import CLASSIC, FAENA, QUEUES
from benchmarks.redis import server as redis
from benchmarks.redis.contenders import Contender
from benchmarks.redis.rounds import PROCESSES, Plan, Sample, Seat, Step, run_side

ONE, BULK, KEPT, IGNORED = (
    "send one by one", "send, 500 in a call", "throughput, results kept", "throughput, results ignored",
)  # fmt: skip
MEASURES = (ONE, BULK, KEPT, IGNORED)  # in this order
AT_ONCE, BUFFERED = ", 100 calls at once", ", buffered"  # joined to the names of ours
_CHUNK = 500

Where = tuple[server.Server, int]  # and the port of Redis

FULL = Plan(rounds=1, seconds=1.0, round_trips=0, idle_s=0, sleeps=0)
QUICK = Plan(rounds=1, seconds=0.4, round_trips=0, idle_s=0, sleeps=0)


def verbs(plan: Plan, contender: Contender) -> Iterator[Step]:
    name = contender.name

    def some(rate: int) -> int:
        return max(400, int(rate * plan.seconds))

    yield ONE, name, "enqueue", {"count": some(contender.sends), "chunk": 1}
    if contender.bulk:
        yield BULK, name, "enqueue", {"count": some(contender.bulk), "chunk": _CHUNK}
        yield IGNORED, name, "drain_marks", {"count": some(2 * contender.rate), "processes": PROCESSES}
    if contender in (FAENA, CLASSIC):
        yield ONE, name + AT_ONCE, "enqueue_at_once", {"count": some(contender.bulk)}
        yield ONE, name + BUFFERED, "enqueue", {"count": some(contender.bulk), "chunk": 0}
    if contender.is_peer or contender in (FAENA, CLASSIC):
        yield KEPT, name, "drain", {"count": some(contender.rate), "processes": PROCESSES}


def ask(seat: Seat, verb: str, arguments: Mapping[str, object], where: Where) -> Sample:
    """Run one verb of a side on empty servers."""
    place, redis_port = where
    server.empty(place.url, QUEUES)
    redis.command(redis_port, "FLUSHALL")
    words = {"BENCH_REDIS_PORT": str(redis_port), "BENCH_BROKER_URL": place.url, "BENCH_BROKER_PID": str(place.pid)}
    return run_side(seat, "benchmarks.rabbitmq.side", verb, arguments, words)
