"""Sending to a full queue, as each answer to that has it: on one store and on two."""

import asyncio
import threading

import pytest

from faena import Faena, Queue, chain, group
from faena.broker import Capabilities
from faena.brokers.memory import MemoryBroker
from faena.drivers.memory.state import forget
from faena.errors import InvalidArguments, NotSupported, PublishedInPart, QueueFull, TaskRevokedError
from faena.testing import run_pending


@pytest.fixture(params=["one store", "two stores", "a file"])
def shop(request, tmp_path):
    """An app whose tasks note what they ran."""
    file = f"sqlite:///{tmp_path}/faena.db"
    name = file if request.param == "a file" else f"memory://bounded-{id(request)}"
    backend = file if request.param == "two stores" else name
    app = Faena(
        "shop",
        broker=name,
        backend=backend,
        set_as_current=False,
        task_publish_timeout=0.3,
        task_queues=[
            Queue("default"),
            Queue("strict", max_length=2),
            Queue("patient", max_length=2, when_full="block"),
            Queue("latest", max_length=2, when_full="drop-oldest"),
            Queue("first", max_length=2, when_full="spill", spill_to="second"),
            Queue("second", max_length=1, when_full="spill", spill_to="third"),
        ],
    )
    app.ran = []

    @app.task(name="note")
    def note(number):
        app.ran.append(number)
        return number

    @app.task(name="failed")
    def failed(task_id):
        app.ran.append(("failed", task_id))

    yield app
    app.close()
    forget(name)


def sent(app, queue, *numbers, **options):
    return [app.tasks["note"].apply_async((number,), queue=queue, **options) for number in numbers]


def waiting(app):
    statuses = app.connection().broker.queues.status()
    try:
        statuses.send(None)
    except StopIteration as ended:
        return {each.name: each.waiting for each in ended.value if each.waiting}
    raise AssertionError("it waits")


def test_reject_raises_and_sends_nothing(shop):
    sent(shop, "strict", 1, 2)
    with pytest.raises(QueueFull) as caught:
        sent(shop, "strict", 3)
    assert (caught.value.queue, caught.value.max_length) == ("strict", 2)
    assert str(caught.value) == (
        "queue 'strict' is full: 2 messages wait there (max_length), and nothing was sent; send again later, let the call "
        "wait (when_full='block'), or start more workers"
    )
    assert waiting(shop) == {"strict": 2}
    run_pending(shop)
    assert shop.ran == [1, 2]
    sent(shop, "strict", 4)


def test_of_many_calls_none_is_sent_where_one_is_rejected(shop):
    note = shop.tasks["note"]
    with pytest.raises(QueueFull):
        shop.send_many([note.s(0), *[note.s(n).set(queue="strict") for n in range(3)], note.s(9).set(queue="latest")])
    assert waiting(shop) == {}
    shop.send_many([note.s(0), *[note.s(n).set(queue="strict") for n in range(2)]])
    assert waiting(shop) == {"default": 1, "strict": 2}


def test_block_waits_until_there_is_room(shop):
    shop.conf.task_publish_timeout = 10
    sent(shop, "patient", 1, 2)
    worker = threading.Timer(0.05, run_pending, [shop])
    worker.start()
    sent(shop, "patient", 3)
    worker.join()
    run_pending(shop)
    assert shop.ran == [1, 2, 3]


def test_block_gives_up_when_its_time_is_over(shop):
    sent(shop, "patient", 1, 2)
    with pytest.raises(QueueFull, match="queue 'patient' is full"):
        sent(shop, "patient", 3)
    with pytest.raises(QueueFull):
        sent(shop, "patient", 3, retry=False)
    assert waiting(shop) == {"patient": 2}


def test_of_many_calls_that_block_those_with_room_are_sent(shop):
    note = shop.tasks["note"]
    calls = [note.s(n).set(queue="patient", task_id=f"t{n}") for n in range(3)]
    with pytest.raises(PublishedInPart) as caught:
        shop.send_many(calls)
    assert caught.value.accepted == {"t0", "t1"}
    assert isinstance(caught.value.__cause__, QueueFull)
    assert waiting(shop) == {"patient": 2}


def test_what_is_dropped_has_ended_and_says_why(shop):
    results = sent(shop, "latest", 1, 2, 3, 4)
    assert [each.state for each in results[:2]] == ["REVOKED", "REVOKED"]
    with pytest.raises(TaskRevokedError, match=f"task {results[0].id} was dropped: queue 'latest' was full"):
        results[0].get(timeout=1)
    run_pending(shop)
    assert shop.ran == [3, 4]
    assert [each.get(timeout=1) for each in results[2:]] == [3, 4]


def test_the_oldest_is_dropped_whatever_its_priority(shop):
    first = sent(shop, "latest", 1, priority=9)[0]
    sent(shop, "latest", 2, 3, priority=0)
    assert first.state == "REVOKED"
    run_pending(shop)
    assert shop.ran == [2, 3]


def test_more_than_fit_at_once_drop_one_another(shop):
    note = shop.tasks["note"]
    results = shop.send_many([note.s(n).set(queue="latest") for n in range(7)])
    assert [each.state for each in results.results].count("REVOKED") == 5
    run_pending(shop)
    assert shop.ran == [5, 6]


def test_a_workflow_goes_on_to_its_end_when_a_step_is_dropped(shop):
    note = shop.tasks["note"]
    step = chain(note.s(1).set(queue="latest"), note.si(2)).apply_async()
    members = group(note.s(3).set(queue="latest"), note.s(4)).apply_async()
    sent(shop, "latest", 5, 6)
    run_pending(shop)
    assert sorted(shop.ran) == [4, 5, 6]
    for result in (step, members):
        with pytest.raises(TaskRevokedError):
            result.get(timeout=1)
        assert result.workflow.state == "FAILURE"


def test_spill_goes_on_to_the_next_queue_and_the_next(shop):
    sent(shop, "first", *range(6))
    assert waiting(shop) == {"first": 2, "second": 1, "third": 3}
    note = shop.tasks["note"]
    shop.send_many([note.s(n).set(queue="first") for n in range(3)])
    assert waiting(shop) == {"first": 2, "second": 1, "third": 6}
    run_pending(shop, queues=["first", "second", "third"])
    assert len(shop.ran) == 9


def test_the_call_may_choose_otherwise(shop):
    sent(shop, "latest", 1, 2)
    with pytest.raises(QueueFull):
        sent(shop, "latest", 3, when_full="reject")
    sent(shop, "strict", 1, 2, 3, when_full="drop-oldest")
    assert waiting(shop) == {"latest": 2, "strict": 2}
    for queue, choice, said in [
        ("default", "reject", "when_full: queue 'default' has no max_length; declare it in task_queues"),
        ("strict", "spill", "when_full='spill': queue 'strict' is declared without spill_to"),
        ("strict", "blok", "when_full is one of reject, block, drop-oldest, spill, not 'blok'; did you mean 'block'?"),
    ]:
        with pytest.raises(InvalidArguments) as caught:
            sent(shop, queue, 1, when_full=choice)
        assert str(caught.value) == f"task 'note': {said}"


def test_what_is_due_later_finds_no_bound(shop):
    sent(shop, "strict", 1, 2, 3, countdown=60)
    sent(shop, "strict", 1, 2)
    with pytest.raises(QueueFull):
        sent(shop, "strict", 3)


def test_what_workers_send_on_is_never_refused(shop):
    @shop.task(name="again", bind=True, queue="strict", max_retries=1, default_retry_delay=0)
    def again(self):
        if not self.request.retries:
            sent(shop, "strict", 7)
            raise self.retry()

    note = shop.tasks["note"]
    again.delay()
    note.apply_async((1,), queue="strict", link=[note.si(n).set(queue="strict") for n in range(2, 6)])
    run_pending(shop)
    assert sorted(shop.ran) == [1, 2, 3, 4, 5, 7]


def test_the_same_for_async_callers(shop):
    async def main():
        note = shop.tasks["note"]
        dropped = [await note.aapply_async((n,), queue="latest") for n in range(4)]
        with pytest.raises(TaskRevokedError):
            await dropped[0].aget(timeout=1)
        with pytest.raises(QueueFull):
            await shop.asend_many([note.s(n).set(queue="strict") for n in range(3)])
        for n in range(2):
            await note.aapply_async((n,), queue="patient")
        with pytest.raises(QueueFull):
            await note.aapply_async((2,), queue="patient")
        await shop.aclose()

    asyncio.run(main())
    assert waiting(shop) == {"latest": 2, "patient": 2}


def test_a_broker_that_cannot_count_refuses_with_the_reason(shop, monkeypatch):
    if shop.conf.broker_url.startswith("sqlite"):
        pytest.skip("once is enough")
    monkeypatch.setattr(MemoryBroker, "capabilities", Capabilities(durable=False, lease="holder", joint=True))
    with pytest.raises(NotSupported) as caught:
        sent(shop, "strict", 1)
    assert str(caught.value) == (
        "MemoryBroker does not support max_length of queue 'strict': it cannot count what waits while it takes a message; "
        "leave max_length out, or keep the queue on a broker that can (memory, SQLite, Redis)"
    )
