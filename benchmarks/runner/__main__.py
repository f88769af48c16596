"""Measure `fa` against its peers:  python -m benchmarks.runner [--peers DIR] [--set-up] [--check] [WHAT ...]

All contenders run one after another inside every round, beginning with another one each time, so that a busy moment of
the machine hits them alike; ratios are medians of the ratios within a round. `--set-up` makes an environment for each
tool of the package index in DIR first. Tools that are missing are left out and named. Byte code of the task files is
kept, as it is in use.
"""

from __future__ import annotations

import argparse
import marshal
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runner import peers, projects, report
from benchmarks.runner.report import Samples

YOUNG_S = 2.1  # files younger than the coarsest clock's step are read again: see faena.runner.files


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    words: tuple[str, ...]
    folder: Path


class Failed(Exception):
    """A contender ended with an error: its time would say nothing."""


def measure(contenders: list[Contender], rounds: int) -> Samples:
    """The times of each contender in milliseconds; one round before the first counts not."""
    env = peers.clean_environment()
    times: Samples = {each.name: [] for each in contenders}
    for number in range(rounds + 1):
        shift = number % len(contenders)
        for each in contenders[shift:] + contenders[:shift]:
            began = time.perf_counter()
            done = subprocess.run(each.words, cwd=each.folder, env=env, capture_output=True, check=False)
            elapsed_ms = (time.perf_counter() - began) * 1000
            if done.returncode != 0:
                raise Failed(f"{each.name} failed: {(done.stderr or done.stdout).decode()[-500:]}")
            if number:
                times[each.name].append(elapsed_ms)
    return times


class Bench:
    """One run: the programs that are there, and what they took."""

    def __init__(self, programs: dict[str, str], rounds: int, folder: Path) -> None:
        self.programs = programs
        self.rounds = rounds
        self.folder = folder
        self.measured: dict[str, Samples] = {}

    def contenders(self, folder: Path, lines: dict[str, str]) -> list[Contender]:
        """Those of `lines` that are there: by name, the tool with its words; `make -j2` is make."""
        found = []
        for name, line in lines.items():
            tool = name.partition(" ")[0]
            program = self.programs.get(tool)
            if program is not None:
                found.append(Contender(name, (program, *line.split()), folder / tool))
        return found

    def keep(self, title: str, samples: Samples, base: str) -> None:
        self.measured[title] = samples
        report.show(title, samples, base if base in samples else next(iter(samples)))

    def startup(self) -> None:
        for count in (1, 100, 1_000):
            folder = self.folder / f"startup{count}"
            projects.startup(folder, count)
            bare = Contender("python -c pass", (self.programs["python"], "-c", "pass"), folder)
            lines = {
                "fa": "noop", "invoke": "noop", "doit": "noop", "nox": "-s noop", "poe": "-q noop", "make": "noop",
                "rake": "noop", "go-task": "noop", "just": "noop", "npm": "run --silent noop",
            }  # fmt: skip
            samples = measure([bare, *self.contenders(folder, lines)], self.rounds)
            self.keep(f"start-up, {count:,} tasks", samples, "python -c pass")

    def targets(self) -> None:
        folder = self.folder / "targets"
        projects.targets(folder)
        lines = {
            "fa": "build", "make": "-rRs build", "ninja": "--quiet build", "doit": "build", "rake": "build",
            "scons": "-sQ build", "go-task": "build",
        }  # fmt: skip
        contenders = self.contenders(folder, lines)
        measure(contenders, 0)
        time.sleep(YOUNG_S)
        measure(contenders, 0)
        stats = {}
        for number in range(projects.TARGETS):
            source, target = folder / f"fa/src/f{number:05}.txt", folder / f"fa/out/f{number:05}.out"
            stats[str(source)] = (str(target), source.stat().st_mtime_ns, target.stat().st_mtime_ns)
        (folder / "floor/cache").write_bytes(marshal.dumps(stats))
        floor = Contender("floor", (self.programs["python"], "floor.py"), folder / "floor")
        self.keep("10,000 targets, all up to date", measure([floor, *contenders], max(5, self.rounds // 3)), "fa")

    def commands(self) -> None:
        folder = self.folder / "commands"
        projects.commands(folder)
        lines = {
            "fa -j2": "all -j2", "make -j2": "-s -j2 all", "ninja -j2": "--quiet -j2 all", "doit -n2": "-n2 all",
            "rake -j2": "-j2 all", "go-task -C2": "-C2 all", "fa": "all", "make": "-s all", "just": "all",
        }  # fmt: skip
        samples = measure(self.contenders(folder, lines), max(5, self.rounds // 3))
        self.keep("1,000 commands `true`", samples, "make -j2")

    def graph(self) -> None:
        folder = self.folder / "graph"
        projects.graph(folder)
        lines = {"fa": "all", "fa -j2": "all -j2", "make": "-rRs all", "doit": "-v0 all"}
        samples = measure(self.contenders(folder, lines), max(5, self.rounds // 3))
        self.keep("random graph of 10,000 empty tasks", samples, "fa")

    def diamonds(self) -> None:
        contenders = []
        for layers in (25, 37, 49, 61):
            folder = self.folder / f"diamonds{layers}"
            projects.diamonds(folder, layers)
            contenders.append(Contender(f"{layers} layers", (self.programs["fa"], "all"), folder / "fa"))
        self.keep("layered diamonds", measure(contenders, self.rounds), "25 layers")


WHAT = ("startup", "targets", "commands", "graph", "diamonds")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peers", type=Path, default=peers.ROOT / ".peers", help="a folder with an environment for each tool"
    )
    parser.add_argument("--set-up", action="store_true", help="make the environments that are missing there")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--check", action="store_true", help="end with status 1 when a bar is missed")
    parser.add_argument("--results", type=Path, default=peers.ROOT / "benchmarks" / "results")
    parser.add_argument("what", nargs="*", help=f"{', '.join(WHAT)} (all)")
    chosen = parser.parse_args()
    unknown = set(chosen.what).difference(WHAT)
    if unknown:
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    if chosen.set_up:
        peers.set_up(chosen.peers)
    programs = peers.find(chosen.peers)
    versions = peers.versions_of(programs)
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"{os.cpu_count()} cores, {chosen.rounds} rounds")
    missing = peers.missing(programs)
    if missing:
        print(f"left out, as they are not installed: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(programs, chosen.rounds, Path(name))
        for what in chosen.what or WHAT:
            getattr(bench, what)()
    found = report.bars(bench.measured)
    print("", *found, sep="\n")
    print(f"\nsamples: {report.save(bench.measured, versions, missing, chosen.results)}")
    return 1 if chosen.check and not all(bar.is_met for bar in found) else 0


if __name__ == "__main__":
    sys.exit(main())
