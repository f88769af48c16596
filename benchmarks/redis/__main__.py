"""`python -m benchmarks.redis`: run the benchmark on Redis, print it, keep its samples, its page and its plot."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.redis import server
from benchmarks.redis.bars import bars
from benchmarks.redis.contenders import CONTENDERS
from benchmarks.redis.environments import NotInstalled, python_of, versions
from benchmarks.redis.report import Run, chart, load, page, save
from benchmarks.redis.rounds import FULL, QUICK, ROOT, Seat, measure


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redis", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, less exact")
    parser.add_argument("--rounds", type=int, default=1, help="how many rounds, of about ten minutes each")
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
    run = load(options.report) if options.report else _run(options)
    text = page(run)
    print(text)
    if options.page:
        options.page.write_text(text)
        options.page.with_suffix(".svg").write_text(chart(run))
    return 1 if options.check and not all(bar.is_met for bar in bars(run.samples)) else 0


def _run(options: argparse.Namespace) -> Run:
    plan = replace(QUICK if options.quick else FULL, rounds=options.rounds)
    wanted = options.only.split(";") if options.only else [contender.name for contender in CONTENDERS]
    seats, failures, known = [], [], {}
    for contender in CONTENDERS:
        if contender.name not in wanted:
            continue
        try:
            seat = Seat(contender, python_of(contender, options.environments, _say))
        except NotInstalled as reason:
            failures.append(f"{contender.name}: {reason}")
            _say(failures[-1])
            continue
        seats.append(seat)
        known[contender.name] = versions(seat.python, contender)
    began, samples = time.perf_counter(), {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with server.server() as port:
        facts = {"server": server.version(port), "rounds": options.rounds, "quick": options.quick}
        try:
            measure(plan, seats, port, _say, samples, failures, only=options.measure, first=options.first)
        except (KeyboardInterrupt, SystemExit):
            failures.append("the rest: it was stopped")
    facts["took_s"] = round(time.perf_counter() - began, 1)
    run = Run(samples, known, tuple(failures), facts)
    _say(f"{facts['took_s']:.0f} s; every sample is in {save(run, options.results)}")
    return run


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
