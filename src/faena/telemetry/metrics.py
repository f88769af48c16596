"""Metrics: a sink that counts ends of tasks and how long they ran, and the sum of what several such sinks have counted.

It counts in plain Python, batch by batch: under load a batch is one task's successes, which costs about 0.1 us each. What
stands in a `Row` only grows, so that a later one of the same process may stand in the place of an earlier one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec

from msgspec import Struct

from faena.errors import ConfigurationError
from faena.model.event import Event, EventKind

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""The upper bounds of the buckets of run times, in seconds; there is one more bucket without a bound."""

ENDS = {
    EventKind.TASK_SUCCEEDED: "succeeded",
    EventKind.TASK_FAILED: "failed",
    EventKind.TASK_RETRIED: "retried",
    EventKind.TASK_REVOKED: "revoked",
    EventKind.TASK_REJECTED: "rejected",
    EventKind.TASK_SUSPENDED: "suspended",
    EventKind.TASK_RELEASED: "released",
    EventKind.TASK_LOST: "lost",
}
_TIMED = (EventKind.TASK_SUCCEEDED, EventKind.TASK_FAILED, EventKind.TASK_RETRIED)

MOST_ROWS = 2000
OTHERS = "(others)"
"""What is counted as one task once there are `MOST_ROWS`: names come with messages, and anybody may make up new ones."""


def need_exposition() -> None:
    """Raise ConfigurationError where what metrics are served with is missing."""
    if find_spec("prometheus_client") is None:
        raise ConfigurationError(
            "worker_metrics_port is set, and metrics need the package prometheus-client: pip install 'faena[metrics]'"
        )


class Row(Struct, array_like=True):
    """What was counted of one task of one queue. `counts` has a place for each bucket, and is empty without a run."""

    task: str
    queue: str
    ends: dict[str, int]
    counts: list[int]
    sum_s: float = 0.0


class Tally:
    """Rows by task and queue."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}

    def row(self, task: str, queue: str) -> Row:
        found = self._rows.get((task, queue))
        if found is None:
            if len(self._rows) >= MOST_ROWS:
                task = queue = OTHERS
            found = self._rows.setdefault((task, queue), Row(task, queue, {}, []))
        return found

    def rows(self) -> Sequence[Row]:
        return list(self._rows.values())

    def add(self, rows: Iterable[Row]) -> None:
        """Add what others have counted."""
        for other in rows:
            row = self.row(other.task, other.queue)
            for end, count in other.ends.items():
                row.ends[end] = row.ends.get(end, 0) + count
            if other.counts:
                row.counts = [a + b for a, b in zip(row.counts or [0] * len(other.counts), other.counts, strict=True)]
                row.sum_s += other.sum_s


class MetricsSink:
    """Counts what happens in one process."""

    wants_text = False

    def __init__(self) -> None:
        self._tally = Tally()

    def emit(self, events: Sequence[Event]) -> None:
        first = events[0] if events else None
        if first is not None and _are_all_like(first, events):
            self._count(first.task, first.queue, first.kind, events)
            return
        for (task, queue, kind), group in _grouped(events).items():
            self._count(task, queue, kind, group)

    def close(self) -> None:
        pass

    def rows(self) -> Sequence[Row]:
        """Return all that was counted; they go on growing."""
        return self._tally.rows()

    def _count(self, task: str, queue: str, kind: EventKind, events: Sequence[Event]) -> None:
        end = ENDS.get(kind)
        if end is None:
            return
        row = self._tally.row(task, queue)
        row.ends[end] = row.ends.get(end, 0) + len(events)
        if kind in _TIMED:
            _time(row, [event.runtime_s for event in events if event.runtime_s is not None])


def _are_all_like(first: Event, events: Sequence[Event]) -> bool:
    """Whether all are of one task, queue and kind: the usual case under load, and it shall cost little."""
    count = len(events)
    return (
        [event.kind for event in events].count(first.kind) == count
        and [event.task for event in events].count(first.task) == count
        and [event.queue for event in events].count(first.queue) == count
    )


def _grouped(events: Sequence[Event]) -> Mapping[tuple[str, str, EventKind], Sequence[Event]]:
    groups: dict[tuple[str, str, EventKind], list[Event]] = {}
    for event in events:
        what = event.task, event.queue, event.kind
        group = groups.get(what)
        if group is None:
            groups[what] = [event]
        else:
            group.append(event)
    return groups


def _time(row: Row, runtimes_s: list[float]) -> None:
    if not runtimes_s:
        return
    if not row.counts:
        row.counts = [0] * (len(BOUNDS_S) + 1)
    row.sum_s += sum(runtimes_s)
    lowest, highest = bisect_left(BOUNDS_S, min(runtimes_s)), bisect_left(BOUNDS_S, max(runtimes_s))
    if lowest == highest:
        row.counts[lowest] += len(runtimes_s)
        return
    for runtime_s in runtimes_s:
        row.counts[bisect_left(BOUNDS_S, runtime_s)] += 1
