"""The benchmark on Redis measures what it says: sides do the work they are asked for, ratios are taken within a round."""

import json
import shutil
import sys

import pytest
from benchmarks.redis import server
from benchmarks.redis.bars import bars
from benchmarks.redis.contenders import CONTENDERS, FAENA
from benchmarks.redis.environments import NotInstalled, python_of
from benchmarks.redis.plot import bar_chart
from benchmarks.redis.report import Run, keep, load, page
from benchmarks.redis.rounds import MEASURES, QUICK, ROOT, Failed, Seat, ask, ratio, verbs

needs_server = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def port():
    with server.server() as number:
        yield number


def seat_of(contender):
    try:
        return Seat(contender, python_of(contender, ROOT / ".bench", print, make=False))
    except NotInstalled as reason:
        pytest.skip(f"{contender.name}: {reason} (`./dev bench-redis` makes it)")


@needs_server
@pytest.mark.parametrize("contender", CONTENDERS[:3], ids=lambda contender: contender.name)
def test_a_side_sends_runs_and_waits(contender, port):
    seat = seat_of(contender)
    for chunk in (1, 100, *([0] if contender is FAENA else ())):
        sent = ask(seat, "enqueue", {"count": 300, "chunk": chunk}, port)
        assert sent["per_s"] > 0
        assert sent["server_us"] >= 0
    drained = ask(seat, "drain", {"count": 3_000, "processes": 2}, port)
    assert drained["per_s"] > 0
    others = 2 if contender is FAENA else 1  # what supervises the two; the template that they are forked from
    assert drained["processes"] == 2 + others
    lived = ask(seat, "live", {"round_trips": 5, "idle_s": 0.2, "tasks": 300, "processes": 1}, port)
    assert len(lived["trips_ms"]) == 5
    assert lived["pss_idle_mib"] > 1


@needs_server
@pytest.mark.slow
@pytest.mark.parametrize("contender", CONTENDERS[3:], ids=lambda contender: contender.name)
def test_a_peer_that_is_installed_does_the_same(contender, port):
    seat = seat_of(contender)
    assert ask(seat, "enqueue", {"count": 50, "chunk": 1}, port)["per_s"] > 0
    assert ask(seat, "drain", {"count": 100, "processes": 2}, port)["per_s"] > 0


@needs_server
def test_sleeps_are_measured_against_what_is_possible_at_once(port):
    slept = ask(Seat(FAENA, sys.executable), "sleeps", {"kind": "threads", "count": 100, "processes": 1}, port)
    assert (slept["at_once"], slept["ideal_s"]) == (50, 0.1)
    assert slept["elapsed_s"] >= 0.1


@needs_server
def test_a_side_that_fails_is_a_failure_with_its_reason(port):
    with pytest.raises(Failed, match=r"faena, enqueue: TypeError: .*argument"):
        ask(Seat(FAENA, sys.executable), "enqueue", {"no such": "argument"}, port)


def test_every_contender_is_asked_for_the_same_measures_but_what_it_has_not():
    assert {what for what, _, _, _ in verbs(QUICK, FAENA)} == set(MEASURES)
    for contender in CONTENDERS:
        assert {what for what, _, _, _ in verbs(QUICK, contender)} <= set(MEASURES)


def test_a_ratio_is_the_median_of_the_ratios_within_a_round():
    rows = {
        "faena": {0: {"per_s": 10.0}, 1: {"per_s": 100.0}, 2: {"per_s": 30.0}},
        "celery": {0: {"per_s": 20.0}, 1: {"per_s": 400.0}, 2: {"per_s": 40.0}, 3: {"per_s": 1.0}},
    }
    assert ratio(rows, "per_s", "faena", "celery") == 0.5
    assert ratio(rows, "per_s", "faena", "arq") is None


def test_a_bar_that_is_missed_is_said_to_be_missed_and_rounds_are_put_together(tmp_path):
    both = {
        "faena": {0: {"per_s": 100.0, "cpu_us": 1.0, "server_us": 1.0}},
        "celery": {0: {"per_s": 2.0, "cpu_us": 1.0, "server_us": 1.0}},
    }
    run = Run({"throughput, 2 processes": both}, {}, ("arq: it was ill",), {"server": "7", "took_s": 1})
    verdicts = {bar.name: (bar.value, bar.is_met) for bar in bars(run.samples)}
    assert verdicts["throughput / celery"] == (50.0, True)
    assert verdicts["throughput / dramatiq"] == (None, False)

    paths = [keep("redis", run, bars(run.samples), CONTENDERS, tmp_path / name) for name in ("a", "b")]
    assert json.loads(paths[0].read_text())["failures"] == ["arq: it was ill"]
    again = load(paths)
    assert again.rounds == 2
    assert again.failures == ("arq: it was ill",) * 2
    assert "| throughput / celery | 50.00 | at least 40 | met |" in page(again)


def test_what_was_not_there_for_one_run_and_is_for_another_is_no_failure_of_both(tmp_path):
    first = Run({}, {}, ("arq: it was ill", "arq, live: it took longer"), {"server": "7", "took_s": 1})
    second = Run({"live": {"arq": {0: {"pss_idle_mib": 1.0}}}}, {}, (), {"server": "7", "took_s": 1})
    paths = [keep("redis", run, [], CONTENDERS, tmp_path / name) for name, run in (("a", first), ("b", second))]
    assert load(paths).failures == ("arq, live: it took longer",)


def test_the_plot_shows_every_figure():
    chart = bar_chart("Tasks", "per second", {"faena": 60_000.0, "a & b": 900.0}, "faena")
    assert chart.startswith("<svg ")
    assert "60,000" in chart
    assert "a &amp; b" in chart
