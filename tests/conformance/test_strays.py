"""Steps of workflows whose message is gone fail, wherever broker and backend are; no other step does."""

import asyncio
import time

import pytest

from faena import Faena, chain, group
from faena._lib.drive import run
from faena.errors import ChordError, MessageLostError
from faena.model.delivery import Ack, Release
from faena.model.journal import Parked
from faena.model.workflow import WorkflowState
from faena.scheduler.strays import Strays

PLACES = ["memory", "sqlite", "redis", "a file and redis", "redis and a file"]


@pytest.fixture(params=PLACES)
def app(request, tmp_path):
    redis = request.getfixturevalue("redis_server").url if "redis" in request.param else ""
    redis += f"?prefix=strays-{time.monotonic_ns()}"
    file, other = f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/two.db"
    broker, backend = {
        "memory": (f"memory://{tmp_path.name}", None),
        "sqlite": (file, None),
        "redis": (redis, None),
        "a file and redis": (file, redis),
        "redis and a file": (redis, other),
    }[request.param]
    app = Faena("strays", broker=broker, backend=backend, set_as_current=False)

    @app.task(name="strays.inc")
    def inc(n, more=0):
        return n + 1

    @app.task(name="strays.total")
    def total(numbers):
        return sum(numbers)

    with app:
        yield app
        app.close()


@pytest.fixture
def inc(app):
    return app.tasks["strays.inc"]


def looks(app, count=1, strays=None):
    """Look so often; return how many steps have failed each time."""
    strays = strays or Strays(every_s=0, grace_s=-1)
    return [run(strays.look(app.connection())) for _ in range(count)]


def taken(app, limit=10):
    """Take messages as a worker does; return them, and how to let go of one as done."""
    broker = app.connection().broker
    consumer = broker.consumer(run(broker.leases.open_holder("test", 600)), ["default"])
    return run(consumer.receive(limit, 0.0)), consumer


def test_what_is_in_the_broker_or_held_or_waits_for_an_event_is_no_stray(app, inc):
    sent = [
        chain(inc.s(1), inc.s()).apply_async(),  # will be held
        chain(inc.s(1).set(countdown=600), inc.s()).apply_async(),
        group(inc.s(1), inc.s(2)).apply_async(),  # one waits for an event, the other for its turn
    ]
    (_, first, second), consumer = taken(app)
    assert list(run(app.connection().backend.journal.park([Parked(first.message, "go", None)]))) == [True]
    assert list(run(consumer.settle([Ack(first), Release(second)]))) == [True, True]
    assert looks(app, 3) == [0, 0, 0]
    assert {each.workflow.state for each in sent} == {WorkflowState.RUNNING}


def test_steps_whose_queue_was_purged_fail_at_the_second_look_and_the_workflow_ends(app, inc):
    lost = (group(inc.s(1), inc.s(2)) | app.tasks["strays.total"].s()).apply_async()
    ends_well = chain(inc.s(1).set(queue="other"), inc.s()).apply_async()
    assert run(app.connection().broker.queues.purge("default")) == 2
    assert lost.workflow.state is WorkflowState.RUNNING
    assert looks(app, 3) == [0, 2, 0]
    with pytest.raises(ChordError, match="MessageLostError"):
        lost.get(timeout=5)
    with pytest.raises(MessageLostError, match=r"the message of task 'strays.inc' is gone: its queue was purged"):
        lost.parent.results[0].get(timeout=5)
    assert (lost.workflow.state, ends_well.workflow.state) == (WorkflowState.FAILURE, WorkflowState.RUNNING)


def test_what_has_gone_astray_can_be_run_again(app, inc):
    result = chain(inc.s(1), inc.s()).apply_async()
    run(app.connection().broker.queues.purge("default"))
    assert looks(app, 2) == [0, 1]
    result.workflow.retry()
    assert looks(app, 2) == [0, 0]
    (again,), _ = taken(app)
    assert again.message.id == result.parent.id


def test_a_step_that_is_back_at_the_second_look_does_not_fail(app, inc):
    chain(inc.s(1), inc.s()).apply_async()
    (delivery,), consumer = taken(app)
    strays = Strays(every_s=0, grace_s=-1)
    run(consumer.settle([Ack(delivery)]))  # between two stores a message can be in neither for a moment
    assert looks(app, 1, strays) == [0]
    run(app.connection().broker.publish([delivery.message]))
    assert looks(app, 2, strays) == [0, 0]


def test_what_was_sent_a_moment_ago_is_left_alone(app, inc):
    chain(inc.s(1), inc.s()).apply_async()
    run(app.connection().broker.queues.purge("default"))
    assert looks(app, 3, Strays(every_s=0, grace_s=60)) == [0, 0, 0]
    assert looks(app, 3, Strays(every_s=60, grace_s=-1)) == [0, 0, 0]  # nor is there a look all the time


def test_all_workflows_are_looked_through_a_part_at_a_time(app, inc, monkeypatch):
    monkeypatch.setattr("faena.scheduler.strays._WORKFLOWS_AT_ONCE", 2)
    monkeypatch.setattr("faena.scheduler.strays._NODES_AT_ONCE", 3)
    groups = [group([inc.s(n) for n in range(5)]).apply_async() for _ in range(5)]
    run(app.connection().broker.queues.purge("default"))
    strays = Strays(every_s=0, grace_s=-1)
    assert looks(app, 7, strays) == [0, 10, 5, 10, 0, 0, 0]  # who fails is not counted in the places of those who go on
    assert {each.workflow.state for each in groups} == {WorkflowState.FAILURE}


def test_it_waits_for_no_loop_of_its_own(app, inc):
    """Worker processes look from an event loop, on connections of another kind."""
    if app.conf.broker_url.startswith("memory"):
        pytest.skip("it has one way to wait")
    result = chain(inc.s(1), inc.s()).apply_async()
    run(app.connection().broker.queues.purge("default"))

    async def play():
        link = await app.links.asyncio()
        strays = Strays(every_s=0, grace_s=-1)
        failed = [await strays.look(link) for _ in range(2)]
        await app.aclose()
        return failed

    assert asyncio.run(play()) == [0, 1]
    assert result.workflow.state is WorkflowState.FAILURE
