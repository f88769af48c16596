"""The benchmark of `fa` measures what it says, says what is missing, and knows a missed bar."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from benchmarks.runner import peers, projects, report
from benchmarks.runner.__main__ import WHAT, Bench, Contender, Failed, measure


@pytest.fixture
def small(monkeypatch):
    for name in ("TARGETS", "COMMANDS", "NODES"):
        monkeypatch.setattr(projects, name, 20)


@pytest.fixture
def programs():
    found = {"fa": str(Path(sys.executable).parent / "fa"), "python": sys.executable}
    for name in ("make", "ninja"):
        path = shutil.which(name)
        if path is not None:
            found[name] = path
    return found


def test_every_measure_runs_the_tools_that_are_there(small, programs, tmp_path):
    bench = Bench(programs, 1, tmp_path)
    for what in WHAT:
        getattr(bench, what)()
    assert list(bench.measured) == [
        "start-up, 1 tasks",
        "start-up, 100 tasks",
        "start-up, 1,000 tasks",
        "10,000 targets, all up to date",
        "1,000 commands `true`",
        "random graph of 10,000 empty tasks",
        "layered diamonds",
    ]
    assert {"floor", "fa"} <= set(bench.measured["10,000 targets, all up to date"])
    assert all(value > 0 for samples in bench.measured.values() for values in samples.values() for value in values)
    path = report.save(bench.measured, {"fa": "1"}, ["doit"], tmp_path / "results")
    kept = json.loads(path.read_text())
    assert (kept["missing"], kept["versions"]) == (["doit"], {"fa": "1"})
    assert set(kept["samples"]) == set(bench.measured)
    assert {bar["name"] for bar in kept["bars"]} == {bar.name for bar in report.bars(bench.measured)}


def test_a_contender_that_fails_is_a_failure(tmp_path):
    with pytest.raises(Failed, match="broken failed: no good"):
        measure([Contender("broken", (sys.executable, "-c", "raise SystemExit('no good')"), tmp_path)], 1)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = peers.find(tmp_path)
    assert set(found) == {"fa", "python"}
    assert "scons" in peers.missing(found)
    assert "make" in peers.missing(found)


def test_a_tool_of_an_environment_of_its_own_is_found_there(tmp_path):
    program = tmp_path / "doit" / "bin" / "doit"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho doit 9.8.7\n")
    program.chmod(0o755)
    found = peers.find(tmp_path)
    assert found["doit"] == str(program)
    assert peers.versions_of({"doit": found["doit"]}) == {"doit": "9.8.7"}


def test_a_missed_bar_is_told_from_a_reached_one():
    targets = {"fa": [10.0, 10.0], "floor": [4.0, 2.0], "doit": [90.0, 120.0], "make": [6.0, 4.0], "rake": [9.0, 9.0]}
    found = {bar.name: bar.is_met for bar in report.bars({"10,000 targets, all up to date": targets})}
    assert found == {
        "10,000 targets / floor": False,  # 3.75 times
        "doit / 10,000 targets": True,  # 10.5 times
        "10,000 targets / make": False,
        "10,000 targets / rake": False,
    }
    assert report.ratio(targets, "doit", "fa") == 10.5
    bar = report.Bar("a", 1.5, 1.0)
    assert str(bar) == "MISSED  a: 1.50 (at most 1)"
