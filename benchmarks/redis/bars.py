"""The figures that faena has to reach on Redis, and what was measured of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.redis.rounds import CHATTY_JSON, OBSERVED, QUIET, Samples, middle, ratio

SUBJECT, RAW, PIPELINED = "faena", "floor, raw", "floor, pipelined"
_TIMES = {
    "celery": 40,
    "dramatiq": 15,
    "taskiq, list": 15,
    "taskiq, stream": 15,
    "saq": 15,
    "huey": 15,
    "ardiq": 3,
    "repid": 3,
}


@dataclass(frozen=True)
class Bar:
    """One figure; `value` None: it could not be measured."""

    name: str
    value: float | None
    limit: float
    at_least: bool
    unit: str = ""

    @property
    def is_met(self) -> bool:
        if self.value is None:
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def bars(samples: Samples) -> list[Bar]:
    """Return every bar with what was measured."""
    return [*_rates(samples), *_trips(samples), *_sleeps(samples), *_costs(samples)]


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def trip_ms(samples: Samples, name: str, share: float) -> float | None:
    """Return the median over the rounds of a percentile of the round trips."""
    lives = samples.get("live", {}).get(name, {})
    if not lives:
        return None
    return median(percentile(sample["trips_ms"], share) for sample in lives.values())  # type: ignore[arg-type]


def _rates(samples: Samples) -> Iterator[Bar]:
    both = samples.get("throughput, 2 processes", {})
    for name, times in _TIMES.items():
        yield Bar(f"throughput / {name}", ratio(both, "per_s", SUBJECT, name), times, True)
    yield Bar(f"throughput / {RAW}", ratio(both, "per_s", SUBJECT, RAW), 0.5, True)
    yield Bar(f"throughput / {PIPELINED}", ratio(both, "per_s", SUBJECT, PIPELINED), 0.85, True)
    yield Bar("throughput with its log / without", ratio(both, "per_s", SUBJECT, QUIET), 0.7, True)
    yield Bar("throughput with a JSON line each / without", ratio(both, "per_s", CHATTY_JSON, QUIET), 0.7, True)
    observed = ratio(both, "per_s", OBSERVED, QUIET)
    yield Bar("throughput with log, metrics and events / without", observed, 0.7, True)
    single = samples.get("enqueue one by one", {})
    yield Bar("enqueue one by one / celery", ratio(single, "per_s", SUBJECT, "celery"), 5, True)
    yield Bar(f"enqueue one by one / {PIPELINED}", ratio(single, "per_s", SUBJECT, PIPELINED), 1, True)
    bulk = samples.get("enqueue, 100 in a call", {})
    rate = middle(bulk[SUBJECT], "per_s") if SUBJECT in bulk else None
    if rate is not None and rate >= 100_000:
        yield Bar("enqueue, 100 in a call", rate, 100_000, True, "per s")
    else:  # either of the two is enough
        yield Bar(f"enqueue, 100 in a call / {PIPELINED}", ratio(bulk, "per_s", SUBJECT, PIPELINED), 0.6, True)


def _trips(samples: Samples) -> Iterator[Bar]:
    for label, share in (("p50", 0.5), ("p99", 0.99)):
        ours, floor = trip_ms(samples, SUBJECT, share), trip_ms(samples, RAW, share)
        value = None if ours is None or floor is None else ours / floor
        yield Bar(f"round trip {label} / {RAW}", value, 1.3, False)
        others = [
            trip_ms(samples, name, share) for name in samples.get("live", {}) if name not in {SUBJECT, RAW, PIPELINED}
        ]
        best = min((each for each in others if each is not None), default=None)
        yield Bar(f"round trip {label} / best peer", None if ours is None or best is None else ours / best, 1, False)


def _sleeps(samples: Samples) -> Iterator[Bar]:
    for kind in ("coroutines", "threads"):
        rows = samples.get(f"sleeps, {kind}", {})
        value = middle(rows[SUBJECT], "ratio") if SUBJECT in rows else None
        yield Bar(f"2,000 sleeps, {kind} / ideal", value, 1.5, False)


def _costs(samples: Samples) -> Iterator[Bar]:
    live = samples.get("live", {})
    yield Bar("memory idle / celery", ratio(live, "pss_idle_mib", SUBJECT, "celery"), 0.6, False)
    yield Bar("memory idle / dramatiq", ratio(live, "pss_idle_mib", SUBJECT, "dramatiq"), 1, False)
    cold_s = middle(live[SUBJECT], "cold_start_s") if SUBJECT in live else None
    yield Bar("cold start", cold_s, 0.35, False, "s")
    queues = samples.get("waiting on ten queues", {})
    commands = middle(queues[SUBJECT], "commands_per_s") if SUBJECT in queues else None
    yield Bar("commands while waiting on ten queues", commands, 5, False, "per s")
