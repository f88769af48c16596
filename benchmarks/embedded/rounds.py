"""The plan of a run, and its execution: rounds in which the contenders take turns."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.embedded.contenders import ROOT, Contender, environment_of

Samples = dict[str, dict[str, list[dict[str, object]]]]  # measure -> contender -> one answer per round


class Failed(Exception):
    """A side could not do what it was asked."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    live_rounds: int
    scale: float  # of the contenders' counts
    round_trips: int
    idle_s: float
    starts: int  # of each command, for the start-up times


FULL = Plan(rounds=4, live_rounds=2, scale=1.0, round_trips=150, idle_s=4.0, starts=15)
QUICK = Plan(rounds=1, live_rounds=1, scale=0.4, round_trips=60, idle_s=1.5, starts=5)


def verbs(plan: Plan, contender: Contender) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield (measure, verb, arguments) of one round."""

    def some(count: int) -> int:
        return max(300, int(count * plan.scale))

    yield "enqueue one by one", "enqueue", {"count": some(contender.enqueue), "chunk": 1}
    if contender.bulk is not None:
        yield "enqueue, 100 in a call", "enqueue", {"count": some(contender.bulk), "chunk": 100}
    count = some(contender.drain)
    yield "throughput, 1 process", "drain", {"count": count, "processes": 1}
    yield "throughput, 2 processes", "drain", {"count": count, "processes": 2}


def live_verb(plan: Plan, contender: Contender) -> dict[str, object]:
    tasks = max(300, int(contender.live * plan.scale))
    return {"round_trips": plan.round_trips, "idle_s": plan.idle_s, "tasks": tasks}


def ask(contender: Contender, verb: str, arguments: dict[str, object]) -> dict[str, object]:
    """Run one verb of a side in a process and a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="faena-bench-") as folder:
        answer = subprocess.run(
            [contender.python, "-m", contender.module, verb, json.dumps(arguments)],
            cwd=folder,
            env=environment_of(contender),
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    if answer.returncode:
        raise Failed(f"{contender.name} failed at {verb} {arguments}")
    return json.loads(answer.stdout)


def ask_patiently(contender: Contender, verb: str, arguments: dict[str, object]) -> dict[str, object]:
    """Ask; a peer that fails ("database is locked" is a thing with huey) is asked again, twice. We are not."""
    for _ in range(2 if contender.is_peer else 0):
        try:
            return ask(contender, verb, arguments)
        except Failed as failure:
            print(f"{failure}; once more", file=sys.stderr)
    return ask(contender, verb, arguments)


def measure(plan: Plan, contenders: Sequence[Contender], say: Callable[[str], None]) -> Samples:
    """Run all rounds; each begins with another contender."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}")
        order = rotated(contenders, number)
        plans = {contender.name: list(verbs(plan, contender)) for contender in order}
        for name in dict.fromkeys(name for steps in plans.values() for name, _, _ in steps):
            for contender in order:
                for step, verb, arguments in plans[contender.name]:
                    if step == name:
                        samples[name][contender.name].append(ask_patiently(contender, verb, arguments))
        if number < plan.live_rounds:
            for contender in order:
                samples["live"][contender.name].append(ask_patiently(contender, "live", live_verb(plan, contender)))
    return {name: dict(rows) for name, rows in samples.items()}


def rotated(contenders: Sequence[Contender], by: int) -> list[Contender]:
    by %= len(contenders)
    return [*contenders[by:], *contenders[:by]]


def start_commands(faena: bool) -> dict[str, list[str]]:
    """The commands whose start-up is timed; the first is what the others are compared with."""
    python = [sys.executable, "-c"]
    commands = {"python -c pass": [*python, "pass"]}
    if faena:
        bin_folder = sys.executable.rpartition("/")[0]
        commands |= {
            "import faena": [*python, "import faena"],
            "from faena import Faena": [*python, "from faena import Faena"],
            "faena --help": [f"{bin_folder}/faena", "--help"],
            "fa --help": [f"{bin_folder}/fa", "--help"],
        }
    return commands


def measure_starts(plan: Plan, commands: dict[str, list[str]]) -> dict[str, list[float]]:
    """Time the commands in turns; return milliseconds. The first turn, which fills caches, does not count."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(plan.starts + 1):
        for name, argv in commands.items():
            began = time.perf_counter()
            subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            if turn:
                times[name].append((time.perf_counter() - began) * 1e3)
    return times


def middle(samples: Sequence[dict[str, object]], key: str) -> float:
    return median(float(sample[key]) for sample in samples)  # type: ignore[arg-type]


def ratio(samples: dict[str, list[dict[str, object]]], key: str, above: str, below: str) -> float:
    """Return the median over the rounds of one contender's figure divided by another's of the same round."""
    pairs = zip(samples[above], samples[below], strict=True)
    return median(float(over[key]) / float(under[key]) for over, under in pairs)  # type: ignore[arg-type]
