"""Workflows on Redis: what is large, what a crash leaves half done, what is published word for word, and what goes when."""

import time

import pytest
from msgspec.structs import replace

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.backend import Completion
from faena.backends.redis import RedisBackend
from faena.brokers.redis import RedisBroker
from faena.errors import BackendUnavailable
from faena.model.delivery import Ack
from faena.model.journal import Entry, Parked
from faena.model.message import Link
from faena.model.workflow import NodeState, Timing, WorkflowState, node_id, prepared
from faena.testing.conformance.sketch import ELSEWHERE, Sketch, chain, ending, failed, result_of, sent
from faena.testing.conformance.stage import message

LARGE = 2500  # more than one script takes
YEAR_MS, HOUR_MS = 31_536_000_000, 3_600_000


class Place:
    """A place of its own, with both adapters, and a consumer."""

    def __init__(self, url):
        options = {"prefix": new_id()}
        self.broker = RedisBroker.connect(url, io="blocking", options=options)
        self.backend = RedisBackend.connect(url, io="blocking", options=options)
        run(self.broker.open())
        run(self.backend.open())
        self.workflows, self.driver = self.backend.workflows, self.backend.driver
        holder = run(self.broker.leases.open_holder("test", 60.0))
        self.consumer = self.broker.consumer(holder, ["default"])
        self.settler = self.backend.joint(self.broker, holder)

    def close(self):
        run(self.consumer.close())
        run(self.broker.close())
        run(self.backend.close())

    def take(self, most=10_000):
        """Return the deliveries that are there, in their order."""
        found = []
        while len(found) < most and (batch := run(self.consumer.receive(most - len(found), 0))):
            found += batch
        return found

    def succeed(self, deliveries):
        completions = []
        for delivery in deliveries:
            member = delivery.message.member
            event = ending(member.workflow, member.node, b"%d" % member.node, run=member.run)
            completions.append(Completion(Ack(delivery), result_of(event), (), event))
        assert list(run(self.settler.complete(completions))) == [True] * len(completions)

    def command(self, *words):
        return run(self.driver.command(*words))

    def keys(self):
        """Return the milliseconds that each key has left, by its name without the prefix; -1: no end."""
        names = [name.decode() for name in self.command("KEYS", f"{self.driver.prefix}*")]
        return {name.removeprefix(self.driver.prefix): self.command("PTTL", name) for name in names}

    def keys_of(self, workflow):
        return {name: left for name, left in self.keys().items() if workflow in name}


@pytest.fixture
def place(redis_server):
    made = Place(redis_server.url)
    yield made
    made.close()


@pytest.fixture
def breaks(place, monkeypatch):
    """Let the connection be lost from the `nth` call of a verb on."""

    def arm(verb, nth):
        whole, calls = place.driver.run_on, []

        async def run_on(name, keys, words):
            if words[:1] == (verb,):
                calls.append(words)
                if len(calls) >= nth:
                    raise BackendUnavailable("the cable was cut")
            return await whole(name, keys, words)

        monkeypatch.setattr(place.driver, "run_on", run_on)
        return monkeypatch.undo

    return arm


def chord(size, **more):
    sketch = Sketch(**more)
    members = [sketch.task() for _ in range(size)]
    return sketch.new(sketch.task(sketch.join(*members)))


# -- what is large -----------------------------------------------------------------------------------------------


def test_a_large_workflow_is_built_in_parts_and_runs_as_a_small_one(place):
    new = chord(LARGE, keep_s=3600.0)
    assert list(run(place.workflows.start(new, place.broker))) == []
    assert [name for name in sorted(place.keys()) if name.startswith("wb:")] == []
    received = place.take()
    assert [each.message.member.node for each in received] == list(range(LARGE))
    place.succeed(received)
    (body,) = place.take()
    (given,) = run(place.workflows.inputs([body.message.member]))
    assert [each.value for each in given.items] == [b"%d" % number for number in range(LARGE)]
    place.succeed([body])
    (status,) = run(place.workflows.statuses([new.workflow.id]))
    assert (status.state, status.active) == (WorkflowState.SUCCESS, 0)


def test_a_large_workflow_begins_in_the_place_of_a_task(place):
    run(place.broker.publish([message(id="carrier")]))
    (carrier,) = place.take()
    new = chord(LARGE)
    assert list(run(place.settler.complete([Completion(Ack(carrier), start=new)]))) == [True]
    assert len(place.take()) == LARGE
    assert list(run(place.workflows.unpublished(1e12, 9))) == []


def test_a_large_graph_runs_in_the_place_of_a_task_of_a_workflow(place):
    new = chain(2)
    run(place.workflows.start(new, place.broker))
    (first,) = place.take()
    inner = Sketch(new.workflow.id)
    event = ending(new, 0, replaced_by=inner.graph(inner.join(*[inner.task() for _ in range(LARGE)])))
    assert list(run(place.settler.complete([Completion(Ack(first), None, (), event)]))) == [True]
    received = place.take()
    assert [each.message.id for each in received] == [node_id(new.workflow.id, 2 + at) for at in range(LARGE)]
    place.succeed(received)
    (second,) = place.take()
    assert second.message.member.node == 1


def test_a_large_workflow_for_another_broker_is_handed_out_whole_and_in_order(place):
    new = chord(LARGE)
    ready = run(place.workflows.start(new, ELSEWHERE))
    assert sent(ready) == list(range(LARGE))
    assert sent(run(place.workflows.advance([], [ending(new, LARGE + 1)]))) == list(range(LARGE))


def test_a_large_workflow_is_cancelled_and_run_again(place):
    new = chord(LARGE)
    run(place.workflows.start(new, ELSEWHERE))
    assert len(run(place.workflows.cancel(new.workflow.id))) == LARGE
    counts = run(place.workflows.states(new.workflow.id)).counts()
    assert counts == {NodeState.REVOKED: LARGE + 1}
    assert len(run(place.workflows.rerun(new.workflow.id, None, ELSEWHERE))) == LARGE
    (status,) = run(place.workflows.statuses([new.workflow.id]))
    assert (status.state, status.active) == (WorkflowState.RUNNING, LARGE)


def test_a_large_workflow_that_runs_again_is_published_by_the_server(place):
    new = chord(LARGE)
    run(place.workflows.start(new, place.broker))
    place.succeed(place.take())
    place.succeed(place.take())
    assert list(run(place.workflows.rerun(new.workflow.id, range(LARGE), place.broker))) == []
    received = [each.message.member for each in place.take()]
    assert [(member.node, member.run) for member in received] == [(at, 1) for at in range(LARGE)]
    assert list(run(place.workflows.unpublished(1e12, 9))) == []


# -- what a crash leaves half done -------------------------------------------------------------------------------


def test_what_was_not_published_of_a_large_workflow_is_found_and_published_once(place, breaks):
    new = chord(LARGE)
    restore = breaks("send", 2)
    with pytest.raises(BackendUnavailable):
        run(place.workflows.start(new, place.broker))
    restore()
    left = run(place.workflows.unpublished(time.time() + 60, LARGE))
    assert len(left) == LARGE - 1000
    run(place.broker.publish(left))
    run(place.workflows.published([each.member for each in left]))
    assert list(run(place.workflows.unpublished(1e12, 9))) == []
    assert sorted(each.message.member.node for each in place.take()) == list(range(LARGE))


def test_what_was_built_of_a_workflow_that_never_began_is_nobodys_and_expires(place, breaks):
    new = chord(LARGE)
    restore = breaks("build", 3)
    with pytest.raises(BackendUnavailable):
        run(place.workflows.start(new, place.broker))
    restore()
    assert list(run(place.workflows.statuses([new.workflow.id]))) == [None]
    built = {name: left for name, left in place.keys().items() if name.startswith("wb:")}
    assert len(built) == 3
    assert all(0 < left <= HOUR_MS for left in built.values())
    run(place.workflows.start(new, place.broker))
    assert len(place.take()) == LARGE


def test_a_large_beginning_that_is_sent_again_goes_on_where_the_first_broke_off(place, breaks):
    new = chord(LARGE)
    restore = breaks("send", 1)
    with pytest.raises(BackendUnavailable):
        run(place.workflows.start(new, place.broker))
    restore()
    run(place.workflows.start(new, place.broker))
    assert sorted(each.message.member.node for each in place.take()) == list(range(LARGE))
    assert [name for name in sorted(place.keys()) if name.startswith("wb:")] == []


# -- what is published -------------------------------------------------------------------------------------------


def test_the_server_makes_the_messages_that_the_law_makes(place):
    """They are put together from pieces by the server: nothing of them may be lost on that way."""
    sketch = Sketch()
    link = Link("tasks.next", b"\x00\xff", "pickle", True, {"queue": "x"})
    fields = [
        {},
        {"body": bytes(range(256)) * 300, "content": "pickle", "headers": {"añadir": [1, b"\xc4", {"a": None}]}},
        {"retries": 3, "root_id": "r" * 40, "parent_id": "p", "soft_time_limit_s": 1.5, "time_limit_s": 2.5},
        {"ignore_result": True, "on_success": (link,), "on_failure": (link, link), "origin": "1@host"},
        {"result_expires_s": 7.0, "priority": 0, "expires_at_s": 9e9, "sent_at_s": 8e9},
        {"timing": Timing(expires_s=500.0)},
        {"task_id": "an id of its own, " + "x" * 300},
    ]
    for each in fields:
        sketch.task(**each)
    new = sketch.new(sketch.join(*range(len(fields))))
    run(place.workflows.start(new, place.broker))
    for number in (0, 1):
        received = {each.message.member.node: each for each in place.take()}
        assert sorted(received) == list(range(len(fields)))
        for node in new.graph.nodes[:-1]:
            found = received[node.number].message
            assert found.sent_at_s == pytest.approx(time.time(), abs=30)
            expected = prepared(node.message, number, node.links.timing, found.sent_at_s)
            assert replace(found, expires_at_s=None) == replace(expected, expires_at_s=None)
            assert found.expires_at_s == (expected.expires_at_s and pytest.approx(expected.expires_at_s, abs=0.001))
        place.succeed(received.values())
        if number == 0:
            run(place.workflows.rerun(new.workflow.id, range(len(fields)), place.broker))


def test_the_queues_of_a_step_are_those_of_its_messages(place):
    sketch = Sketch()
    first = sketch.task()
    sketch.task(first, priority=9)
    sketch.task(first)
    run(place.workflows.start(sketch.new(), place.broker))
    place.succeed(place.take())
    assert [each.message.member.node for each in place.take()] == [1, 2]
    queues = [each.name for each in run(place.broker.queues.status())]
    assert queues == ["default"]


# -- what goes when ----------------------------------------------------------------------------------------------


def test_a_running_workflow_goes_a_year_after_its_last_step(place):
    new = chain(3, keep_s=60.0)
    run(place.workflows.start(new, place.broker))
    for name in place.keys_of(new.workflow.id):
        place.command("PEXPIRE", f"{place.driver.prefix}{name}", 5000)
    place.command("HSET", f"{place.driver.prefix}wf:{new.workflow.id}", "until", int(time.time() * 1000) + 5000)
    place.succeed(place.take())
    left = place.keys_of(new.workflow.id)
    assert all(left_ms > YEAR_MS - HOUR_MS for name, left_ms in left.items() if name.startswith("w"))
    assert sorted(name[:3] for name in left if name.startswith("w")) == ["wc:", "wf:", "ws:"]


@pytest.mark.parametrize("end", ["success", "failure", "cancelled"])
def test_a_workflow_at_rest_leaves_nothing_but_what_expires(place, end):
    new = chord(3, keep_s=60.0)
    run(place.workflows.start(new, place.broker))
    received = place.take()
    if end == "cancelled":
        run(place.workflows.cancel(new.workflow.id))
        run(place.consumer.settle([Ack(each) for each in received]))
    else:
        place.succeed(received[1:])
        event = ending(new, 0, b"1") if end == "success" else failed(new, 0)
        record = replace(result_of(event), expires_at_s=time.time() + 60)
        run(place.settler.complete([Completion(Ack(received[0]), record, (), event)]))
        place.succeed(place.take())
    run(place.backend.forget([node_id(new.workflow.id, number) for number in range(5)]))  # those of the tests have no end
    left = place.keys()
    held = {name for name, left_ms in left.items() if left_ms < 0}
    assert held == {"leases"}  # of this very test
    whole = {name: left_ms for name, left_ms in left.items() if new.workflow.id in name}
    assert all(HOUR_MS < left_ms <= HOUR_MS + 60_000 for left_ms in whole.values())


def test_what_is_kept_until_it_is_forgotten_is_gone_then(place):
    forgotten, kept = chain(1), chain(1, keep_s=60.0)
    for new in (forgotten, kept):
        run(place.workflows.start(new, ELSEWHERE))
        run(place.workflows.advance([], [ending(new, 0)]))
    assert set(place.keys_of(forgotten.workflow.id).values()) == {-1}
    assert all(left > 0 for left in place.keys_of(kept.workflow.id).values())
    assert run(place.workflows.forget([forgotten.workflow.id, kept.workflow.id])) == 2
    assert {name for name in sorted(place.keys()) if name.startswith("w")} == set()


def test_what_the_server_has_removed_is_listed_no_more(place):
    flows = [chain(1, keep_s=60.0) for _ in range(3)]
    for new in flows:
        run(place.workflows.start(new, ELSEWHERE))
    place.command("DEL", f"{place.driver.prefix}wf:{flows[1].workflow.id}")
    listed = [each.workflow.id for each in run(place.workflows.latest(10))]
    assert listed == [flows[2].workflow.id, flows[0].workflow.id]
    assert [each.member.workflow for each in run(place.workflows.unpublished(1e12, 10))].count(flows[1].workflow.id) == 0
    assert [each.workflow.id for each in run(place.workflows.latest(1, WorkflowState.RUNNING, 1))] == listed[1:]


def test_what_a_journal_leaves_expires(place):
    until_s = time.time() + 60
    run(place.backend.journal.write("task", Entry("a", b"1"), until_s))
    run(place.backend.journal.signal(Entry("happened"), until_s, place.broker))
    run(place.backend.journal.park([Parked(message(id="waits", expires_at_s=None), "later", until_s)]))
    assert {name for name, left in place.keys().items() if left < 0} == {"leases", "parked", "pe:later", "pd"}
    run(place.backend.journal.signal(Entry("later"), until_s, place.broker))
    run(place.consumer.settle([Ack(each) for each in place.take()]))
    assert {name for name, left in place.keys().items() if left < 0} == {"leases"}
