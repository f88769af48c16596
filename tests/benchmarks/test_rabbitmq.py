"""The benchmark on RabbitMQ measures what it says. Its own server takes seconds to start: FAENA_TEST_BENCH=full runs it."""

import os
import shutil
import sys

import pytest
from benchmarks.rabbitmq import server
from benchmarks.rabbitmq.bars import bars
from benchmarks.rabbitmq.contenders import CLASSIC, CONTENDERS, FAENA
from benchmarks.rabbitmq.report import chart, page
from benchmarks.rabbitmq.rounds import AT_ONCE, BULK, IGNORED, KEPT, ONE, QUICK, ask, verbs
from benchmarks.redis import server as redis
from benchmarks.redis.report import Run
from benchmarks.redis.rounds import Failed, Seat


def test_each_is_asked_for_what_it_can_do_and_ours_for_all():
    assert {what for what, _, _, _ in verbs(QUICK, FAENA)} == {ONE, BULK, KEPT, IGNORED}
    for contender in CONTENDERS:
        found = {what for what, _, _, _ in verbs(QUICK, contender)}
        assert (KEPT in found) == (contender.is_peer or contender in (FAENA, CLASSIC))
        assert (IGNORED in found) != contender.is_peer


def test_bars_compare_queues_of_one_type_within_a_round():
    def row(*rates):
        return {number: {"per_s": rate, "cpu_us": 1.0, "server_us": 1.0} for number, rate in enumerate(rates)}

    samples = {
        KEPT: {"faena": row(4000.0), "faena, classic": row(8000.0), "celery": row(1000.0), "taskiq": row(2000.0)},
        ONE: {"faena, classic" + AT_ONCE: row(30.0, 10.0, 50.0), "celery": row(10.0, 10.0, 10.0)},
    }
    found = {bar.name: (bar.value, bar.is_met) for bar in bars(samples)}
    assert found["results kept: classic / celery"] == (8.0, True)
    assert found["results kept: quorum / taskiq"] == (2.0, False)
    assert found["results kept: classic / dramatiq"] == (None, False)
    assert found["send, 100 calls at once, with confirm: classic / celery without"] == (3.0, True)
    run = Run(samples, {}, ("taskiq: it was ill",), {"server": "3.10"})
    assert "| results kept: quorum / taskiq | 2.00 | at least 4 | **missed** |" in page(run)
    assert "8,000" in chart(run)


@pytest.fixture(scope="module")
def where():
    if os.environ.get("FAENA_TEST_BENCH") != "full":
        pytest.skip("FAENA_TEST_BENCH=full starts a RabbitMQ of its own for it")
    if shutil.which("rabbitmq-server") is None:
        pytest.skip("rabbitmq-server is not installed")
    with redis.server() as port, server.server() as place:
        yield place, port


@pytest.mark.parametrize("contender", [FAENA, CLASSIC], ids=lambda contender: contender.name)
def test_a_side_sends_and_every_task_runs(contender, where):
    seat = Seat(contender, sys.executable)
    for chunk in (0, 1, 500):
        assert ask(seat, "enqueue", {"count": 300, "chunk": chunk}, where)["per_s"] > 0
    assert ask(seat, "enqueue_at_once", {"count": 300}, where)["per_s"] > 0
    assert ask(seat, "drain", {"count": 3_000, "processes": 2}, where)["per_s"] > 0
    assert ask(seat, "drain_marks", {"count": 3_000, "processes": 2}, where)["server_us"] > 0
    with pytest.raises(Failed, match="argument"):
        ask(seat, "drain_marks", {"no such": "argument"}, where)
