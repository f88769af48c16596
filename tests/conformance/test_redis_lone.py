"""Messages that come one by one on Redis: scripts of their own hand them out and settle them."""

import threading
import time

import pytest
from msgspec.structs import replace
from tests.conformance.redis_place import RedisPlace

from faena._lib.drive import run
from faena.backend import Completion
from faena.errors import LeaseLost, ServerUnavailable
from faena.model.delivery import Ack, Release, Verdict, VerdictKind
from faena.model.result import State
from faena.testing.conformance.stage import ids, message, messages
from faena.testing.conformance.together import ended, kept

LONG_S = 600.0


class Site(RedisPlace):
    """Where messages come and go one at a time."""

    def send(self, *sent):
        run(self.broker.publish(list(sent)))
        return sent[0]

    def take(self):
        (delivery,) = run(self.consumer.receive(1, 5.0))
        return delivery

    def take_id(self):
        return self.take().message.id

    def settle(self, delivery, value=b"1", kept_s=LONG_S):
        return list(run(self.settler.complete(ended([delivery], time.time() + kept_s, value))))

    def value(self, sent):
        (found,) = run(self.backend.read([sent.id]))
        return found and found.value

    def commands(self):
        found = self.ask("INFO", "commandstats").decode()
        calls = {
            line.partition(":")[0]: line.split("calls=")[1].split(",")[0] for line in found.splitlines() if "calls=" in line
        }
        return sum(int(calls.get(f"cmdstat_{name}", 0)) for name in ("eval", "evalsha"))


@pytest.fixture
def site(redis_server):
    site = Site(redis_server.url)
    yield site
    site.close()


def test_it_takes_one_script_to_hand_it_out_and_one_to_settle_it(site):
    site.ask("SCRIPT", "FLUSH")
    for number in range(3):  # the first ones bring the scripts along
        sent = site.send(message())
        before = site.commands()
        delivery = site.take()
        between = site.commands()
        assert site.settle(delivery) == [True]
        after = site.commands()
        assert site.value(sent) == b"1"
        if number:
            assert (between - before, after - between) == (1, 1)


def test_it_is_settled_once_and_by_who_holds_it(site):
    sent = site.send(message())
    delivery = site.take()
    assert site.settle(delivery) == [True]
    assert site.settle(delivery, b"2") == [False]
    assert site.value(sent) == b"1"
    sent = site.send(message())
    delivery = site.take()
    run(site.broker.leases.recover(site.holder, {}))
    assert site.settle(delivery) == [False]
    assert site.value(sent) is None


def test_nothing_is_left_of_it_but_its_result(site):
    sent = site.send(message())
    delivery = site.take()
    assert run(site.consumer.settle([Release(delivery)])) == [True]
    again = site.take()
    assert (again.message.id, again.deliveries) == (sent.id, 2)
    assert site.settle(again) == [True]
    kinds = {
        each.decode()[len(site.head) :].partition(":")[0] for each in site.ask("KEYS", f"{site.head}*".replace("{", "[{]"))
    }
    assert kinds == {"leases", "queues", "r", "recent"}


def test_what_is_kept_already_counts(site):
    sent = site.send(message())
    delivery = site.take()
    until_s = time.time() + LONG_S
    run(site.backend.record([replace(kept(sent, until_s, b"half"), state=State.PROGRESS)]))
    assert site.settle(delivery) == [True]
    assert site.value(sent) == b"1"
    sent = site.send(message())
    delivery = site.take()
    run(site.backend.record([replace(kept(sent, until_s, b"first"), state=State.REVOKED)]))
    assert site.settle(delivery) == [True]
    assert site.value(sent) == b"first"


def test_whoever_waits_is_told(site):
    watches = [site.backend.watch(), site.backend.watch()]
    for value in (b"1", b"1" * 5000):  # the large one is read by who waits
        sent = site.send(message())
        for watch in watches:
            assert list(run(watch.add([sent.id]))) == [None]
        assert site.settle(site.take(), value) == [True]
        for watch in watches:
            assert run(watch.changed(5.0)) == [sent.id]
        assert site.value(sent) == value
    for watch in watches:
        run(watch.close())


def test_results_that_live_for_ever_or_no_longer_are_left_to_others(site):
    sent = site.send(message())
    completion = Completion(Ack(site.take()), replace(kept(sent, 0.0), expires_at_s=None))
    assert run(site.settler.complete([completion])) == [True]
    assert site.ask("TTL", f"{site.head}r:{sent.id}") == -1
    sent = site.send(message())
    assert site.settle(site.take(), kept_s=-1.0) == [True]
    assert site.value(sent) is None
    sent = site.send(message())
    assert run(site.settler.complete([Completion(Ack(site.take()))])) == [True]
    assert site.value(sent) is None


def test_the_list_of_recent_results_stays_short(site):
    site.ask("RPUSH", f"{site.head}recent", *[f"old-{number}" for number in range(10_000)])
    sent = site.send(message())
    assert site.settle(site.take()) == [True]
    assert site.ask("LLEN", f"{site.head}recent") == 10_000
    assert site.ask("LINDEX", f"{site.head}recent", 0).decode() == sent.id
    assert site.ask("TTL", f"{site.head}recent") > 0


def test_others_than_usual_ones_come_in_their_turn(site):
    usual, high, low = message(), message(priority=9), message(priority=0)
    site.send(usual)
    site.send(high)
    site.send(low)
    assert [site.take_id() for _ in range(3)] == [high.id, usual.id, low.id]
    late = message(due_at_s=time.time() + 0.2)
    site.send(late)
    assert site.take_id() == late.id
    limited = message(lane="\x1elimit")
    site.send(limited)
    assert site.take_id() == limited.id


def test_what_was_cancelled_is_passed_over(site):
    first, second = messages(2)
    site.send(first, second)
    assert ids(run(site.broker.cancel([first.id]))) == [first.id]
    assert site.take_id() == second.id


def test_a_paused_queue_hands_out_nothing(site):
    site.send(message())
    run(site.broker.queues.pause("default"))
    assert run(site.consumer.receive(1, 0.1)) == ()
    run(site.broker.queues.resume("default"))
    assert site.take() is not None


def test_what_is_known_of_it_comes_along(site):
    sent = site.send(message())
    site.take()
    run(site.broker.leases.recover(site.holder, {sent.id: Verdict(VerdictKind.CRASHED, "killed by SIGKILL")}))
    holder = run(site.broker.leases.open_holder("w", 60.0))
    consumer = site.broker.consumer(holder, ["default"])
    (again,) = run(consumer.receive(1, 5.0))
    assert (again.message.id, again.crashes, again.verdict.detail) == (sent.id, 1, "killed by SIGKILL")
    run(consumer.close())


def test_each_leaves_a_token_for_what_is_behind_it(site):
    site.send(*messages(3))
    other = site.broker.consumer(run(site.broker.leases.open_holder("v", 60.0)), ["default"])
    taken = [*run(site.consumer.receive(1, 5.0)), *run(other.receive(1, 5.0)), *run(site.consumer.receive(1, 5.0))]
    assert len(set(ids(taken))) == 3
    run(other.close())


class TestWithoutACoroutine:
    """What the main thread of a worker does: `receive_lone` and `complete_lone`."""

    @pytest.fixture(autouse=True)
    def it_has_looked(self, site):
        assert site.consumer.receive_lone(5.0) is None  # it does not know yet that there is nothing
        assert not run(site.consumer.receive(1, 0.0))

    def receive(self, site, wait_s=5.0):
        found = site.consumer.receive_lone(wait_s)
        assert found is not None
        return list(found)

    def settle(self, site, delivery, value=b"1", **more):
        completion = ended([delivery], time.time() + LONG_S, value)[0]
        return site.settler.complete_lone(
            replace(completion, result=replace(completion.result, state=State.SUCCESS, **more))
        )

    def test_one_comes_and_goes(self, site):
        for number in range(3):
            sent = site.send(message())
            (delivery,) = self.receive(site)
            assert delivery.message == sent
            is_settled = self.settle(site, delivery)
            assert is_settled or not number  # the server does not know the script yet
            if not is_settled:
                assert site.settle(delivery) == [True]
            assert not self.settle(site, delivery)
            assert site.value(sent) == b"1"

    def test_nothing_comes(self, site):
        assert self.receive(site, 0.2) == []

    def test_it_is_called_while_it_waits(self, site):
        timer = threading.Timer(0.2, site.consumer.interrupt)
        timer.start()
        began_s = time.monotonic()
        assert self.receive(site, 30.0) == []
        assert time.monotonic() - began_s < 10.0
        timer.join()
        assert site.consumer.receive_lone(5.0) is None  # it is for `receive` to hear of it
        assert not run(site.consumer.receive(1, 5.0))

    def test_something_unusual_comes(self, site):
        for sent in (message(priority=9), message(lane="\x1elimit")):
            site.send(sent)
            (delivery,) = site.consumer.receive_lone(5.0) or run(site.consumer.receive(1, 5.0))
            assert delivery.message.id == sent.id

    def test_the_server_loses_its_scripts_meanwhile(self, site):
        site.ask("SCRIPT", "FLUSH")
        sent = site.send(message())
        (delivery,) = self.receive(site)
        assert delivery.message.id == sent.id
        assert not self.settle(site, delivery)
        assert site.settle(delivery) == [True]

    def test_its_connection_breaks_and_nothing_is_lost(self, site):
        number, _ = site.consumer._waiter.client
        timer = threading.Timer(0.2, site.ask, ("CLIENT", "KILL", "ID", number))
        timer.start()
        with pytest.raises(ServerUnavailable):
            self.receive(site, 30.0)
        timer.join()
        assert site.consumer.receive_lone(5.0) is None
        sent = site.send(message())
        assert site.take_id() == sent.id

    def test_its_lease_is_lost(self, site):
        run(site.broker.leases.recover(site.holder, {}))
        site.send(message())
        with pytest.raises(LeaseLost):
            self.receive(site)

    @pytest.mark.parametrize(
        "more", [{"state": State.FAILURE}, {"expires_at_s": None}, {"expires_at_s": 1.0}], ids=lambda more: next(iter(more))
    )
    def test_other_results_are_left_to_others(self, site, more):
        sent = site.send(message())
        (delivery,) = self.receive(site)
        completion = Completion(
            Ack(delivery), replace(kept(sent, time.time() + LONG_S), **{"state": State.SUCCESS, **more})
        )
        assert not site.settler.complete_lone(completion)
        assert list(run(site.settler.complete([completion]))) == [True]
