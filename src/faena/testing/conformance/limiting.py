"""Conformance of a broker: limits of rate and concurrency, and fair share."""

from __future__ import annotations

import time
from typing import Any

import pytest

from faena.broker import Broker, Consumer, Holder
from faena.model.delivery import Ack, Bury, DeadReason, Place, Release
from faena.model.limit import Change, LimitStatus, Obstacle, Refusal, Terms, lane_of, limit_name
from faena.model.message import Message
from faena.testing.conformance.stage import SOON_S, Stage, delivered, ids, message, nothing_more, staged, take

ONE_AT_A_TIME = Terms(concurrency=1)
SELDOM = Terms(rate_per_s=1 / 3600)


def limited(*limits: str, fair: str = "", **fields: Any) -> Message:
    return message(lane=lane_of(limits or ("task:t",), fair), **fields)


def several(names: str, *limits: str, **fields: Any) -> list[Message]:
    return [limited(*limits, id=name, **fields) for name in names.split()]


async def _under(stage: Stage, *queues: str, **terms: Terms) -> tuple[Broker, Consumer, Holder]:
    """Return a broker under limits: `t` stands for `task:t`."""
    broker = await stage.broker()
    if not broker.capabilities.limits:
        pytest.skip("it holds nothing back: see its capabilities")
    await broker.limits.declare({f"task:{name}": each for name, each in terms.items()})
    consumer, holder = await stage.consumer(broker, *queues)
    return broker, consumer, holder


class Limiting:
    @staged
    async def test_what_no_terms_are_known_of_is_not_held_back(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage)
        await broker.publish(several("1 2 3"))
        assert ids(await take(consumer, 3)) == ["1", "2", "3"]

    @staged
    async def test_no_more_are_handed_out_than_may_run_at_once(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=Terms(concurrency=2))
        await broker.publish(several("1 2 3 4"))
        first = await take(consumer, 2)
        assert ids(first) == ["1", "2"] and await nothing_more(consumer)
        await consumer.settle([Ack(first[0])])
        assert ids(await take(consumer, 1)) == ["3"] and await nothing_more(consumer)

    @staged
    async def test_every_way_to_let_go_of_a_delivery_gives_back_what_it_holds(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish(several("1 2"))
        (delivery,) = await take(consumer, 1)
        await consumer.settle([Release(delivery)])
        (delivery,) = await take(consumer, 1)
        assert delivery.message.id == "1" and await nothing_more(consumer)
        later = limited(id="1", due_at_s=time.time() + 600, retries=1)
        await consumer.settle([Release(delivery, later)])
        (delivery,) = await take(consumer, 1)
        assert delivery.message.id == "2" and await nothing_more(consumer)
        await consumer.settle([Bury(delivery, DeadReason.FAILED)])
        await broker.publish(several("3"))
        (delivery,) = await take(consumer, 1)
        await broker.publish(several("4"))
        await consumer.settle([Ack(delivery)])
        assert ids(await take(consumer, 1)) == ["4"]
        assert list(await broker.locate(["1", "2", "3", "4"])) == [Place.DELAYED, Place.DEAD, None, Place.HELD]

    @staged
    async def test_a_holder_that_is_recovered_gives_back_what_it_held(self, stage: Stage) -> None:
        broker, consumer, holder = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish(several("1 2"))
        (stale,) = await take(consumer, 1)
        other, _ = await stage.consumer(broker)
        assert await nothing_more(other)
        assert await broker.leases.recover(holder, {}) == 1
        (again,) = await take(other, 1)
        assert again.message.id == "1" and again.deliveries == 2
        assert list(await consumer.settle([Ack(stale)])) == [False]
        assert await nothing_more(other)

    @staged
    async def test_a_lease_that_ends_gives_back_what_its_holder_held(self, stage: Stage) -> None:
        broker, _, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish(several("1 2"))
        short, _ = await stage.consumer(broker, lease_s=0.05)
        await take(short, 1)
        other, _ = await stage.consumer(broker)
        assert not await other.receive(1, 0.06)
        await broker.leases.reap()
        assert ids(await take(other, 1)) == ["1"] and await nothing_more(other)

    @staged
    async def test_a_repeated_settlement_gives_back_nothing_of_others(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish(several("1 2 3"))
        (first,) = await take(consumer, 1)
        assert list(await consumer.settle([Ack(first)])) == [True]
        await take(consumer, 1)
        assert list(await consumer.settle([Ack(first)])) == [False]
        assert await nothing_more(consumer)

    @staged
    async def test_a_rate_lets_one_after_the_other_begin(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=SELDOM)
        await broker.publish(several("1 2 3"))
        (first,) = await take(consumer, 1)
        assert await nothing_more(consumer)
        await consumer.settle([Ack(first)])
        assert await nothing_more(consumer)
        (found,) = await broker.limits.obstacles(["2"])
        assert found is not None and [each.limit for each in found] == ["task:t"]
        assert found[0].reason is Refusal.RATE and 3500 < (found[0].until_s or 0) - time.time() <= 3600

    @staged
    async def test_a_waiting_consumer_is_given_the_next_when_its_token_is_due(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=Terms(rate_per_s=4.0))
        await broker.publish(several("1 2 3"))
        began_s = time.monotonic()
        assert ids([*await take(consumer, 1), *await take(consumer, 1), *await take(consumer, 1)]) == ["1", "2", "3"]
        assert 0.45 < time.monotonic() - began_s < 0.5 + SOON_S

    @staged
    async def test_what_goes_back_unbegun_takes_no_token(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=SELDOM)
        await broker.publish(several("1 2"))
        (first,) = await take(consumer, 1)
        await consumer.settle([Release(first)])
        (first,) = await take(consumer, 1)
        assert first.message.id == "1"
        await consumer.settle([Release(first, limited(id="1", retries=1))])
        assert await nothing_more(consumer)

    @staged
    async def test_each_key_has_a_limit_of_its_own(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        of_7, of_8 = limit_name("task:t", 7), limit_name("task:t", 8)
        await broker.publish([*several("1 2 3", of_7), *several("4 5", of_8)])
        assert sorted(ids(await take(consumer, 2))) == ["1", "4"] and await nothing_more(consumer)

    @staged
    async def test_a_message_under_several_limits_waits_for_all_of_them(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=Terms(concurrency=3), u=ONE_AT_A_TIME)
        await broker.publish([*several("1 2", "task:t", "task:u"), *several("3 4 5", "task:t")])
        first = {each.message.id: each for each in await take(consumer, 3)}
        assert sorted(first) == ["1", "3", "4"] and await nothing_more(consumer)
        await consumer.settle([Ack(first["3"])])
        assert ids(await take(consumer, 1)) == ["5"] and await nothing_more(consumer)
        await consumer.settle([Ack(first["1"])])
        assert ids(await take(consumer, 1)) == ["2"]

    @staged
    async def test_a_limit_holds_over_all_queues(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, "first", t=ONE_AT_A_TIME)
        other, _ = await stage.consumer(broker, "second")
        await broker.publish([limited(id="1", queue="first"), limited(id="2", queue="second")])
        (first,) = await take(consumer, 1)
        assert await nothing_more(other)
        waiting = stage.beside(lambda: take(other, 1))
        await stage.turn()
        await consumer.settle([Ack(first)])
        assert ids(await waiting.outcome()) == ["2"]

    @staged
    async def test_who_waits_is_given_the_next_as_soon_as_a_permit_comes_back(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish(several("1 2"))
        (first,) = await take(consumer, 1)
        other, _ = await stage.consumer(broker)
        assert await nothing_more(other)
        waiting = stage.beside(lambda: take(other, 1))
        await stage.turn()
        began_s = time.monotonic()
        await consumer.settle([Ack(first)])
        assert ids(await waiting.outcome()) == ["2"]
        assert time.monotonic() - began_s < SOON_S

    @staged
    async def test_keys_of_fair_share_take_turns(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish([limited(id=f"{key}{number}", fair=key) for key in "ab" for number in range(3)])
        await broker.publish([limited(id=f"c{number}", fair="c") for number in range(2)])
        order = []
        for _ in range(8):
            (delivery,) = await take(consumer, 1)
            order.append(delivery.message.id)
            await consumer.settle([Ack(delivery)])
        assert order == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2"]

    @staged
    async def test_keys_take_turns_where_there_is_no_limit_at_all(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage)
        await broker.publish([message(id=f"{key}{number}", lane=lane_of((), key)) for key in "ab" for number in range(2)])
        assert ids(await take(consumer, 4)) == ["a0", "b0", "a1", "b1"]

    @staged
    async def test_the_higher_priority_comes_first_in_a_lane_and_between_lanes(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=Terms(is_paused=True))
        await broker.publish([limited(id="low", priority=1), limited(id="usual"), limited(id="high", priority=9)])
        await broker.publish([limited(id="other", fair="x", priority=7)])
        assert await nothing_more(consumer)
        await broker.publish([limited(id="highest of the other", fair="x", priority=9)])
        await broker.limits.change("task:t", Change(is_paused=False))
        found = ids(await take(consumer, 5))
        assert found == ["high", "highest of the other", "other", "usual", "low"]

    @staged
    async def test_what_waits_under_limits_holds_up_nothing_else(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=Terms(is_paused=True), u=Terms(concurrency=10))
        await broker.publish([limited(id=f"{number}", priority=9) for number in range(20)])
        await broker.publish([message(id="free"), *several("a b", "task:u")])
        assert sorted(ids(await take(consumer, 3))) == ["a", "b", "free"] and await nothing_more(consumer)

    @staged
    async def test_neither_kind_starves_the_other_where_one_is_fetched_at_a_time(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=Terms(concurrency=100))
        await broker.publish([message(id=f"free{number}") for number in range(10)])
        await broker.publish([limited(id=f"limited{number}") for number in range(10)])
        found = [ids(await take(consumer, 1))[0] for _ in range(8)]
        assert sum(each.startswith("free") for each in found) == 4

    @staged
    async def test_other_terms_are_in_force_at_once(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish(several("1 2 3 4 5"))
        await take(consumer, 1)
        assert await nothing_more(consumer)
        assert await broker.limits.change("task:t", Change(concurrency=3)) == Terms(concurrency=3)
        assert ids(await take(consumer, 2)) == ["2", "3"] and await nothing_more(consumer)
        assert await broker.limits.change("task:t", Change(rate_per_s=SELDOM.rate_per_s, concurrency=None)) == SELDOM
        assert ids(await take(consumer, 1)) == ["4"] and await nothing_more(consumer)
        assert await broker.limits.change("task:t", None) == ONE_AT_A_TIME
        assert await nothing_more(consumer)

    @staged
    async def test_under_a_higher_rate_nobody_waits_for_what_the_lower_one_said(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=SELDOM)
        await broker.publish(several("1 2 3"))
        await take(consumer, 1)
        assert await nothing_more(consumer)
        await broker.limits.change("task:t", Change(rate_per_s=5.0))
        assert ids([*await take(consumer, 1), *await take(consumer, 1)]) == ["2", "3"]

    @staged
    async def test_who_waits_is_woken_by_other_terms(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=Terms(is_paused=True))
        await broker.publish(several("1"))
        assert await nothing_more(consumer)
        waiting = stage.beside(lambda: take(consumer, 1))
        await stage.turn()
        await broker.limits.change("task:t", Change(is_paused=False))
        assert ids(await waiting.outcome()) == ["1"]

    @staged
    async def test_what_was_changed_goes_before_what_is_declared_later(self, stage: Stage) -> None:
        broker, _, _ = await _under(stage)
        await broker.limits.change("task:t", Change(rate_per_s=5.0))
        await broker.limits.change("task:t", Change(is_paused=True))
        in_force = await broker.limits.declare({"task:t": Terms(9.0, 4), "task:u": ONE_AT_A_TIME, "task:v": None})
        assert dict(in_force) == {"task:t": Terms(5.0, 4, True), "task:u": ONE_AT_A_TIME}
        assert list(await broker.limits.list()) == [
            LimitStatus("task:t", Terms(5.0, 4, True), Terms(9.0, 4), Change(5.0, is_paused=True)),
            LimitStatus("task:u", ONE_AT_A_TIME, ONE_AT_A_TIME, None),
        ]
        assert dict(await broker.limits.declare({"task:t": None, "task:u": None})) == {"task:t": Terms(5.0, None, True)}

    @staged
    async def test_how_limits_stand_can_be_seen(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=Terms(concurrency=2), u=Terms(is_paused=True))
        await broker.publish([*several("1 2 3"), *several("4", limit_name("task:u", 7)), message(id="free")])
        await take(consumer, 3)
        assert await nothing_more(consumer)
        running, parked = (await broker.limits.list())[0], (await broker.limits.list())[1]
        assert (running.name, running.running, running.waiting) == ("task:t", 2, 1)
        assert (parked.name, parked.running, parked.waiting) == ("task:u", 0, 1)
        assert list(await broker.limits.obstacles(["1", "3", "4", "free", "nowhere"])) == [
            None,
            [Obstacle("task:t", Refusal.CONCURRENCY, None, 2)],
            [Obstacle("task:u/7", Refusal.PAUSED)],
            None,
            None,
        ]

    @staged
    async def test_it_can_be_seen_what_waits_under_limits(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish([*several("1 2 3"), message(id="free"), limited(id="later", due_at_s=time.time() + 600)])
        assert list(await broker.locate(["1", "later"])) == [Place.LIMITED, Place.DELAYED]
        await take(consumer, 2)
        (status,) = await broker.queues.status()
        assert (status.waiting, status.limited, status.delayed, status.held) == (0, 2, 1, 2)
        assert list(await broker.locate(["1", "2", "free", "later"])) == [
            Place.HELD, Place.LIMITED, Place.HELD, Place.DELAYED,
        ]  # fmt: skip
        assert [(place, each.id) for place, each in await broker.queues.browse("default", 10)] == [
            (Place.LIMITED, "2"),
            (Place.LIMITED, "3"),
            (Place.DELAYED, "later"),
        ]
        assert ids([each for _, each in await broker.queues.browse("default", 1, 1)]) == ["3"]

    @staged
    async def test_what_waits_under_limits_can_be_taken_out(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish(several("1 2 3 4"))
        assert ids(await broker.cancel(["2"])) == ["2"]
        (first,) = await take(consumer, 1)
        assert ids(await broker.cancel(["1", "3"])) == ["3"]
        await consumer.settle([Ack(first)])
        (fourth,) = await take(consumer, 1)
        assert fourth.message.id == "4" and await nothing_more(consumer)
        await broker.publish(several("2 3"))
        assert await nothing_more(consumer)
        await consumer.settle([Ack(fourth)])
        assert ids(await take(consumer, 1)) == ["2"]

    @staged
    async def test_purging_a_queue_takes_what_waits_under_limits(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish([*several("1 2 3"), message(id="free"), limited(id="later", due_at_s=time.time() + 600)])
        await take(consumer, 2)
        await broker.publish(several("4"))
        assert await broker.queues.purge("default") == 4
        await broker.publish(several("5"))
        assert await nothing_more(consumer)
        assert list(await broker.locate(["1", "2", "4", "5"])) == [Place.HELD, None, None, Place.LIMITED]

    @staged
    async def test_a_paused_queue_hands_out_nothing_under_limits(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.queues.pause("default")
        await broker.publish(several("1"))
        assert await nothing_more(consumer)
        await broker.queues.resume("default")
        assert ids(await take(consumer, 1)) == ["1"]

    @staged
    async def test_a_token_that_is_due_for_nobody_lets_no_consumer_spin(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, "default", "other", t=Terms(rate_per_s=4.0))
        await broker.publish([*several("1 2"), *several("3 4", limit_name("task:t", 1), queue="other")])
        await take(consumer, 2)
        assert await nothing_more(consumer)
        await broker.queues.pause("other")
        for queue, wait_s in (("other", 0.7), ("default", 0.4)):
            await broker.queues.purge("default" if queue == "other" else "other")
            waiting, _ = await stage.consumer(broker, queue)
            began_s = time.process_time()
            assert not await waiting.receive(1, wait_s)
            assert time.process_time() - began_s < 0.2

    @staged
    async def test_a_delayed_message_comes_under_its_limits_when_it_is_due(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish([limited(id="later", due_at_s=time.time() + 0.3), limited(id="now")])
        (first,) = await take(consumer, 1)
        assert first.message.id == "now" and not await consumer.receive(1, 0.5)
        assert list(await broker.locate(["later"])) == [Place.LIMITED]
        await consumer.settle([Ack(first)])
        assert ids(await take(consumer, 1)) == ["later"]

    @staged
    async def test_a_dead_letter_comes_back_under_its_limits(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish(several("1 2"))
        (first,) = await take(consumer, 1)
        await consumer.settle([Bury(first, DeadReason.FAILED)])
        await take(consumer, 1)
        assert await broker.dead_letters.requeue() == 1
        assert await nothing_more(consumer)
        assert list(await broker.locate(["1"])) == [Place.LIMITED]

    @staged
    async def test_what_has_expired_is_handed_out_without_taking_anything(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=SELDOM)
        past_s = time.time() - 1
        await broker.publish([limited(id=f"{number}", expires_at_s=past_s) for number in range(3)])
        await broker.publish(several("in-time and-not"))
        assert ids(await take(consumer, 4)) == ["0", "1", "2", "in-time"] and await nothing_more(consumer)

    @staged
    async def test_a_message_that_goes_back_with_a_lane_waits_there(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        await broker.publish([message(id="1"), message(id="2")])
        first, second = await take(consumer, 2)
        await consumer.settle([Release(first, limited(id="1")), Release(second, limited(id="2"))])
        assert ids(await take(consumer, 1)) == ["1"] and await nothing_more(consumer)

    @staged
    async def test_many_lanes_and_many_messages_are_worked_off(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=Terms(concurrency=2))
        sent = [limited(limit_name("task:t", number % 40), id=f"{number}") for number in range(600)]
        await broker.publish(sent)
        seen: set[str] = set()
        while len(seen) < 600:
            batch = await take(consumer, 1)
            batch += delivered(await consumer.receive(100, 0))
            running: dict[str | None, int] = {}
            for each in batch:
                running[each.message.lane] = running.get(each.message.lane, 0) + 1
            assert max(running.values()) <= 2
            seen |= set(ids(batch))
            await consumer.settle([Ack(each) for each in batch])
        assert await nothing_more(consumer)

    @staged
    async def test_what_waits_under_limits_takes_room_in_a_queue_with_a_bound(self, stage: Stage) -> None:
        broker, consumer, _ = await _under(stage, t=ONE_AT_A_TIME)
        assert list(await broker.offer(several("1 2"), {"default": 3}, whole=False)) == []
        await take(consumer, 1)
        assert list(await broker.offer(several("3 4 5"), {"default": 3}, whole=False)) == ["5"]
