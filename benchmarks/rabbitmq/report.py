"""What a run on RabbitMQ says: a table for people, one JSON file that keeps every sample, and a page with its plot."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.embedded.report import machine
from benchmarks.rabbitmq.bars import QUORUM, bars
from benchmarks.rabbitmq.contenders import CLASSIC, CONTENDERS, FAENA
from benchmarks.rabbitmq.rounds import AT_ONCE, BUFFERED, BULK, IGNORED, KEPT, ONE
from benchmarks.redis.plot import bar_chart
from benchmarks.redis.report import Run, about, table, verdicts
from benchmarks.redis.rounds import middle


def page(run: Run) -> str:
    """Return the figures, the bars and what each contender is, as Markdown."""
    where = {**machine(), **run.facts.get("machine", {})}
    rounds = [len(samples) for rows in run.samples.values() for samples in rows.values()]
    return f"""\
# Figures on RabbitMQ

Written by `python -m benchmarks.rabbitmq` ([how](../../benchmarks/README.md#on-rabbitmq), [why](rabbitmq.md)).
{where["cores"]} cores of {where["processor"]}, Python {where["python"]}, RabbitMQ {run.facts["server"]}; results in
Redis; clients, servers and workers share the machine. Medians of {min(rounds)} to {max(rounds)} rounds; ratios are medians
of those within a round, and only they may be compared with another machine's.

## Rates, two worker processes

{_rates(run)}

`CPU` is that of the client or of the worker's processes, for one message; `servers` that of RabbitMQ and Redis together.

## Bars

{verdicts(bars(run.samples))}

## Contenders

{about(run, CONTENDERS)}
"""


def chart(run: Run) -> str:
    figures = {name: middle(samples, "per_s") for name, samples in run.samples.get(KEPT, {}).items()}
    return bar_chart("RabbitMQ: no-op tasks, results kept in Redis, two processes", "tasks per second", figures, QUORUM)


def _rates(run: Run) -> str:
    def cell(what: str, name: str, key: str = "per_s", form: str = "{:,.0f}") -> str:
        samples = run.samples.get(what, {}).get(name)
        return form.format(middle(samples, key)) if samples else ""

    def cost(what: str, name: str) -> str:
        return cell(what, name, "cpu_us", "{:,.0f}")

    rows = [
        (
            name, cell(ONE, name), cost(ONE, name), cell(BULK, name), cost(BULK, name), cell(KEPT, name), cost(KEPT, name),
            cell(KEPT, name, "server_us"), cell(IGNORED, name), cost(IGNORED, name), cell(IGNORED, name, "server_us"),
        )
        for name in _names(run)
    ]  # fmt: skip
    head = (
        "", "one by one, per s", "CPU, µs", "500 in a call, per s", "CPU, µs", "results kept, per s", "CPU, µs",
        "servers, µs", "results ignored, per s", "CPU, µs", "servers, µs",
    )  # fmt: skip
    return table(head, rows)


def _names(run: Run) -> Sequence[str]:
    order = [each.name for each in CONTENDERS]
    order[2:2] = [each.name + how for each in (FAENA, CLASSIC) for how in (AT_ONCE, BUFFERED)]
    found = {name for rows in run.samples.values() for name in rows}
    return [name for name in order if name in found]
