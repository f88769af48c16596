"""The plan of a run, and its execution: rounds in which the contenders take turns on a server that is emptied each time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.embedded.processes import tree
from benchmarks.redis import server
from benchmarks.redis.contenders import FAENA, Contender

ROOT = Path(__file__).parents[2]
PROCESSES = 2
PATIENCE_S = 90  # with one measurement of one side
QUIET = "faena, quiet"  # without its log: what the default (lines for tasks while few, sums when many) is compared with
CHATTY = "faena, a line each"  # with a log line for every task, which it does not write unless asked
CHATTY_JSON = "faena, a line each, as JSON"
OBSERVED = "faena, observed"  # its default log, metrics that are scraped each second, events that a client listens to
BUFFERED = "faena, buffered"  # sends one by one, in a block that collects

MEASURES = ("enqueue one by one", "enqueue, 100 in a call", "throughput, 2 processes", "throughput, 1 process", "live",
            "waiting on ten queues", "sleeps, coroutines", "sleeps, threads")  # fmt: skip

Sample = dict[str, object]
Samples = dict[str, dict[str, dict[int, Sample]]]  # measure -> contender -> round -> answer
Step = tuple[str, str, str, dict[str, object]]  # measure, name, verb, arguments


class Failed(Exception):
    """A side could not do what it was asked."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float  # that a measurement of a rate should last
    round_trips: int
    idle_s: float
    sleeps: int


FULL = Plan(rounds=1, seconds=0.8, round_trips=150, idle_s=2.0, sleeps=2_000)
QUICK = Plan(rounds=1, seconds=0.3, round_trips=40, idle_s=1.0, sleeps=400)


@dataclass(frozen=True)
class Seat:
    """A contender with its interpreter."""

    contender: Contender
    python: str


Verbs = Callable[[Plan, Contender], Iterable[Step]]  # of one round


def verbs(plan: Plan, contender: Contender) -> Iterator[Step]:
    name = contender.name

    def some(rate: int) -> int:
        return max(300, int(rate * plan.seconds))

    yield "enqueue one by one", name, "enqueue", {"count": some(contender.sends), "chunk": 1}
    if contender.bulk:
        yield "enqueue, 100 in a call", name, "enqueue", {"count": some(contender.bulk), "chunk": 100}
    count = some(contender.rate) if contender.rate >= 1000 else max(120, int(contender.rate * plan.seconds * 2))
    if not contender.is_peer:  # fast ones last long enough that it does not count when the second process has come
        count *= 2
    if not contender.is_peer:
        yield "throughput, 1 process", name, "drain", {"count": count, "processes": 1}
    yield "throughput, 2 processes", name, "drain", {"count": count, "processes": PROCESSES}
    if contender is FAENA:
        yield "enqueue one by one", BUFFERED, "enqueue", {"count": some(contender.bulk), "chunk": 0}
        for other, kind in ((QUIET, "quiet"), (CHATTY, "a line each"), (CHATTY_JSON, "a line each, as JSON"),
                            (OBSERVED, "observed")):  # fmt: skip
            yield "throughput, 2 processes", other, "drain", {"count": count, "processes": PROCESSES, "kind": kind}
        yield "waiting on ten queues", name, "wait_on_queues", {"idle_s": 5.0}
    for kind in contender.sleeps:
        yield f"sleeps, {kind}", name, "sleeps", {"kind": kind, "count": plan.sleeps, "processes": PROCESSES}
    trips = plan.round_trips if contender.rate > 200 else plan.round_trips // 3
    tasks = min(count, 500)
    arguments = {"round_trips": trips, "idle_s": plan.idle_s, "tasks": tasks, "processes": PROCESSES}
    yield "live", name, "live", arguments


def ask(seat: Seat, verb: str, arguments: Mapping[str, object], port: int) -> Sample:
    """Run one verb of a side on an empty server."""
    server.command(port, "FLUSHALL")
    server.command(port, "SCRIPT FLUSH")
    return run_side(seat, "benchmarks.redis.side", verb, arguments, {"BENCH_REDIS_PORT": str(port)})


def run_side(seat: Seat, program: str, verb: str, arguments: Mapping[str, object], words: Mapping[str, str]) -> Sample:
    """Run a side in a process and a folder of its own; `words` join its environment."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    environment = {**kept, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **words}
    argv = [seat.python, "-m", program, seat.contender.module, verb, json.dumps(arguments)]
    with tempfile.TemporaryDirectory(prefix="faena-bench-") as folder:
        side = subprocess.Popen(
            argv, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            answer, complaint = side.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{seat.contender.name}, {verb}: it took longer than {PATIENCE_S} s") from None
        finally:
            _end(side)
    if side.returncode:
        lines = [line for line in complaint.splitlines() if line.strip()] or ["no message"]
        raise Failed(f"{seat.contender.name}, {verb}: {lines[-1].strip()}")
    return dict(json.loads(answer.splitlines()[-1]))


def _end(side: subprocess.Popen[str]) -> None:
    """End a side that has not ended by itself, with the workers that it has started."""
    if side.poll() is not None:
        return
    for pid in reversed(tree(side.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    side.wait()
    for pipe in (side.stdout, side.stderr):
        if pipe is not None:
            pipe.close()


def measure(
    plan: Plan,
    seats: Sequence[Seat],
    verbs: Verbs,
    measures: Sequence[str],
    ask: Callable[[Seat, str, Mapping[str, object]], Sample],
    say: Callable[[str], None],
    samples: Samples,
    failures: list[str],
    *,
    only: str | None,
    first: int,
) -> None:
    """Run all rounds into `samples`; each begins with another contender. What fails is said, and joins `failures`.

    Contenders take turns within each of the `measures`, in their order.
    """
    for number in range(first, first + plan.rounds):
        say(f"round {number + 1}")
        by = number * 3 % len(seats)
        order = [*seats[by:], *seats[:by]]
        steps = [(seat, *step) for seat in order for step in verbs(plan, seat.contender)]
        for seat, what, name, verb, arguments in [step for each in measures for step in steps if step[1] == each]:
            if only is not None and only not in what:
                continue
            try:
                sample = ask(seat, verb, arguments)
                samples.setdefault(what, {}).setdefault(name, {})[number] = sample
                say(f"  {what}, {name}: {short(sample)}")
            except Failed as failure:
                failures.append(str(failure))
                say(f"  {failure}")


def short(sample: Sample) -> str:
    for key, form in (("per_s", "{:,.0f}/s"), ("ratio", "{:.2f} of the ideal"), ("commands_per_s", "{:.1f} commands/s")):
        if key in sample:
            return form.format(sample[key])
    return ""


def middle(samples: Mapping[int, Sample], key: str) -> float:
    return median(float(sample[key]) for sample in samples.values())  # type: ignore[arg-type]


def ratio(rows: Mapping[str, Mapping[int, Sample]], key: str, above: str, below: str) -> float | None:
    """Return the median over the rounds of one contender's figure divided by another's of the same round."""
    over, under = rows.get(above, {}), rows.get(below, {})
    both = over.keys() & under.keys()
    if not both:
        return None
    return median(float(over[number][key]) / float(under[number][key]) for number in both)  # type: ignore[arg-type]
