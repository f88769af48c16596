"""What the sink counts is what happened, whichever way it counts, and the page says it in words that Prometheus reads."""

import random
import sys
from collections import Counter

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from faena.errors import ConfigurationError
from faena.model.delivery import QueueStatus
from faena.model.event import Event, EventKind
from faena.telemetry.exposition import Figures, ProcessFigures, exposed
from faena.telemetry.metrics import BOUNDS_S, ENDS, MOST_ROWS, OTHERS, MetricsSink, Row, Tally, need_exposition


def event(kind=EventKind.TASK_SUCCEEDED, task="add", queue="q", runtime_s=0.002):
    return Event(kind, 1.0, "w", "id", task, queue, 0, runtime_s)


def figures(rows=(), **fields):
    given = {
        "worker": "w@h", "app": "shop", "host": "h", "version": "1", "started_at_s": 10.0, "now_s": 15.0, "ready": True,
        "wanted": 2, "functions": 1, "coroutines": 100, "rows": rows, "processes": [], "starts": 2, "ends": {"left": 1},
        "queues": None, "events": (5, 1),
    }  # fmt: skip
    return Figures(**{**given, **fields})


def samples(page, parser=parse):
    """Give the value of each sample by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parser(page.decode())
        for sample in family.samples
    }


def test_every_event_is_counted_once_whatever_a_batch_is_made_of():
    chance = random.Random(7)
    sink, expected, runtimes = MetricsSink(), Counter(), Counter()
    for _ in range(200):
        one_task, one_kind = chance.random() < 0.5, chance.random() < 0.5
        batch = [
            event(
                EventKind.TASK_SUCCEEDED if one_kind else chance.choice([*ENDS, EventKind.TASK_SENT]),
                "add" if one_task else chance.choice(["add", "mul"]), "q" if one_task else chance.choice(["q", "r"]),
                chance.choice([None, 0.0005, 0.001, 0.3, 5000.0]),
            )
            for _ in range(chance.randint(0, 20))
        ]  # fmt: skip
        sink.emit(batch)
        for each in batch:
            if each.kind in ENDS:
                expected[each.task, each.queue, ENDS[each.kind]] += 1
                if each.runtime_s is not None and ENDS[each.kind] in ("succeeded", "failed", "retried"):
                    bound = next((at for at, bound in enumerate(BOUNDS_S) if each.runtime_s <= bound), len(BOUNDS_S))
                    runtimes[each.task, each.queue, bound] += 1
    rows = sink.rows()
    assert {(row.task, row.queue, end): n for row in rows for end, n in row.ends.items()} == expected
    counted = {(row.task, row.queue, at): n for row in rows for at, n in enumerate(row.counts) if n}
    assert counted == runtimes


def test_sums_over_processes_do_not_change_what_they_are_made_of():
    one, two = MetricsSink(), MetricsSink()
    one.emit([event()])
    two.emit([event(runtime_s=2.0), event(EventKind.TASK_REVOKED, runtime_s=None)])
    total = Tally()
    for rows in (one.rows(), two.rows()):
        total.add(msgspec.msgpack.decode(msgspec.msgpack.encode(rows), type=list[Row]))
    (row,) = total.rows()
    assert (row.ends, sum(row.counts), row.sum_s) == ({"succeeded": 2, "revoked": 1}, 2, 2.002)
    total.add(one.rows())
    assert one.rows()[0].ends == {"succeeded": 1}
    assert sum(one.rows()[0].counts) == 1


def test_invented_names_are_counted_together_from_some_number_on():
    sink = MetricsSink()
    sink.emit([event(EventKind.TASK_REJECTED, f"task-{at}") for at in range(MOST_ROWS + 50)])
    sink.emit([event(EventKind.TASK_REJECTED, "task-1")])
    rows = {row.task: row.ends["rejected"] for row in sink.rows()}
    assert len(rows) == MOST_ROWS + 1
    assert (rows[OTHERS], rows["task-1"]) == (50, 2)


@pytest.mark.parametrize(
    "accept", ["", "text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0", "junk;;,="]
)
def test_the_page_is_read_as_prometheus_reads_it(accept):
    sink = MetricsSink()
    sink.emit([event(task='odd "name"\\\n', runtime_s=runtime_s) for runtime_s in (0.0005, 0.02, 9999.0)])
    queues = [QueueStatus("q", 3, None, 1, 2, False, oldest_waiting_at_s=14.0)]
    processes = [
        ProcessFigures(0, "leaving", 1, 4, 100), ProcessFigures(0, "working", 1, None, 50),
        ProcessFigures(1, "starting", 0, None, 1),
    ]  # fmt: skip
    content, page = exposed(figures(sink.rows(), queues=queues, processes=processes), accept)
    is_open = "openmetrics" in accept
    assert content.startswith("application/openmetrics-text" if is_open else "text/plain")
    found = samples(page, parse_open if is_open else parse)
    task = (("queue", "q"), ("task", 'odd "name"\\\n'))
    assert found["faena_tasks_total", ("end", "succeeded"), *task] == 3
    assert found["faena_task_runtime_seconds_bucket", ("le", "0.001"), *task] == 1
    assert found["faena_task_runtime_seconds_bucket", ("le", "1800.0"), *task] == 2
    assert found["faena_task_runtime_seconds_bucket", ("le", "+Inf"), *task] == 3
    assert found["faena_task_runtime_seconds_count", *task] == 3
    assert found["faena_task_runtime_seconds_sum", *task] == pytest.approx(9999.0205)
    assert found["faena_worker_uptime_seconds",] == 5
    assert found["faena_worker_process_ends_total", ("how", "left")] == 1
    assert found["faena_worker_running_tasks", ("process", "0")] == 2
    assert found["faena_worker_held_tasks", ("process", "0")] == 4
    assert ("faena_worker_held_tasks", ("process", "1")) not in found
    assert found["faena_worker_silent_processes",] == 1
    assert found["faena_worker_concurrency", ("kind", "coroutines")] == 100
    assert found["faena_queue_messages", ("queue", "q"), ("state", "waiting")] == 3
    assert ("faena_queue_messages", ("queue", "q"), ("state", "delayed")) not in found
    assert found["faena_queue_oldest_waiting_seconds", ("queue", "q")] == 1


def test_a_broker_that_does_not_answer_leaves_its_queues_out():
    _, page = exposed(figures(), "")
    assert not any(name.startswith("faena_queue") for name, *_ in samples(page))


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    need_exposition()
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'faena\[metrics\]'"):
        need_exposition()
