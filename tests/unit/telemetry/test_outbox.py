"""What is told goes out in batches; a backend that is slow or away costs events, which are counted, and nothing else."""

import asyncio
import logging
import threading
import time

import pytest

from faena.errors import BackendUnavailable
from faena.model.event import Event, EventKind
from faena.telemetry import outbox as module
from faena.telemetry.outbox import Outbox


@pytest.fixture(autouse=True)
def swift(monkeypatch):
    monkeypatch.setattr(module, "_GATHER_S", 0.01)
    monkeypatch.setattr(module, "AT_ONCE", 1000)
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(module, "_LONGEST_PAUSE_S", 0.05)


def event(number):
    return Event(EventKind.TASK_SUCCEEDED, float(number))


class Backend:
    """Keeps what it is given; `state` makes it slow or broken."""

    def __init__(self):
        self.batches, self.state = [], "well"

    async def publish(self, events):
        if self.state == "away":
            raise BackendUnavailable("redis://x", "away")
        if self.state == "slow":
            await asyncio.sleep(60)
        self.batches.append(list(events))

    @property
    def numbers(self):
        return [int(each.at_s) for batch in self.batches for each in batch]


def play(scenario):
    """Run `scenario(outbox, backend)` while the outbox sends; then let it end."""

    async def whole():
        backend = Backend()
        told = []

        def collect():
            found = told[:]
            del told[: len(found)]
            return found

        outbox = Outbox(collect, backend.publish, look_s=0.02)
        outbox.tell = told.extend
        sending = asyncio.create_task(outbox.send_forever())
        try:
            await scenario(outbox, backend)
        finally:
            sending.cancel()
            await asyncio.wait({sending})
        return outbox, backend

    return asyncio.run(whole())


async def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def test_all_arrives_in_its_order_in_batches_of_bounded_size():
    async def scenario(outbox, backend):
        outbox.tell(list(map(event, range(2500))))
        outbox.tell([event(2500)])
        await until(lambda: outbox.sent == 2501)
        outbox.tell([event(2501)])
        await until(lambda: outbox.sent == 2502)

    outbox, backend = play(scenario)
    assert backend.numbers == list(range(2502))
    assert max(map(len, backend.batches)) == 1000
    assert outbox.dropped == 0


def test_threads_put_without_losing_any():
    async def scenario(outbox, backend):
        def work(first):
            for number in range(first, first + 2000):
                outbox.tell([event(number)])

        threads = [threading.Thread(target=work, args=(first,)) for first in (0, 2000, 4000)]
        for thread in threads:
            thread.start()
        await until(lambda: outbox.sent == 6000)

    _, backend = play(scenario)
    assert sorted(backend.numbers) == list(range(6000))
    assert [each for each in backend.numbers if each < 2000] == list(range(2000))


def test_what_waits_at_the_end_goes_out():
    async def scenario(outbox, backend):
        await asyncio.sleep(0)
        outbox.tell([event(1)])

    _, backend = play(scenario)
    assert backend.numbers == [1]


def test_a_backend_that_is_away_costs_events_and_one_warning_and_is_found_again(caplog):
    async def scenario(outbox, backend):
        backend.state = "away"
        for number in range(5):
            outbox.tell([event(number)])
            await until(lambda number=number: outbox.dropped == number + 1)
        backend.state = "well"
        outbox.tell([event(9)])
        await until(lambda: outbox.sent == 1)

    with caplog.at_level(logging.INFO, "faena.worker"):
        _, backend = play(scenario)
    assert backend.numbers == [9]
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in said] == ["WARNING", "INFO"]
    assert "5 were dropped" in said[1][1]


def test_a_backend_that_is_slow_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)

    async def scenario(outbox, backend):
        backend.state = "slow"
        for number in range(100):
            outbox.tell([event(number)])
        await until(lambda: outbox.dropped == 100)

    outbox, _ = play(scenario)
    assert (outbox.sent, outbox.dropped) == (0, 100)


def test_no_more_wait_than_may_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(module, "_MOST_WAITING", 100)

    async def scenario(outbox, backend):
        outbox.tell(list(map(event, range(150))))
        for number in range(150, 170):
            outbox.tell([event(number)])
        await until(lambda: outbox.sent == 100)

    outbox, backend = play(scenario)
    assert backend.numbers == list(range(70, 170))
    assert outbox.dropped == 70
