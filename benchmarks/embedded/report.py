"""What a run says: tables for people, one JSON file that keeps every sample, and the bars that faena has to reach."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.embedded.contenders import ROOT, Contender
from benchmarks.embedded.rounds import Plan, Samples, middle, ratio

SUBJECT, FLOOR = "faena", "floor"


@dataclass(frozen=True)
class Run:
    """All that one run measured."""

    plan: Plan
    contenders: tuple[Contender, ...]
    samples: Samples
    starts: dict[str, list[float]]
    took_s: float

    @property
    def names(self) -> list[str]:
        return [contender.name for contender in self.contenders]


@dataclass(frozen=True)
class Bar:
    """A figure that a release has to reach."""

    name: str
    value: float
    limit: float
    at_least: bool
    unit: str

    @property
    def is_met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value < self.limit


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def trips(run: Run, name: str, share: float) -> float:
    """Return the median over the rounds of a percentile of the round trips, in milliseconds."""
    return median(percentile(sample["trips_ms"], share) for sample in run.samples["live"][name])  # type: ignore[arg-type]


def start_ms(run: Run, command: str) -> float:
    return median(run.starts[command])


def bars(run: Run) -> list[Bar]:
    """Return every bar with what was measured; none where faena was not measured."""
    if SUBJECT not in run.names:
        return []
    found = []
    both = "throughput, 2 processes"
    if FLOOR in run.names:
        found += [
            Bar("throughput / floor, 2 processes", ratio(run.samples[both], "per_s", SUBJECT, FLOOR), 0.5, True, ""),
            Bar(
                "enqueue one by one / floor",
                ratio(run.samples["enqueue one by one"], "per_s", SUBJECT, FLOOR),
                0.6,
                True,
                "",
            ),
        ]
    if "huey" in run.names:  # as it is installed; the tuned one, which keeps less, stands in the table
        times = ratio(run.samples[both], "per_s", SUBJECT, "huey")
        found.append(Bar("throughput / huey, 2 processes", times, 10, True, ""))
    bare = start_ms(run, "python -c pass")
    found += [
        Bar("idle round trip, p50", trips(run, SUBJECT, 0.5), 2, False, "ms"),
        Bar(
            "idle CPU of a waiting worker",
            middle(run.samples["live"][SUBJECT], "idle_cpu_percent"),
            1,
            False,
            "% of a core",
        ),
        Bar("import faena, over a bare interpreter", start_ms(run, "import faena") - bare, 30, False, "ms"),
        Bar("faena --help", start_ms(run, "faena --help"), 120, False, "ms"),
    ]
    return found


def show(run: Run, console: Console) -> None:
    """Print the whole run."""
    console.print(_rates(run))
    console.print(_life(run))
    console.print(_starts(run))
    for contender in run.contenders:
        console.print(f"[bold]{contender.name}[/]: {contender.guarantees}")
    console.print()
    for bar in bars(run):
        mark = "[green]reached[/]" if bar.is_met else "[red]missed [/]"
        sign = "at least" if bar.at_least else "below"
        console.print(f"{mark} {bar.name}: {bar.value:.2f} {bar.unit} ({sign} {bar.limit:g})")
    console.print(f"\nMedians of {run.plan.rounds} interleaved round(s); ratios are medians of the ratios inside a round.")


def _rates(run: Run) -> Table:
    table = Table(title="Tasks per second (CPU of the worker, or of the client, in µs per task)", title_justify="left")
    table.add_column("")
    for name in run.names:
        table.add_column(name, justify="right")
    others = [name for name in run.names if name != SUBJECT] if SUBJECT in run.names else []
    for name in others:
        table.add_column(f"{SUBJECT} / {name}", justify="right")
    for measure, rows in run.samples.items():
        if measure == "live":
            continue
        cells = [
            f"{middle(rows[name], 'per_s'):,.0f} ({middle(rows[name], 'cpu_us'):,.1f})" if name in rows else "-"
            for name in run.names
        ]
        ratios = [f"{ratio(rows, 'per_s', SUBJECT, name):.2f}" if name in rows else "-" for name in others]
        table.add_row(measure, *cells, *ratios)
    return table


def _life(run: Run) -> Table:
    table = Table(title="One worker with one process", title_justify="left")
    table.add_column("")
    for name in run.names:
        table.add_column(name, justify="right")
    live = run.samples["live"]

    def row(label: str, key: str, digits: int) -> None:
        table.add_row(label, *(f"{middle(live[name], key):,.{digits}f}" for name in run.names))

    table.add_row("idle round trip p50, ms", *(f"{trips(run, name, 0.5):.2f}" for name in run.names))
    table.add_row("idle round trip p99, ms", *(f"{trips(run, name, 0.99):.2f}" for name in run.names))
    row("idle CPU, % of a core", "idle_cpu_percent", 2)
    row("start to first result, s", "cold_start_s", 2)
    row("memory idle (PSS), MiB", "pss_idle_mib", 1)
    row("memory after the tasks (PSS), MiB", "pss_after_mib", 1)
    table.add_row("tasks before that reading", *(f"{max(300, int(c.live * run.plan.scale)):,}" for c in run.contenders))
    row("processes", "processes", 0)
    return table


def _starts(run: Run) -> Table:
    table = Table(title="Start-up, ms", title_justify="left")
    for column in ("", "median", "least", "over bare", "ratio"):
        table.add_column(column, justify="left" if not column else "right")
    bare = start_ms(run, "python -c pass")
    for name, times in run.starts.items():
        middle_ms = median(times)
        table.add_row(name, f"{middle_ms:.1f}", f"{min(times):.1f}", f"{middle_ms - bare:.1f}", f"{middle_ms / bare:.2f}")
    return table


def save(run: Run, folder: Path) -> Path:
    """Write everything that was measured, and on what, to a new file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    content = {
        "benchmark": "embedded",
        "at": now.isoformat(timespec="seconds"),
        "took_s": round(run.took_s, 1),
        "machine": machine(),
        "plan": asdict(run.plan),
        "guarantees": {contender.name: contender.guarantees for contender in run.contenders},
        "samples": run.samples,
        "starts_ms": run.starts,
        "bars": [{**asdict(bar), "is_met": bar.is_met} for bar in bars(run)],
    }
    path = folder / f"embedded-{now:%Y-%m-%dT%H%M%S}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def machine() -> dict[str, object]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.partition(":")[2].strip() for line in facts if line.startswith("model name")), "")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "commit": commit.stdout.strip(),
        "load_average": os.getloadavg(),
    }
