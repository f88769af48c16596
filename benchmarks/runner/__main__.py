"""Measure `fa` against its peers:  python -m benchmarks.runner [--peers DIR] [--rounds N]

Every figure is the median over rounds in which all contenders run one after another, so that a busy moment of the machine
hits them alike. Peers are looked for in DIR (a folder of programs) and on the PATH; those that are missing are left out and
named. Byte code of the task files is kept, as it is in use.
"""

from __future__ import annotations

import argparse
import marshal
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runner import projects


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    words: tuple[str, ...]
    folder: Path


def measure(contenders: list[Contender], rounds: int) -> dict[str, float]:
    """The median time of each contender in milliseconds, interleaved; one run before the first counts not."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    times: dict[str, list[float]] = {each.name: [] for each in contenders}
    for number in range(rounds + 1):
        for each in contenders:
            began = time.perf_counter()
            done = subprocess.run(each.words, cwd=each.folder, env=env, capture_output=True, check=False)
            elapsed_ms = (time.perf_counter() - began) * 1000
            if done.returncode != 0:
                raise SystemExit(f"{each.name} failed: {done.stderr.decode()[-500:]}")
            if number:
                times[each.name].append(elapsed_ms)
    return {name: statistics.median(found) for name, found in times.items()}


def show(title: str, found: dict[str, float], base: str) -> None:
    print(f"\n{title}")
    for name, value in sorted(found.items(), key=lambda item: item[1]):
        print(f"  {name:<14}{value:>9.1f} ms{value / found[base]:>8.2f} x {base}")


class Bench:
    def __init__(self, peers: str, rounds: int, folder: Path) -> None:
        self.path = os.pathsep.join([peers, os.environ["PATH"]]) if peers else os.environ["PATH"]
        self.rounds = rounds
        self.folder = folder
        self.fa = str(Path(sys.executable).parent / "fa")

    def peer(self, name: str, program: str, words: tuple[str, ...], folder: Path) -> list[Contender]:
        found = shutil.which(program, path=self.path)
        return [Contender(name, (found, *words), folder)] if found else []

    def startup(self) -> None:
        for count in (1, 100, 1_000):
            folder = self.folder / f"startup{count}"
            projects.startup(folder, count)
            contenders = [
                Contender("python -c pass", (sys.executable, "-c", "pass"), folder),
                Contender("fa", (self.fa, "noop"), folder / "fa"),
                *self.peer("invoke", "inv", ("noop",), folder / "invoke"),
                *self.peer("doit", "doit", ("noop",), folder / "doit"),
                *self.peer("nox", "nox", ("-s", "noop"), folder / "nox"),
                *self.peer("poe", "poe", ("-q", "noop"), folder / "poe"),
                *self.peer("make", "make", ("noop",), folder / "make"),
            ]
            show(f"a task that does nothing, of {count:,}", measure(contenders, self.rounds), "python -c pass")

    def targets(self) -> None:
        folder = self.folder / "targets"
        projects.targets(folder)
        first = [
            Contender("fa", (self.fa, "build"), folder / "fa"),
            *self.peer("make", "make", ("-rRs", "build"), folder / "make"),
            *self.peer("doit", "doit", ("build",), folder / "doit"),
        ]
        measure(first, 1)
        time.sleep(2.1)  # files younger than the coarsest clock's step are read again: see faena.runner.files
        stats = {}
        for number in range(projects.TARGETS):
            source, target = folder / f"fa/src/f{number:05}.txt", folder / f"fa/out/f{number:05}.out"
            stats[str(source)] = (str(target), source.stat().st_mtime_ns, target.stat().st_mtime_ns)
        (folder / "floor/cache").write_bytes(marshal.dumps(stats))
        floor = Contender("floor", (sys.executable, "floor.py"), folder / "floor")
        show("10,000 targets, all up to date", measure([floor, *first], max(3, self.rounds // 3)), "floor")

    def commands(self) -> None:
        folder = self.folder / "commands"
        projects.commands(folder)
        contenders = [
            Contender("fa -j2", (self.fa, "all", "-j2"), folder / "fa"),
            Contender("fa", (self.fa, "all"), folder / "fa"),
            *self.peer("make -j2", "make", ("-s", "-j2", "all"), folder / "make"),
            *self.peer("make", "make", ("-s", "all"), folder / "make"),
        ]
        found = measure(contenders, max(3, self.rounds // 3))
        show("1,000 commands `true`", found, "make -j2" if "make -j2" in found else "fa -j2")

    def graph(self) -> None:
        folder = self.folder / "graph"
        projects.graph(folder)
        contenders = [
            Contender("fa", (self.fa, "all"), folder / "fa"),
            Contender("fa -j2", (self.fa, "all", "-j2"), folder / "fa"),
        ]
        show("a random graph of 10,000 empty tasks", measure(contenders, max(3, self.rounds // 3)), "fa")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="", help="a folder of programs: inv, doit, nox, poe")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("what", nargs="*", default=["startup", "targets", "commands", "graph"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(chosen.peers, chosen.rounds, Path(name))
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {chosen.rounds} rounds")
        missing = [each for each in ("inv", "doit", "nox", "poe", "make") if not shutil.which(each, path=bench.path)]
        if missing:
            print(f"left out, as they are not installed: {', '.join(missing)}")
        for what in chosen.what:
            getattr(bench, what)()


if __name__ == "__main__":
    main()
