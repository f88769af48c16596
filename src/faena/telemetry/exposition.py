"""The text that Prometheus reads, made of one look at a worker. It needs the package prometheus-client."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby

from msgspec import Struct
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from faena.model.delivery import QueueStatus
from faena.telemetry.metrics import BOUNDS_S, Row


class ProcessFigures(Struct, frozen=True):
    """What there is to say of one process. `held`: fetched and not begun; None: it did not answer in time."""

    index: int
    state: str
    running: int
    held: int | None
    rss_bytes: int


class Figures(Struct, frozen=True):
    """One look at a worker. `starts` and `ends` (by how they ended) count processes since the worker began."""

    worker: str
    app: str
    host: str
    version: str
    started_at_s: float
    now_s: float
    ready: bool
    wanted: int
    functions: int  # that run at a time in one process
    coroutines: int
    rows: Sequence[Row]
    processes: Sequence[ProcessFigures]
    starts: int
    ends: Mapping[str, int]
    events: tuple[int, int]  # sent, and dropped
    queues: Sequence[QueueStatus] | None  # None: the broker did not answer in time, or with an error


def exposed(figures: Figures, accept: str) -> tuple[str, bytes]:
    """Return the content type and the page, in the newest form that `accept` (the header of a request) names."""
    encode, content = choose_encoder(accept)
    return content, encode(_OneLook(figures))


class _OneLook(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        yield from _tasks(figures.rows)
        yield from _worker(figures)
        yield from _processes(figures)
        if figures.queues is not None:
            yield from _queues(figures.queues, figures.now_s)


def _tasks(rows: Sequence[Row]) -> Iterator[Metric]:
    labels = ["task", "queue"]
    ends = CounterMetricFamily("faena_tasks", "Attempts of tasks, by how they ended.", labels=[*labels, "end"])
    runtimes = HistogramMetricFamily(
        "faena_task_runtime_seconds", "How long attempts ran that succeeded, failed or will be retried.", labels=labels
    )
    bounds = [*map(floatToGoString, BOUNDS_S), "+Inf"]
    for row in rows:
        for end, count in row.ends.items():
            ends.add_metric([row.task, row.queue, end], count)
        if row.counts:
            buckets = list(zip(bounds, map(float, accumulate(row.counts)), strict=True))
            runtimes.add_metric([row.task, row.queue], buckets, row.sum_s)
    yield ends
    yield runtimes


def _worker(figures: Figures) -> Iterator[Metric]:
    yield InfoMetricFamily("faena_build", "What runs.", {"version": figures.version, "python": platform.python_version()})
    yield InfoMetricFamily(
        "faena_worker", "Who runs.", {"worker": figures.worker, "app": figures.app, "host": figures.host}
    )
    yield _gauge("faena_worker_ready", "1: processes work, and leases are renewed.", float(figures.ready))
    yield _gauge("faena_worker_start_time_seconds", "When the worker began, in unix seconds.", figures.started_at_s)
    yield _gauge("faena_worker_uptime_seconds", "For how long it has run.", figures.now_s - figures.started_at_s)
    yield _gauge("faena_worker_processes_wanted", "How many processes there shall be.", figures.wanted)
    concurrency = GaugeMetricFamily(
        "faena_worker_concurrency", "How many tasks can run at once, of functions and of coroutines.", labels=["kind"]
    )
    working = sum(each.state == "working" for each in figures.processes)
    concurrency.add_metric(["functions"], working * figures.functions)
    concurrency.add_metric(["coroutines"], working * figures.coroutines)
    yield concurrency
    yield CounterMetricFamily("faena_worker_process_starts", "Processes that were started.", value=figures.starts)
    sent, dropped = figures.events
    yield CounterMetricFamily("faena_events_sent", "Events that were told to those who listen.", value=sent)
    yield CounterMetricFamily("faena_events_dropped", "Events that could not be told in time.", value=dropped)
    ends = CounterMetricFamily("faena_worker_process_ends", "Processes that have ended, by how.", labels=["how"])
    for how, count in sorted(figures.ends.items()):
        ends.add_metric([how], count)
    yield ends


def _processes(figures: Figures) -> Iterator[Metric]:
    states = GaugeMetricFamily("faena_worker_processes", "Processes there are, by state.", labels=["state"])
    for state in ("starting", "working", "leaving"):
        states.add_metric([state], sum(each.state == state for each in figures.processes))
    yield states
    running = GaugeMetricFamily("faena_worker_running_tasks", "Tasks that run, by process.", labels=["process"])
    held = GaugeMetricFamily(
        "faena_worker_held_tasks", "Tasks that are fetched and have not begun, by process.", labels=["process"]
    )
    memory = GaugeMetricFamily(
        "faena_worker_process_resident_memory_bytes", "Resident memory, by process.", labels=["process"]
    )
    for each in _by_index(figures.processes):
        label = [str(each.index)]
        running.add_metric(label, each.running)
        memory.add_metric(label, each.rss_bytes)
        if each.held is not None:
            held.add_metric(label, each.held)
    yield from (running, held, memory)
    silent = sum(each.held is None and each.state != "starting" for each in figures.processes)
    yield _gauge("faena_worker_silent_processes", "Processes that gave no answer in time for this page.", silent)


def _by_index(processes: Sequence[ProcessFigures]) -> Iterator[ProcessFigures]:
    """Yield one figure for each number: of one that leaves and its successor, what both of them run and hold."""
    for index, group in groupby(sorted(processes, key=lambda each: each.index), key=lambda each: each.index):
        found = list(group)
        held = [each.held for each in found if each.held is not None]
        yield ProcessFigures(
            index=index,
            state=found[-1].state,
            running=sum(each.running for each in found),
            held=sum(held) if held else None,
            rss_bytes=sum(each.rss_bytes for each in found),
        )


def _queues(queues: Sequence[QueueStatus], now_s: float) -> Iterator[Metric]:
    messages = GaugeMetricFamily("faena_queue_messages", "Messages of a queue, by state.", labels=["queue", "state"])
    paused = GaugeMetricFamily("faena_queue_paused", "1: nothing is handed out of it.", labels=["queue"])
    oldest = GaugeMetricFamily(
        "faena_queue_oldest_waiting_seconds", "For how long the first one that waits has waited.", labels=["queue"]
    )
    for each in queues:
        counts = {"waiting": each.waiting, "delayed": each.delayed, "held": each.held, "dead": each.dead}
        for state, count in counts.items():
            if count is not None:
                messages.add_metric([each.name, state], count)
        paused.add_metric([each.name], float(each.paused))
        if each.oldest_waiting_at_s is not None:
            oldest.add_metric([each.name], max(0.0, now_s - each.oldest_waiting_at_s))
    yield from (messages, paused, oldest)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
