"""What a run of the benchmark says: tables for people, bars, and one JSON file that keeps every sample."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.runner.peers import ROOT

Samples = dict[str, list[float]]  # milliseconds, by the name of the contender


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that a release has to reach."""

    name: str
    value: float
    limit: float
    at_least: bool = False
    unit: str = ""

    @property
    def is_met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = "at least" if self.at_least else "at most"
        mark = "reached" if self.is_met else "MISSED "
        return f"{mark} {self.name}: {self.value:.2f}{self.unit} ({sign} {self.limit:g}{self.unit})"


def ratio(samples: Samples, one: str, other: str) -> float:
    """The median of the ratios within a round: what disturbs a round disturbs both."""
    return median(first / second for first, second in zip(samples[one], samples[other], strict=True))


def bars(measured: dict[str, Samples]) -> list[Bar]:
    """Every bar that can be told from what was measured."""
    found = []
    for count, limit in ((1, 2.0), (100, 2.2), (1_000, 4.0)):
        samples = measured.get(f"start-up, {count:,} tasks", {})
        if samples:
            found.append(
                Bar(f"start-up of {count:,} tasks / python -c pass", ratio(samples, "fa", "python -c pass"), limit)
            )
        found += [
            Bar(f"start-up of {count:,} tasks / {peer}", ratio(samples, "fa", peer), 1.0)
            for peer in ("invoke", "doit", "nox", "poe")
            if peer in samples
        ]
    targets = measured.get("10,000 targets, all up to date", {})
    if targets:
        found.append(Bar("10,000 targets / floor", ratio(targets, "fa", "floor"), 3.0))
    if "doit" in targets:
        found.append(Bar("doit / 10,000 targets", ratio(targets, "doit", "fa"), 10.0, at_least=True))
    if "make" in targets:
        found.append(Bar("10,000 targets / make", ratio(targets, "fa", "make"), 2.0))
    found += [
        Bar(f"10,000 targets / {peer}", ratio(targets, "fa", peer), 1.0)
        for peer in ("rake", "scons", "go-task")
        if peer in targets
    ]
    commands = measured.get("1,000 commands `true`", {})
    if "make -j2" in commands:
        found.append(Bar("1,000 commands with -j2 / make -j2", ratio(commands, "fa -j2", "make -j2"), 1.3))
    graph = measured.get("random graph of 10,000 empty tasks", {})
    found += [
        Bar(f"random graph of 10,000, {name}", median(graph[name]), 1_000, unit=" ms") for name in ("fa", "fa -j2") if graph
    ]
    diamonds = measured.get("layered diamonds", {})
    if diamonds:
        found.append(Bar("61 layers of diamonds / 25 layers", ratio(diamonds, "61 layers", "25 layers"), 61 / 25))
    return found


def show(title: str, samples: Samples, base: str) -> None:
    """Print the medians of one measure, and how many times each is what `base` takes."""
    print(f"\n{title}")
    for name in sorted(samples, key=lambda each: median(samples[each])):
        print(f"  {name:<14}{median(samples[name]):>10.1f} ms{ratio(samples, name, base):>9.2f} x {base}")


def save(measured: dict[str, Samples], versions: dict[str, str], missing: list[str], folder: Path) -> Path:
    """Keep every sample with the machine, the commit and the tools' versions."""
    at = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"runner-{at:%Y-%m-%dT%H%M%S}.json"
    content = {
        "benchmark": "runner",
        "at": at.isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "commit": _commit(),
            "load_average": os.getloadavg(),
        },
        "versions": versions,
        "missing": missing,
        "unit": "ms",
        "samples": {
            title: {name: [round(value, 3) for value in values] for name, values in samples.items()}
            for title, samples in measured.items()
        },
        "bars": [asdict(bar) | {"is_met": bar.is_met} for bar in bars(measured)],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
