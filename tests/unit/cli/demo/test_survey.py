"""Adding up what was found in all modules."""

from __future__ import annotations

import random

from faena.cli.demo.analysis import FunctionFacts, ModuleFacts
from faena.cli.demo.survey import (
    SHOWN,
    TOP_FOLDER,
    Analysed,
    Failed,
    Ranked,
    Rate,
    Share,
    Survey,
    Timing,
    band_of,
    package_of,
    survey,
)

TIMING = Timing(began_at_s=100.0, wall_s=2.5, processes=2, sent=3, kept=0, executions=5, repeated=0)


def module(
    file: str,
    *,
    lines: int = 10,
    functions: tuple[FunctionFacts, ...] = (),
    imports: tuple[str, ...] = (),
    finished_at_s: float = 100.0,
    retries: int = 0,
    process: int = 1,
) -> Analysed:
    facts = ModuleFacts(
        lines=lines,
        functions=len(functions),
        classes=1,
        complexity=sum(each.complexity for each in functions),
        complexities={each.complexity: 1 for each in functions},
        longest=functions,
        most_complex=functions,
        imports=imports,
    )
    return Analysed(file, facts, retries, 0.5, finished_at_s, process)


def of(*analysed: Analysed, failed: tuple[Failed, ...] = (), slices: int = 2) -> Survey:
    return survey("/lib", "3.11.0", analysed, failed, TIMING, slices=slices)


def test_nothing_analysed_is_a_survey_too() -> None:
    found = of()
    assert (found.files, found.lines, found.packages, found.longest, found.rates) == (0, 0, (), (), ())
    assert [share.count for share in found.bands] == [0, 0, 0, 0, 0]


def test_totals_add_up_over_modules_and_failures() -> None:
    found = of(
        module("a.py", lines=10, retries=1),
        module("b/c.py", lines=30, process=2),
        failed=(Failed("bad.py", "line 1: no", 2, False),),
    )
    assert (found.files, found.analysed, found.lines, found.classes) == (3, 2, 40, 2)
    assert (found.retries, found.work_s) == (3, 1.0)
    assert found.packages == (Share("b", 30), Share(TOP_FOLDER, 10))
    assert found.processes == (Share("1", 1), Share("2", 1))


def test_a_function_is_ranked_over_all_modules_and_ties_are_ordered_by_file() -> None:
    small, large = FunctionFacts("small", 1, 5, 2), FunctionFacts("large", 9, 50, 1)
    found = of(module("b.py", functions=(small,)), module("a.py", functions=(large, small)))
    assert found.longest == (Ranked("a.py", large), Ranked("a.py", small), Ranked("b.py", small))
    assert found.most_complex == (Ranked("a.py", small), Ranked("b.py", small), Ranked("a.py", large))


def test_rankings_are_cut_to_what_is_shown() -> None:
    found = of(*(module(f"p{n}/m.py", imports=(f"m{n}", "os")) for n in range(SHOWN + 5)))
    assert len(found.packages) == len(found.imported) == SHOWN
    assert found.imported[0] == Share("os", SHOWN + 5)


def test_every_complexity_falls_into_one_band() -> None:
    assert [band_of(value) for value in (1, 5, 6, 10, 11, 20, 21, 50, 51, 900)] == [
        *["1 to 5"] * 2,
        *["6 to 10"] * 2,
        *["11 to 20"] * 2,
        *["21 to 50"] * 2,
        *["51 and more"] * 2,
    ]


def test_the_order_in_which_results_arrive_changes_nothing() -> None:
    modules = [module(f"p{n % 3}/m{n}.py", lines=n, finished_at_s=100.0 + n) for n in range(20)]
    expected = of(*modules)
    random.Random(7).shuffle(modules)
    assert of(*modules) == expected


def test_the_rate_counts_every_module_of_this_invocation_and_none_of_an_earlier_one() -> None:
    moments = (3.0, 101.0, 102.0, 103.5, 105.0)  # began at 100
    found = of(*(module(f"{moment}.py", finished_at_s=moment) for moment in moments))
    assert found.rates == (Rate(0.0, 2.0, 2), Rate(2.0, 4.0, 2))


def test_one_moment_for_all_gives_no_rate() -> None:
    assert of(module("a.py"), module("b.py")).rates == ()


def test_failures_that_the_file_is_not_to_blame_for_come_first() -> None:
    broken, refused = Failed("a.py", "line 1: no", 2, False), Failed("z.py", "PermissionError", 2, True)
    found = of(failed=(broken, refused))
    assert found.failed == (refused, broken)
    assert found.unexpected == (refused,)


def test_a_module_in_no_folder_belongs_to_the_top_level() -> None:
    assert [package_of(file) for file in ("abc.py", "json/decoder.py", "a/b/c.py")] == [TOP_FOLDER, "json", "a"]
