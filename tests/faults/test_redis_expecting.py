"""Who sends a task and waits for it, again and again: what is sent takes along where its result is to be told."""

import asyncio
import re
import signal
import threading

import pytest

from faena import Faena
from faena._lib.drive import run
from faena.backend import Completion
from faena.errors import ResultTimeout
from faena.model.delivery import Ack
from faena.model.result import ResultRecord


class Hand:
    """A client whose worker is the test: it runs what was sent when it is told to."""

    def __init__(self, server):
        self.app = Faena("expecting", broker=server.url, result_backend=server.url)
        self.task = self.app.task(name="t")(lambda number: number)
        self.worker = Faena("worker", broker=server.url, result_backend=server.url)
        self.driver = self.app.connection().broker.driver
        self.holder = None

    def sees(self, words):
        """Ask the server, on a connection of nobody who is tested."""
        return run(self.worker.connection().broker.driver.command(*words))

    def calls(self):
        """Return how many scripts clients have sent."""
        return int(re.search(rb"cmdstat_evalsha:calls=(\d+)", self.sees(["INFO", "commandstats"]))[1])

    def work(self, value=b"7"):
        """Run one, as a worker would, with this result."""
        link = self.worker.connection()
        self.holder = self.holder or run(link.broker.leases.open_holder("test", 600))
        consumer = link.broker.consumer(self.holder, ["default"])
        (delivery,) = run(consumer.receive(1, 0.0))
        result = ResultRecord(delivery.message.id, "t", "SUCCESS", value)
        assert list(run(link.backend.joint(link.broker, self.holder).complete([Completion(Ack(delivery), result)]))) == [
            True
        ]
        run(consumer.close())

    def has_waited(self):
        """Send and wait twice, so that it is likely to happen again."""
        for _ in range(2):
            result = self.task.delay(1)
            self.work()
            assert result.get(timeout=10) == 7

    def trip(self):
        result = self.task.delay(1)
        thread = threading.Thread(target=self.work)
        thread.start()
        try:
            return result.get(timeout=10)
        finally:
            thread.join()

    def close(self):
        self.app.close()
        self.worker.close()


@pytest.fixture
def hand(redis_of):
    made = Hand(redis_of())
    yield made
    made.close()


def watched(hand):
    return set(hand.sees(["HKEYS", "{faena}:watch"]))


def test_the_second_round_trip_asks_for_nothing_but_to_take_the_message(hand):
    hand.has_waited()
    result = hand.task.delay(1)
    assert watched(hand) == {result.id.encode()}
    hand.work()
    before = hand.calls()
    assert result.get(timeout=10) == 7
    assert hand.calls() == before  # what came of it was here already


def test_results_come_while_they_are_waited_for(hand):
    assert [hand.trip() for _ in range(5)] == [7] * 5


def test_what_nobody_waits_for_is_forgotten_and_the_next_goes_without(hand):
    hand.has_waited()
    first, second = hand.task.delay(1), hand.task.delay(2)
    assert watched(hand) == {first.id.encode()}
    hand.work()
    hand.work()
    assert watched(hand) == set()
    assert second.get(timeout=10) == 7
    assert first.get(timeout=10) == 7


def test_news_that_went_by_a_connection_that_is_gone_are_asked_for(hand):
    hand.has_waited()
    result = hand.task.delay(1)
    assert hand.sees(["CLIENT", "KILL", "TYPE", "pubsub"]) == 1
    hand.work()
    assert result.get(timeout=10) == 7
    result = hand.task.delay(1)
    hand.work()
    assert result.get(timeout=10) == 7


def test_another_thread_that_waits_hands_on_what_was_expected_here(hand):
    hand.has_waited()
    expected = hand.task.delay(1)
    other = hand.app.send_task("t", (2,), queue="elsewhere")

    def wait():
        with pytest.raises(ResultTimeout):
            other.get(timeout=1.0)

    waits = threading.Thread(target=wait)
    waits.start()
    hand.work()
    waits.join()
    assert expected.get(timeout=10) == 7


def test_a_message_whose_id_is_taken_brings_no_news_of_another(hand):
    hand.has_waited()
    hand.app.send_task("t", (1,), task_id="same")
    again = hand.app.send_task("t", (2,), task_id="same")
    hand.work()
    assert again.get(timeout=10) == 7


def later(work):
    """Do this while something is waited for."""
    timer = threading.Timer(0.1, work)
    timer.start()
    return timer


def test_what_takes_longer_than_the_first_look_is_waited_for(hand):
    hand.has_waited()
    result = hand.task.delay(1)
    working = threading.Timer(0.6, hand.work)
    working.start()
    assert result.get(timeout=10) == 7
    working.join()
    result = hand.task.delay(1)
    for timeout in (0.05, 0.4):
        with pytest.raises(ResultTimeout):
            result.get(timeout=timeout)
    hand.work()
    assert result.get(timeout=10) == 7


def test_a_result_too_large_for_the_news_is_read(hand):
    hand.has_waited()
    result = hand.task.delay(1)
    working = later(lambda: hand.work(b'"' + b"x" * 10_000 + b'"'))
    assert result.get(timeout=10) == "x" * 10_000
    working.join()
    assert hand.trip() == 7


@pytest.mark.parametrize("ask", [{}, {"on_progress": lambda _: None}])
def test_progress_comes_before_the_result(hand, ask):
    hand.has_waited()
    result = hand.task.delay(1)

    def work():
        run(hand.worker.connection().backend.record([ResultRecord(result.id, "t", "PROGRESS", b"1")]))
        hand.work()

    working = later(work)
    assert result.get(timeout=10, **ask) == 7
    working.join()
    assert hand.trip() == 7


def test_news_of_another_that_come_first_are_not_taken_for_it(hand):
    hand.has_waited()
    (watch,) = hand.app.links.blocking().idle_watches
    assert run(watch.add(["other"])) == [None]  # as who waits for several
    result = hand.task.delay(1)

    def work():
        run(hand.worker.connection().backend.record([ResultRecord("other", "t", "SUCCESS", b"8")]))
        hand.work()

    working = later(work)
    assert result.get(timeout=10) == 7
    working.join()
    assert hand.app.AsyncResult("other").get(timeout=10) == 8


def test_a_connection_that_goes_while_it_is_waited_is_made_anew(hand):
    hand.has_waited()
    result = hand.task.delay(1)

    def work():
        assert hand.sees(["CLIENT", "KILL", "TYPE", "pubsub"]) == 1
        hand.work()

    working = later(work)
    assert result.get(timeout=10) == 7
    working.join()
    assert [hand.trip() for _ in range(3)] == [7] * 3


class _BrokenOff(BaseException):
    """As Ctrl-C breaks off a wait."""


def test_a_wait_that_is_broken_off_can_be_repeated(hand):
    hand.has_waited()
    result = hand.task.delay(1)

    def break_off(*_):
        raise _BrokenOff

    before = signal.signal(signal.SIGALRM, break_off)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(_BrokenOff):
            result.get(timeout=10)
    finally:
        signal.signal(signal.SIGALRM, before)
    hand.work()
    assert result.get(timeout=10) == 7
    assert [hand.trip() for _ in range(3)] == [7] * 3


def test_a_block_that_collects_is_sent_before_it_is_waited_for(hand):
    hand.has_waited()
    with hand.app.buffered():
        result = hand.task.delay(1)
        working = later(hand.work)
        assert result.get(timeout=10) == 7
        working.join()


def test_threads_that_send_and_wait_each_get_what_is_theirs(hand):
    ends = threading.Event()

    def work():
        link = hand.worker.connection()
        holder = run(link.broker.leases.open_holder("test", 600))
        consumer = link.broker.consumer(holder, ["default"])
        joint = link.backend.joint(link.broker, holder)
        while not ends.is_set():
            batch = run(consumer.receive(1, 0.2))
            done = [
                Completion(Ack(each), ResultRecord(each.message.id, "t", "SUCCESS", each.message.body[2:-5]))
                for each in batch
            ]
            assert not done or all(run(joint.complete(done)))
        run(consumer.close())

    def client(begin):
        got.extend(hand.task.delay(number).get(timeout=10) for number in range(begin, begin + 50))

    got = []
    working = threading.Thread(target=work)
    clients = [threading.Thread(target=client, args=(begin,)) for begin in (100, 200, 300, 400)]
    for thread in (working, *clients):
        thread.start()
    for thread in clients:
        thread.join()
    ends.set()
    working.join()
    assert sorted(got) == [begin + number for begin in (100, 200, 300, 400) for number in range(50)]


def test_on_an_event_loop_too(hand):
    async def go():
        for _ in range(2):
            result = await hand.task.adelay(1)
            hand.work()
            assert await result.aget(timeout=10) == 7
        result = await hand.task.adelay(1)
        assert watched(hand) == {result.id.encode()}
        hand.work()
        before = hand.calls()
        assert await result.aget(timeout=10) == 7
        assert hand.calls() == before
        await hand.app.aclose()

    asyncio.run(go())
