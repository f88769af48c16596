"""What the holder of the scheduler's lease does, and who holds it."""

import asyncio
import os
import time

import pytest

from faena import Faena, chain, group
from faena._lib.drive import run
from faena.backends.sqlite import SqliteBackend
from faena.brokers.sqlite import SqliteBroker
from faena.errors import MessageTooLarge
from faena.model.journal import Entry, Parked
from faena.model.message import Message
from faena.scheduler.loop import Scheduler, do_duties

LEASE_S = 0.8


@pytest.fixture
def app(tmp_path):
    """An app whose broker and backend are two stores: what becomes ready is handed out, to be published."""
    app = Faena(
        "apart",
        broker=f"sqlite:///{tmp_path}/broker.db",
        backend=f"sqlite:///{tmp_path}/backend.db",
        set_as_current=False,
    )

    @app.task(name="apart.inc")
    def inc(n):
        return n + 1

    with app:
        yield app


def place_of(app, *ids):
    return [place and place.value for place in run(app.connection().broker.locate(ids))]


def started(app, canvas):
    """Start a workflow as a client does that dies before it has published anything; return the first messages' ids."""
    new, _ = app.workflows.compiled(canvas, {})
    link = app.connection()
    return [message.id for message in run(link.backend.workflows.start(new, link.broker))]


def test_steps_that_nobody_published_are_published_once(app):
    inc = app.tasks["apart.inc"]
    ids = started(app, group(inc.s(1), inc.s(2)))
    assert place_of(app, *ids) == [None, None]
    assert run(do_duties(app.connection(), grace_s=1000)) == 0  # whoever started it may still be at it
    assert run(do_duties(app.connection(), grace_s=-1)) == 2
    assert place_of(app, *ids) == ["waiting", "waiting"]
    assert run(do_duties(app.connection(), grace_s=-1)) == 0


def test_a_step_that_no_broker_takes_fails_and_is_in_nobodys_way(app):
    app.conf.broker_transport_options = {"largest_message_bytes": 20_000}
    inc = app.tasks["apart.inc"]
    large, small = started(app, group(inc.s(os.urandom(20_000).hex()), inc.s(1)))
    assert run(do_duties(app.connection(), grace_s=-1)) == 2
    assert place_of(app, large, small) == [None, "waiting"]
    with pytest.raises(MessageTooLarge):
        app.AsyncResult(large).get(timeout=5)
    assert run(do_duties(app.connection(), grace_s=-1)) == 0


def test_a_step_after_an_end_that_was_taken_and_not_followed_up_is_published(app):
    inc = app.tasks["apart.inc"]
    (first,) = started(app, chain(inc.s(1), inc.s()))
    link = app.connection()
    run(do_duties(link, grace_s=-1))
    workflow = first.rpartition(".")[0]
    (node,) = run(link.backend.workflows.nodes(workflow, [0]))
    from faena.model.workflow import Ending, NodeState

    event = Ending(workflow, 0, node.standing.run, NodeState.SUCCESS, b"2", "json")
    run(link.backend.workflows.advance([], [event]))  # and here the worker dies
    assert place_of(app, f"{workflow}.1") == [None]
    assert run(do_duties(link, grace_s=-1)) == 1
    assert place_of(app, f"{workflow}.1") == ["waiting"]


def test_whose_time_of_waiting_is_over_is_published_and_once_more_if_it_does_not_come_back(app):
    link = app.connection()
    message = Message("1", "apart.inc", "default", b"[[1],{}]")
    run(link.backend.journal.park([Parked(message, "go", time.time() - 1)]))
    assert run(do_duties(link, grace_s=1000)) == 1
    assert place_of(app, "1") == ["waiting"]
    assert run(do_duties(link, grace_s=1000)) == 0
    assert run(do_duties(link, grace_s=-1)) == 1  # the broker has it already, and takes it once
    assert len(run(link.broker.queues.browse("default", 10))) == 1
    assert run(do_duties(link, grace_s=-1)) == 0


def test_where_broker_and_backend_are_one_it_needs_no_publishing(tmp_path):
    url = f"sqlite:///{tmp_path}/one.db"
    broker, backend = SqliteBroker.connect(url, io="blocking"), SqliteBackend.connect(url, io="blocking")
    run(broker.open())
    run(backend.open())
    from faena.app.links import Link

    link = Link(broker, backend)
    run(backend.journal.park([Parked(Message("1", "t", "q", b""), "go", time.time() - 1)]))
    run(backend.journal.park([Parked(Message("2", "t", "q", b""), "go")]))
    assert run(do_duties(link)) == 0
    assert [place and place.value for place in run(broker.locate(["1", "2"]))] == ["waiting", None]
    run(backend.journal.signal(Entry("go"), time.time() + 60, broker))
    assert [place and place.value for place in run(broker.locate(["1", "2"]))] == ["waiting", "waiting"]
    run(backend.close())
    run(broker.close())


def test_who_stops_lets_go_of_the_lease(app):
    async def scene():
        link = await app.links.asyncio()

        async def give():
            return link

        one = Scheduler("one", give, lease_s=1000)
        running = asyncio.create_task(one.run_forever())
        while not one.is_leader:
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        free = await link.backend.lead("scheduler", "two", 1000)
        await app.aclose()
        return free

    assert asyncio.run(scene())


def test_one_of_all_holds_the_lease_and_another_takes_it_when_it_is_gone(app):
    async def scene():
        link = await app.links.asyncio()

        async def give():
            return link

        one, two = Scheduler("one", give, lease_s=LEASE_S), Scheduler("two", give, lease_s=LEASE_S)
        first = asyncio.create_task(one.run_forever())
        while not one.is_leader:
            await asyncio.sleep(0)
        second = asyncio.create_task(two.run_forever())
        await asyncio.sleep(0.05)
        held = (one.is_leader, two.is_leader)
        one.is_leader = False  # as when its process dies: it says nothing to anybody
        first.cancel()
        began_s = time.monotonic()
        while not two.is_leader:
            await asyncio.sleep(0.05)
        took_s = time.monotonic() - began_s
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        await app.aclose()
        return held, took_s

    held, took_s = asyncio.run(scene())
    assert held == (True, False)
    assert took_s < LEASE_S + 5
