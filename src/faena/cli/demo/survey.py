"""What is known of all modules together. Pure: outcomes in, one value out, which every kind of report is drawn from."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable

from msgspec import Struct

from faena.cli.demo.analysis import FunctionFacts, ModuleFacts

SHOWN = 10
"""How many rows a ranking has."""

BANDS = ((1, 5), (6, 10), (11, 20), (21, 50), (51, None))
"""Bands of complexity. McCabe's own limit was 10; past 50 a function is held to be untestable."""

TOP_FOLDER = "(top level)"


class Analysed(Struct, frozen=True, tag="analysed"):
    """A module that was read; `file` is its path below the folder of the run, with forward slashes."""

    file: str
    facts: ModuleFacts
    retries: int
    runtime_s: float
    finished_at_s: float
    process: int


class Failed(Struct, frozen=True, tag="failed"):
    """A module that could not be read; `unexpected` where the file is not to blame."""

    file: str
    error: str
    retries: int
    unexpected: bool


class Timing(Struct, frozen=True):
    """How the run went, as far as the results cannot say it themselves."""

    began_at_s: float  # this invocation, unix seconds
    wall_s: float  # this invocation
    processes: int
    sent: int  # in this invocation
    kept: int  # results that an earlier invocation had left
    executions: int  # of all invocations: how often the task's body began
    repeated: int  # of all invocations: how often it began again though its result had been kept


class Ranked(Struct, frozen=True):
    """A function in a ranking over all modules."""

    file: str
    function: FunctionFacts


class Share(Struct, frozen=True):
    """A named number: lines of a package, importers of a module, functions of a band."""

    name: str
    count: int


class Rate(Struct, frozen=True):
    """Modules finished in one slice of this invocation; moments are seconds since its first result."""

    from_s: float
    to_s: float
    finished: int


class Survey(Struct, frozen=True):
    folder: str
    python: str
    files: int
    analysed: int
    lines: int
    functions: int
    classes: int
    work_s: float  # seconds that the processes spent in the task, together
    retries: int
    timing: Timing
    packages: tuple[Share, ...]
    bands: tuple[Share, ...]
    imported: tuple[Share, ...]
    longest: tuple[Ranked, ...]
    most_complex: tuple[Ranked, ...]
    rates: tuple[Rate, ...]
    processes: tuple[Share, ...]
    failed: tuple[Failed, ...]

    @property
    def cut_off(self) -> int:
        """How many attempts came to nothing, because their process was stopped or killed."""
        return max(0, self.timing.executions - self.files - self.retries - self.timing.repeated)

    @property
    def unexpected(self) -> tuple[Failed, ...]:
        return tuple(each for each in self.failed if each.unexpected)


def survey(
    folder: str, python: str, analysed: Iterable[Analysed], failed: Iterable[Failed], timing: Timing, *, slices: int = 40
) -> Survey:
    """Add it all up. The order of the outcomes does not matter."""
    read = sorted(analysed, key=lambda each: each.file)
    broken = sorted(failed, key=lambda each: (not each.unexpected, each.file))
    return Survey(
        folder=folder,
        python=python,
        files=len(read) + len(broken),
        analysed=len(read),
        lines=sum(each.facts.lines for each in read),
        functions=sum(each.facts.functions for each in read),
        classes=sum(each.facts.classes for each in read),
        work_s=sum(each.runtime_s for each in read),
        retries=sum(each.retries for each in read) + sum(each.retries for each in broken),
        timing=timing,
        packages=_packages(read),
        bands=_bands(read),
        imported=_largest(Counter(name for each in read for name in each.facts.imports)),
        longest=_ranking(read, lambda facts: facts.longest, lambda function: function.lines),
        most_complex=_ranking(read, lambda facts: facts.most_complex, lambda function: function.complexity),
        rates=_rates([each.finished_at_s for each in read if each.finished_at_s >= timing.began_at_s], slices),
        processes=_largest(Counter(str(each.process) for each in read)),
        failed=tuple(broken),
    )


def band_of(complexity: int) -> str:
    """Return the name of the band that a complexity falls into."""
    return next(_band_name(low, high) for low, high in BANDS if high is None or complexity <= high)


def package_of(file: str) -> str:
    """Return the outermost folder of a file, or `TOP_FOLDER` where it stands in none."""
    folder, slash, _ = file.partition("/")
    return folder if slash else TOP_FOLDER


def _band_name(low: int, high: int | None) -> str:
    return f"{low} to {high}" if high is not None else f"{low} and more"


def _packages(read: Iterable[Analysed]) -> tuple[Share, ...]:
    lines: Counter[str] = Counter()
    for each in read:
        lines[package_of(each.file)] += each.facts.lines
    return _largest(lines)


def _bands(read: Iterable[Analysed]) -> tuple[Share, ...]:
    counts: Counter[str] = Counter()
    for each in read:
        for complexity, functions in each.facts.complexities.items():
            counts[band_of(complexity)] += functions
    return tuple(Share(name, counts[name]) for name in (_band_name(low, high) for low, high in BANDS))


def _largest(counts: Counter[str]) -> tuple[Share, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Share(name, count) for name, count in ordered[:SHOWN])


def _ranking(
    read: Iterable[Analysed],
    functions_of: Callable[[ModuleFacts], Iterable[FunctionFacts]],
    weight: Callable[[FunctionFacts], int],
) -> tuple[Ranked, ...]:
    every = (Ranked(each.file, function) for each in read for function in functions_of(each.facts))
    return tuple(heapq.nsmallest(SHOWN, every, key=lambda ranked: (-weight(ranked.function), ranked.file)))


def _rates(finished_at_s: list[float], slices: int) -> tuple[Rate, ...]:
    """Cut the time from the first result to the last into equal slices and count what finished in each."""
    if len(finished_at_s) < 2:
        return ()
    first, last = min(finished_at_s), max(finished_at_s)
    width = (last - first) / slices
    if width <= 0:
        return ()
    counts = [0] * slices
    for moment in finished_at_s:
        counts[min(int((moment - first) / width), slices - 1)] += 1
    return tuple(Rate(at * width, (at + 1) * width, count) for at, count in enumerate(counts))
