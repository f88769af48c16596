"""What a run says: a table for people, one JSON file that keeps every sample, and a page with its plot."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.embedded.report import machine
from benchmarks.redis.bars import SUBJECT, Bar, bars, trip_ms
from benchmarks.redis.contenders import CONTENDERS, Contender
from benchmarks.redis.plot import bar_chart
from benchmarks.redis.rounds import BUFFERED, CHATTY, CHATTY_JSON, OBSERVED, QUIET, Samples, middle, ratio

THROUGHPUT = "throughput, 2 processes"


@dataclass(frozen=True)
class Run:
    """All that one run measured, or several put together."""

    samples: Samples
    versions: dict[str, dict[str, str]]
    failures: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def names(self) -> list[str]:
        order = [contender.name for contender in CONTENDERS]
        order[1:1] = [BUFFERED, QUIET, CHATTY, CHATTY_JSON, OBSERVED]
        found = {name for rows in self.samples.values() for name in rows}
        return [name for name in order if name in found]

    @property
    def rounds(self) -> int:
        return len({number for rows in self.samples.values() for each in rows.values() for number in each})


def keep(benchmark: str, run: Run, found: Sequence[Bar], contenders: Sequence[Contender], folder: Path) -> Path:
    """Write everything that was measured, and on what, to a new file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    content = {
        "benchmark": benchmark,
        "at": now.isoformat(timespec="seconds"),
        **run.facts,
        "machine": machine(),
        "versions": run.versions,
        "contenders": {each.name: {"guarantees": each.guarantees, "settings": each.settings} for each in contenders},
        "failures": run.failures,
        "samples": run.samples,
        "bars": [{**asdict(bar), "is_met": bar.is_met} for bar in found],
    }
    path = folder / f"{benchmark}-{now:%Y-%m-%dT%H%M%S}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def load(paths: Sequence[Path]) -> Run:
    """Put the rounds of several runs together, each as a round of its own."""
    samples: Samples = defaultdict(lambda: defaultdict(dict))
    versions: dict[str, dict[str, str]] = {}
    failures: list[str] = []
    facts: dict[str, Any] = {}
    base = 0
    for path in paths:
        content = json.loads(path.read_text())
        versions |= content["versions"]
        failures += content["failures"]
        facts = {"server": content["server"], "machine": content["machine"]}
        highest = -1
        for measure, rows in content["samples"].items():
            for name, rounds in rows.items():
                for number, sample in rounds.items():
                    samples[measure][name][base + int(number)] = sample
                    highest = max(highest, int(number))
        base += highest + 1
    # one that was not there for one run, and is for another, is measured
    measured = {name for rows in samples.values() for name in rows}
    left = tuple(failure for failure in failures if failure.partition(":")[0] not in measured)
    return Run({name: dict(rows) for name, rows in samples.items()}, versions, left, facts)


def page(run: Run) -> str:
    """Return the figures, the bars and what each contender is, as Markdown."""
    where = {**machine(), **run.facts.get("machine", {})}
    rounds = [len(samples) for rows in run.samples.values() for samples in rows.values()]
    return f"""\
# Figures on Redis

Written by `python -m benchmarks.redis` ([how](../../benchmarks/README.md#on-redis), [why](why-it-is-fast.md)).
{where["cores"]} cores of {where["processor"]}, Python {where["python"]}, Redis {run.facts["server"]}; clients, server and
workers share them. Medians of {min(rounds)} to {max(rounds)} rounds; ratios are medians of those within a round, and only
they may be compared with another machine's.

## Rates, two worker processes

{_rates(run)}

## A worker of two processes that waits

{_life(run)}

## Bars

{verdicts(bars(run.samples))}

## Contenders

{about(run, CONTENDERS)}
"""


def chart(run: Run) -> str:
    rows = run.samples.get(THROUGHPUT, {})
    figures = {
        name: middle(samples, "per_s")
        for name, samples in rows.items()
        if name not in {QUIET, CHATTY, CHATTY_JSON, OBSERVED}
    }
    return bar_chart("No-op tasks, results kept, two worker processes", "tasks per second", figures, SUBJECT)


def _rates(run: Run) -> str:
    def cell(measure: str, name: str, key: str = "per_s", form: str = "{:,.0f}") -> str:
        samples = run.samples.get(measure, {}).get(name)
        return form.format(middle(samples, key)) if samples else ""

    rows = [
        (
            name,
            cell("enqueue one by one", name),
            cell("enqueue, 100 in a call", name),
            cell(THROUGHPUT, name),
            _times(run, name),
            cell(THROUGHPUT, name, "cpu_us", "{:,.1f}"),
            cell(THROUGHPUT, name, "server_us", "{:,.1f}"),
            cell("sleeps, coroutines", name, "ratio", "{:.2f}"),
            cell("sleeps, threads", name, "ratio", "{:.2f}"),
        )
        for name in run.names
    ]
    head = ("", "enqueue one by one, per s", "enqueue, 100 in a call, per s", "throughput, per s",
            "faena is … times as fast", "worker CPU, µs a task", "server CPU, µs a task",
            "coroutines that sleep, of the ideal", "threads that sleep, of the ideal")  # fmt: skip
    return table(head, rows)


def _times(run: Run, name: str) -> str:
    value = ratio(run.samples.get(THROUGHPUT, {}), "per_s", SUBJECT, name)
    return "" if value is None or name == SUBJECT else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _life(run: Run) -> str:
    rows = []
    for name in run.names:
        lives = run.samples.get("live", {}).get(name)
        if not lives:
            continue
        trips = [f"{trip_ms(run.samples, name, share):.2f}" for share in (0.5, 0.99)]
        keys = (
            ("cold_start_s", 2),
            ("pss_idle_mib", 1),
            ("pss_after_mib", 1),
            ("idle_cpu_percent", 2),
            ("commands_per_s", 1),
            ("inside_scripts_per_s", 1),
        )
        rows.append((name, *trips, *(f"{middle(lives, key):,.{digits}f}" for key, digits in keys)))
    head = ("", "round trip p50, ms", "p99, ms", "cold start, s", "memory idle (PSS), MiB", "memory after, MiB",
            "idle CPU, %", "commands while idle, per s", "inside scripts, per s")  # fmt: skip
    return table(head, rows)


def verdicts(found: Sequence[Bar]) -> str:
    rows = []
    for bar in found:
        value = "not measured" if bar.value is None else f"{bar.value:,.2f} {bar.unit}".strip()
        wanted = f"{'at least' if bar.at_least else 'at most'} {bar.limit:g} {bar.unit}".strip()
        rows.append((bar.name, value, wanted, "met" if bar.is_met else "**missed**" if bar.value is not None else "-"))
    return table(("bar", "measured", "wanted", ""), rows)


def about(run: Run, contenders: Sequence[Contender]) -> str:
    lines = []
    for contender in contenders:
        known = ", ".join(f"{name} {version}" for name, version in run.versions.get(contender.name, {}).items())
        lines.append(f"- **{contender.name}** ({known or 'not installed'}). {contender.guarantees} {contender.settings}")
    lines += [f"- Not measured: {failure}" for failure in dict.fromkeys(run.failures)]
    return "\n".join(lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    marks = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))
