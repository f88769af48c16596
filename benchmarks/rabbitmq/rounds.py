"""The plan of a run on RabbitMQ, and its execution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.rabbitmq import server
from benchmarks.rabbitmq.contenders import CLASSIC, FAENA, QUEUES
from benchmarks.redis import server as redis
from benchmarks.redis.contenders import Contender
from benchmarks.redis.rounds import PROCESSES, Failed, Plan, Sample, Samples, Seat, run_side, short

ONE, BULK, KEPT, IGNORED = (
    "send one by one", "send, 500 in a call", "throughput, results kept", "throughput, results ignored",
)  # fmt: skip
AT_ONCE, BUFFERED = ", 100 calls at once", ", buffered"  # joined to the names of ours
_CHUNK = 500

FULL = Plan(rounds=1, seconds=1.0, round_trips=0, idle_s=0, sleeps=0)
QUICK = Plan(rounds=1, seconds=0.4, round_trips=0, idle_s=0, sleeps=0)


def verbs(plan: Plan, contender: Contender) -> Iterator[tuple[str, str, str, dict[str, object]]]:
    """Yield (measure, name, verb, arguments) of one round."""
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


def ask(seat: Seat, verb: str, arguments: Mapping[str, object], place: server.Server, redis_port: int) -> Sample:
    """Run one verb of a side on empty servers."""
    server.empty(place.url, QUEUES)
    redis.command(redis_port, "FLUSHALL")
    words = {"BENCH_REDIS_PORT": str(redis_port), "BENCH_BROKER_URL": place.url, "BENCH_BROKER_PID": str(place.pid)}
    return run_side(seat, "benchmarks.rabbitmq.side", verb, arguments, words)


def measure(
    plan: Plan,
    seats: Sequence[Seat],
    where: tuple[server.Server, int],
    say: Callable[[str], None],
    samples: Samples,
    failures: list[str],
    *,
    only: str | None = None,
    first: int = 0,
) -> None:
    """Run all rounds into `samples`; each begins with another contender. What fails is said, and joins `failures`."""
    for number in range(first, first + plan.rounds):
        say(f"round {number + 1}")
        by = number * 3 % len(seats)
        order = [*seats[by:], *seats[:by]]
        steps = [(seat, *step) for seat in order for step in verbs(plan, seat.contender)]
        for seat, what, name, verb, arguments in sorted(steps, key=lambda step: (ONE, BULK, KEPT, IGNORED).index(step[1])):
            if only is not None and only not in what:
                continue
            try:
                sample = ask(seat, verb, arguments, *where)
                samples.setdefault(what, {}).setdefault(name, {})[number] = sample
                say(f"  {what}, {name}: {short(sample)}")
            except Failed as failure:
                failures.append(str(failure))
                say(f"  {failure}")
