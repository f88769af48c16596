"""The command line of a benchmark whose contenders take turns on servers: measure, print, keep samples, page and plot."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from benchmarks.redis.bars import Bar
from benchmarks.redis.contenders import Contender
from benchmarks.redis.environments import NotInstalled, python_of, versions
from benchmarks.redis.report import Run, keep, load
from benchmarks.redis.rounds import ROOT, Plan, Sample, Samples, Seat, Verbs, measure

Where = TypeVar("Where")


@dataclass(frozen=True)
class Benchmark(Generic[Where]):
    """What is told apart. `servers` starts what it runs on, and yields where that is and facts for the report."""

    name: str
    text: str  # for --help
    round_takes: str
    contenders: Sequence[Contender]
    full: Plan
    quick: Plan
    verbs: Verbs
    measures: Sequence[str]  # in their order
    servers: Callable[[], AbstractContextManager[tuple[Where, dict[str, object]]]]
    ask: Callable[[Seat, str, Mapping[str, object], Where], Sample]
    bars: Callable[[Samples], Sequence[Bar]]
    page: Callable[[Run], str]
    chart: Callable[[Run], str]


def main(benchmark: Benchmark[Where]) -> int:
    options = _options(benchmark)
    run = load(options.report) if options.report else _run(benchmark, options)
    text = benchmark.page(run)
    print(text)
    if options.page:
        options.page.write_text(text)
        options.page.with_suffix(".svg").write_text(benchmark.chart(run))
    return 1 if options.check and not all(bar.is_met for bar in benchmark.bars(run.samples)) else 0


def _options(benchmark: Benchmark[Where]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{benchmark.name}", description=benchmark.text)
    parser.add_argument("--quick", action="store_true", help="one short round, less exact")
    parser.add_argument("--rounds", type=int, default=1, help=f"how many rounds, of about {benchmark.round_takes} each")
    parser.add_argument("--first", type=int, default=0, help="the number of the first round: who begins depends on it")
    parser.add_argument("--only", metavar="NAMES", help="contenders that are measured, separated by semicolons")
    parser.add_argument("--measure", metavar="TEXT", help="only the measures whose name has this text")
    parser.add_argument(
        "--report", metavar="FILE", type=Path, nargs="+", help="measure nothing: put these results together"
    )
    parser.add_argument(
        "--page", metavar="FILE", type=Path, help="where the tables go, as Markdown; the plot goes beside it"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when faena misses a bar")
    parser.add_argument("--environments", metavar="FOLDER", type=Path, default=ROOT / ".bench", help="of the peers")
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    names = [contender.name for contender in benchmark.contenders]
    options.wanted = options.only.split(";") if options.only else names
    if unknown := [name for name in options.wanted if name not in names]:
        parser.error(f"--only: no contender {unknown[0]!r}; there are {'; '.join(names)}")
    return options


def _run(benchmark: Benchmark[Where], options: argparse.Namespace) -> Run:
    plan = replace(benchmark.quick if options.quick else benchmark.full, rounds=options.rounds)
    seats: list[Seat] = []
    failures: list[str] = []
    known: dict[str, dict[str, str]] = {}
    for contender in benchmark.contenders:
        if contender.name not in options.wanted:
            continue
        try:
            seat = Seat(contender, python_of(contender, options.environments, _say))
        except NotInstalled as reason:
            failures.append(f"{contender.name}: {reason}")
            _say(failures[-1])
            continue
        seats.append(seat)
        known[contender.name] = versions(seat.python, contender)
    began = time.perf_counter()
    samples: Samples = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with benchmark.servers() as (where, servers):
        facts: dict[str, object] = {**servers, "rounds": options.rounds, "quick": options.quick}
        try:
            measure(
                plan, seats, benchmark.verbs, benchmark.measures,
                lambda seat, verb, arguments: benchmark.ask(seat, verb, arguments, where),
                _say, samples, failures, only=options.measure, first=options.first,
            )  # fmt: skip
        except (KeyboardInterrupt, SystemExit):
            failures.append("the rest: it was stopped")
    facts["took_s"] = round(time.perf_counter() - began, 1)
    run = Run(samples, known, tuple(failures), facts)
    path = keep(benchmark.name, run, benchmark.bars(samples), benchmark.contenders, options.results)
    _say(f"{facts['took_s']:.0f} s; every sample is in {path}")
    return run


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
