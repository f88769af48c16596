"""The benchmark measures what it says: each side does the work it is asked for, and ratios are taken within a round."""

import json
from io import StringIO

import pytest
from benchmarks.embedded.contenders import FAENA, FLOOR
from benchmarks.embedded.report import Run, bars, save, show
from benchmarks.embedded.rounds import QUICK, Failed, ask, ratio, rotated
from rich.console import Console


@pytest.mark.parametrize("contender", [FLOOR, FAENA], ids=lambda contender: contender.name)
def test_a_side_sends_runs_and_waits(contender):
    for chunk in (1, 100):
        sent = ask(contender, "enqueue", {"count": 300, "chunk": chunk})
        assert sent["per_s"] > 0
        assert sent["cpu_us"] > 0
    drained = ask(contender, "drain", {"count": 3_000, "processes": 2})
    assert drained["per_s"] > 0
    others = 2 if contender is FAENA else 1  # what supervises the two; the template that they are forked from
    assert drained["processes"] == 2 + others
    lived = ask(contender, "live", {"round_trips": 5, "idle_s": 0.2, "tasks": 500})
    assert len(lived["trips_ms"]) == 5
    assert lived["trips_ms"] == sorted(lived["trips_ms"])
    assert lived["pss_idle_mib"] > 1


def test_a_side_that_fails_is_a_failure():
    with pytest.raises(Failed, match="floor failed at enqueue"):
        ask(FLOOR, "enqueue", {"no such": "argument"})


def test_a_ratio_is_the_median_of_the_ratios_within_a_round():
    rows = {
        "faena": [{"per_s": 10.0}, {"per_s": 100.0}, {"per_s": 30.0}],
        "floor": [{"per_s": 20.0}, {"per_s": 400.0}, {"per_s": 40.0}],
    }
    assert ratio(rows, "per_s", "faena", "floor") == 0.5


def test_every_round_begins_with_another():
    assert [rotated([FLOOR, FAENA], number)[0].name for number in range(3)] == ["floor", "faena", "floor"]


def test_a_bar_that_is_missed_is_said_to_be_missed(tmp_path):
    def rate(value):
        return [{"per_s": value, "cpu_us": 1.0}]

    life = {
        "cold_start_s": 0.3,
        "trips_ms": [1.0, 3.0, 9.0],
        "idle_cpu_percent": 0.1,
        "pss_idle_mib": 30.0,
        "pss_after_mib": 31.0,
        "processes": 2,
    }
    samples = {
        "enqueue one by one": {"floor": rate(100.0), "faena": rate(59.0)},
        "throughput, 2 processes": {"floor": rate(100.0), "faena": rate(50.0)},
        "live": {"floor": [life], "faena": [life]},
    }
    starts = {"python -c pass": [10.0], "import faena": [12.0], "faena --help": [119.0]}
    run = Run(QUICK, (FLOOR, FAENA), samples, starts, 1.0)
    assert {bar.name: bar.is_met for bar in bars(run)} == {
        "throughput / floor, 2 processes": True,
        "enqueue one by one / floor": False,
        "idle round trip, p50": False,
        "idle CPU of a waiting worker": True,
        "import faena, over a bare interpreter": True,
        "faena --help": True,
    }

    out = StringIO()
    show(run, Console(file=out, width=160))
    assert "missed  enqueue one by one / floor: 0.59  (at least 0.6)" in out.getvalue()

    kept = json.loads(save(run, tmp_path).read_text())
    assert kept["samples"] == samples
    assert kept["machine"]["cores"] >= 1
