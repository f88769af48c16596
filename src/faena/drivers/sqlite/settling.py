"""Settle deliveries, and complete attempts in one step with what they leave behind (law 7).

A batch of plain acknowledgements, which is nearly every batch, takes a few statements for all. Where it shows that one
of them was not ours any more, the step is undone and the batch is gone through one by one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from faena.backend import Completion
from faena.drivers.signals import name_of
from faena.drivers.sqlite import journal, lanes, results, steps, unique, workflows
from faena.drivers.sqlite.database import Connection
from faena.drivers.sqlite.driver import Driver
from faena.drivers.sqlite.stepping import carry_out
from faena.drivers.sqlite.workflows import Effects
from faena.model.claim import released_by
from faena.model.delivery import Ack, Delivery, Release, Settlement


class _Differs(Exception):
    """Not every row was there: go one by one."""


def settle(driver: Driver, settlements: Sequence[Settlement]) -> list[bool]:
    """Carry out the settlements on the calling thread; say of each whether its delivery was ours."""
    database, largest_bytes = driver.database, driver.location.largest_message_bytes
    grips = [each.delivery.grip for each in settlements]
    if _are_acks(settlements):
        settled = Counter([claim for _, claim in grips])
        try:
            touched = database.write(lambda sql: _ack_all(sql, driver, settlements, settled))
        except _Differs:
            pass
        else:
            steps.count_down(settled, driver.outstanding)
            driver.signals.notify([name_of("q", queue) for queue in touched])
            return [True] * len(grips)
    touched = set()

    def one_by_one(connection: Connection) -> tuple[list[bool], Counter[int]]:
        done = [steps.settle_one(connection, each, touched, largest_bytes) for each in settlements]
        return done, _end_claims(connection, driver, grips, done)

    done, settled = database.write(one_by_one)
    steps.count_down(settled, driver.outstanding)
    driver.signals.notify([name_of("q", queue) for queue in touched])
    return done


class SqliteJoint:
    """See `faena.backend.JointSettler`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        return await self._driver.call(self._complete, completions) if completions else ()

    def _complete(self, completions: Sequence[Completion]) -> list[bool]:
        driver = self._driver
        database = driver.database
        grips = [each.settlement.delivery.grip for each in completions]
        tickets: results.Tickets = {}
        touched: set[str] = set()
        settled: Counter[int] = Counter()
        rows = [results.row_of(each.result) for each in completions if each.result is not None]  # before others wait for us
        done: list[bool] | None = None
        if _are_acks([each.settlement for each in completions]) and all(each.park is None for each in completions):
            settled = Counter([claim for _, claim in grips])
            try:
                tickets = database.write(lambda sql: self._all_at_once(sql, settled, rows, completions, touched))
                done = [True] * len(completions)
            except _Differs:
                touched.clear()
        if done is None:
            done, tickets, settled = database.write(lambda sql: self._one_by_one(sql, completions, touched))
        steps.count_down(settled, driver.outstanding)
        driver.signals.notify([name_of("q", queue) for queue in touched])
        results.tell(driver.signals, tickets)
        return done

    def _all_at_once(
        self,
        connection: Connection,
        settled: Counter[int],
        rows: Sequence[results.ResultRow],
        completions: Sequence[Completion],
        touched: set[str],
    ) -> results.Tickets:
        touched |= _ack_all(connection, self._driver, [each.settlement for each in completions], settled)
        if rows and results.record_all(connection, rows) != len(rows):
            raise _Differs
        tickets = results.take_tickets(connection, rows)
        publish = [
            steps.row_of(message, self._driver.location.largest_message_bytes)
            for each in completions
            if each.publish
            for message in each.publish
        ]
        if publish:
            steps.insert(connection, publish)
            touched.update([row[0] for row in publish])
        return _merged(tickets, self._step(connection, completions, touched))

    def _one_by_one(
        self, connection: Connection, completions: Sequence[Completion], touched: set[str]
    ) -> tuple[list[bool], results.Tickets, Counter[int]]:
        largest_bytes = self._driver.location.largest_message_bytes
        done: list[bool] = []
        kept: list[results.ResultRow] = []
        ours: list[Completion] = []
        for each in completions:
            is_ours = steps.settle_one(connection, _settlement_of(each, connection), touched, largest_bytes)
            done.append(is_ours)
            if not is_ours:
                continue
            ours.append(each)
            if each.result is not None:
                row = results.row_of(each.result)
                if not results.record_each(connection, [row])[0]:
                    continue  # it had ended otherwise before: what would have followed does not
                kept.append(row)
            if each.publish:
                rows = [steps.row_of(message, largest_bytes) for message in each.publish]
                steps.insert(connection, rows)
                touched.update([row[0] for row in rows])
        settled = _end_claims(connection, self._driver, [each.settlement.delivery.grip for each in completions], done)
        tickets = results.take_tickets(connection, kept)
        return done, _merged(tickets, self._step(connection, ours, touched)), settled

    def _step(self, connection: Connection, completions: Sequence[Completion], touched: set[str]) -> results.Tickets | None:
        """Take the steps of the workflows that these belong to; None: they belong to none."""
        endings = [each.ending for each in completions if each.ending is not None]
        starts = [each.start for each in completions if each.start is not None]
        ends = [(each.settlement.delivery.message.id, each.journal) for each in completions if each.journal is not None
                and isinstance(each.settlement.delivery, Delivery)]  # fmt: skip
        if ends:
            journal.end_all(connection, ends)
        claimed = [each for each in completions if type(each.settlement) is not Ack
                   or each.settlement.delivery.message.claim is not None]  # fmt: skip
        for each in claimed:
            unique.release(connection, released_by(each.settlement, each.result, is_parked=each.park is not None))
        for each in completions:
            if each.park is not None:
                journal.park_one(connection, each.park)
        if not endings and not starts:
            return None
        effects = Effects(time.time(), publishes=True)
        workflows.end_all(connection, endings, effects)
        for new in starts:
            workflows.start(connection, new, effects)
        return carry_out(connection, effects, touched, self._driver.location.largest_message_bytes)


def _settlement_of(completion: Completion, connection: Connection) -> Settlement:
    """Return how the delivery is let go of: one that has nothing to wait for goes back instead."""
    park = completion.park
    if park is not None and isinstance(completion.settlement, Ack) and not journal.may_wait(connection, park):
        return Release(completion.settlement.delivery, park.message)
    return completion.settlement


def _merged(tickets: results.Tickets, more: results.Tickets | None) -> results.Tickets:
    for fifo, data in (more or {}).items():
        tickets.setdefault(fifo, bytearray()).extend(data)
    return tickets


def _are_acks(settlements: Sequence[Settlement]) -> bool:
    return all(type(each) is Ack for each in settlements)


def _ack_all(connection: Connection, driver: Driver, settlements: Sequence[Settlement], settled: Counter[int]) -> set[str]:
    """Acknowledge all; return the queues in which what was under limits has made room."""
    if steps.ack_all(connection, [each.delivery.grip for each in settlements]) != len(settlements):
        raise _Differs
    steps.end_claims(connection, settled, driver.outstanding)
    limited = [of for each in settlements if type(of := each.delivery) is Delivery and of.message.lane is not None]
    if not limited:
        return set()
    effects = lanes.Effects(connection)
    for delivery in limited:
        seq, claim = delivery.grip
        lanes.give_back(effects, claim, seq, refund=False)
    return set(effects.names())


def _end_claims(connection: Connection, driver: Driver, grips: list[tuple[int, int]], done: list[bool]) -> Counter[int]:
    settled = Counter([claim for (_, claim), is_ours in zip(grips, done, strict=True) if is_ours])
    steps.end_claims(connection, settled, driver.outstanding)
    return settled
