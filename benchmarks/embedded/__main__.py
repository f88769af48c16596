"""`python -m benchmarks.embedded`: run the benchmark of the embedded store, print it, keep its samples."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks.embedded.contenders import FAENA, FLOOR, huey_contenders, peers_python
from benchmarks.embedded.report import Run, bars, save, show
from benchmarks.embedded.rounds import FULL, QUICK, measure, measure_starts, start_commands

RESULTS = Path(__file__).parents[1] / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedded", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: under a minute, and less exact")
    parser.add_argument("--only", metavar="NAMES", help="comma list out of floor, faena, huey")
    parser.add_argument("--check", action="store_true", help="exit with 1 when faena misses a bar")
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=RESULTS, help="where the samples are kept")
    options = parser.parse_args()

    wanted = set((options.only or "floor,faena,huey").split(","))
    contenders = [contender for contender in (FLOOR, FAENA) if contender.name in wanted]
    if "huey" in wanted:
        contenders += huey_contenders(peers_python())
    if not contenders:
        parser.error("--only takes names out of floor, faena, huey")

    plan = QUICK if options.quick else FULL
    began = time.perf_counter()
    samples = measure(plan, contenders, lambda text: print(text, file=sys.stderr, flush=True))
    starts = measure_starts(plan, start_commands(faena=FAENA in contenders))
    run = Run(plan, tuple(contenders), samples, starts, time.perf_counter() - began)

    console = Console(width=None if sys.stdout.isatty() else 140)
    show(run, console)
    console.print(f"{run.took_s:.0f} s in all; every sample is in {save(run, options.results)}", soft_wrap=True)
    return 1 if options.check and not all(bar.is_met for bar in bars(run)) else 0


if __name__ == "__main__":
    sys.exit(main())
