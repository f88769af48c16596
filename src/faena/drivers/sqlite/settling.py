"""Settle deliveries, and complete attempts in one step with what they leave behind (law 7).

A batch of plain acknowledgements, which is nearly every batch, takes a few statements for all. Where it shows that one
of them was not ours any more, the step is undone and the batch is gone through one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from faena.backend import Completion
from faena.drivers.signals import name_of
from faena.drivers.sqlite import results, steps
from faena.drivers.sqlite.driver import Driver
from faena.model.delivery import Ack, Settlement


class _Differs(Exception):
    """Not every row was there: go one by one."""


def settle(driver: Driver, settlements: Sequence[Settlement]) -> list[bool]:
    """Carry out the settlements on the calling thread; say of each whether its delivery was ours."""
    database, largest_bytes = driver.database, driver.location.largest_message_bytes
    acks = [each.delivery.grip for each in settlements if type(each) is Ack]
    if len(acks) == len(settlements):
        try:
            database.write(lambda sql: _ack_all(sql, acks))
        except _Differs:
            pass
        else:
            return [True] * len(settlements)
    touched: set[str] = set()
    done = database.write(lambda sql: [steps.settle_one(sql, each, touched, largest_bytes) for each in settlements])
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
        acks = [each.settlement.delivery.grip for each in completions if type(each.settlement) is Ack]
        tickets: results.Tickets = {}
        touched: set[str] = set()
        done: list[bool] | None = None
        if len(acks) == len(completions):
            try:
                tickets = database.write(lambda sql: self._all_at_once(sql, acks, completions, touched))
                done = [True] * len(completions)
            except _Differs:
                touched.clear()
        if done is None:
            done, tickets = database.write(lambda sql: self._one_by_one(sql, completions, touched))
        driver.signals.notify([name_of("q", queue) for queue in touched])
        results.tell(driver.signals, tickets)
        return done

    def _all_at_once(
        self,
        connection: sqlite3.Connection,
        grips: list[tuple[int, int]],
        completions: Sequence[Completion],
        touched: set[str],
    ) -> results.Tickets:
        _ack_all(connection, grips)
        records = [each.result for each in completions if each.result is not None]
        tickets: results.Tickets = {}
        if records:
            rows = [results.row_of(record) for record in records]
            if results.record_all(connection, rows) != len(rows):
                raise _Differs
            tickets = results.take_tickets(connection, {record.id: record.state for record in records})
        publish = [
            steps.row_of(message, self._driver.location.largest_message_bytes)
            for each in completions
            if each.publish
            for message in each.publish
        ]
        if publish:
            steps.insert(connection, publish)
            touched.update([row[1] for row in publish])
        return tickets

    def _one_by_one(
        self, connection: sqlite3.Connection, completions: Sequence[Completion], touched: set[str]
    ) -> tuple[list[bool], results.Tickets]:
        largest_bytes = self._driver.location.largest_message_bytes
        done: list[bool] = []
        states: dict[str, str] = {}
        for each in completions:
            is_ours = steps.settle_one(connection, each.settlement, touched, largest_bytes)
            done.append(is_ours)
            if not is_ours:
                continue
            if each.result is not None:
                if not results.record_one(connection, results.row_of(each.result)):
                    continue  # it had ended otherwise before: what would have followed does not
                states[each.result.id] = each.result.state
            if each.publish:
                rows = [steps.row_of(message, largest_bytes) for message in each.publish]
                steps.insert(connection, rows)
                touched.update([row[1] for row in rows])
        return done, results.take_tickets(connection, states) if states else {}


def _ack_all(connection: sqlite3.Connection, grips: list[tuple[int, int]]) -> None:
    if steps.ack_all(connection, grips) != len(grips):
        raise _Differs
