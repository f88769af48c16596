"""Conformance of a broker: leases, what happens at their end, and verdicts."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from faena.errors import LeaseLost
from faena.model.delivery import BEGUN, Ack, Bury, DeadReason, Place, Release, Settlement, Verdict, VerdictKind
from faena.testing.conformance.stage import (
    Stage,
    expect_places,
    ids,
    lose,
    message,
    messages,
    needs_leases_of_holders,
    nothing_more,
    staged,
    take,
)


class Leasing:
    @staged
    async def test_every_holder_is_a_new_one(self, stage: Stage) -> None:
        broker = await stage.broker()
        given = [await broker.leases.open_holder("same-owner", 60) for _ in range(5)]
        for holder in given:
            await broker.leases.recover(holder, {})
        given += [await broker.leases.open_holder("same-owner", 60) for _ in range(5)]
        assert len(set(given)) == 10

    @staged
    async def test_renewing_answers_with_those_that_are_still_ours(self, stage: Stage) -> None:
        broker = await stage.broker()
        needs_leases_of_holders(broker)
        kept, ended = [await broker.leases.open_holder("owner", 60) for _ in range(2)]
        await broker.leases.recover(ended, {})
        assert list(await broker.leases.renew([ended, kept, "999999", "nobody"], 60)) == [kept]
        assert list(await broker.leases.renew([], 60)) == []

    @staged
    async def test_what_a_holder_with_an_ended_lease_held_goes_back_without_a_crash(self, stage: Stage) -> None:
        broker = await stage.broker()
        needs_leases_of_holders(broker)
        lost, holder = await stage.consumer(broker)
        sent = messages(3)
        await broker.publish(sent)
        gone = await take(lost, 2)
        assert await broker.leases.reap() == 0
        assert list(await broker.leases.renew([holder], 0.0)) == [holder]  # it ends now
        assert await broker.leases.reap() == 2
        assert await broker.leases.reap() == 0
        consumer, _ = await stage.consumer(broker)
        received = await take(consumer, 3)
        assert ids(received) == ids(sent)
        assert [(each.deliveries, each.crashes, each.verdict) for each in received] == [
            (2, 0, None),
            (2, 0, None),
            (1, 0, None),
        ]
        assert received[0].redelivered_at_s is not None
        assert abs(received[0].redelivered_at_s - time.time()) < 60
        assert received[2].redelivered_at_s is None
        assert list(await lost.settle([Ack(each) for each in gone])) == [False, False]
        assert list(await consumer.settle([Ack(each) for each in received])) == [True, True, True]

    @staged
    async def test_who_lost_the_lease_receives_nothing_more(self, stage: Stage) -> None:
        broker = await stage.broker()
        needs_leases_of_holders(broker)
        lost, holder = await stage.consumer(broker)
        assert await nothing_more(lost)
        await broker.leases.recover(holder, {})
        await broker.publish(messages(1))
        for wait_s in (0.0, 0.1):
            with pytest.raises(LeaseLost):
                await lost.receive(1, wait_s)
        assert list(await broker.leases.renew([holder], 60)) == []

    @staged
    async def test_a_lease_that_was_renewed_is_not_reaped(self, stage: Stage) -> None:
        broker = await stage.broker()
        consumer, holder = await stage.consumer(broker, lease_s=0.0)
        await broker.publish(messages(1))
        (delivery,) = await take(consumer, 1)
        assert list(await broker.leases.renew([holder], 60)) == [holder]
        assert await broker.leases.reap() == 0
        assert list(await consumer.settle([Ack(delivery)])) == [True]

    @staged
    async def test_reaping_takes_every_ended_lease_and_no_other(self, stage: Stage) -> None:
        broker, other = await stage.broker(), await stage.broker()
        needs_leases_of_holders(broker)
        await broker.publish(messages(4))
        consumers = [await stage.consumer(each, lease_s=lease_s) for each in (broker, other) for lease_s in (0.0, 60.0)]
        held = [(await take(consumer, 1))[0] for consumer, _ in consumers]
        assert await broker.leases.reap() == 2
        await expect_places(broker, ids(held), [Place.WAITING, Place.HELD, Place.WAITING, Place.HELD])

    # -- recovering ---------------------------------------------------------------------------------------

    @staged
    async def test_a_recovered_holder_gives_back_everything_at_once_to_its_old_place(self, stage: Stage) -> None:
        broker = await stage.broker()
        lost, holder = await stage.consumer(broker)
        has_priorities = broker.capabilities.priority_levels > 1
        priorities = (4, 9, 4, 0) if has_priorities else (4,) * 4
        await broker.publish([message(id=str(number), priority=priority) for number, priority in enumerate(priorities)])
        await take(lost, 2)
        assert await lose(broker, lost, holder) in (2, None)
        assert await broker.leases.recover(holder, {}) == 0
        consumer, _ = await stage.consumer(broker)
        assert ids(await take(consumer, 4)) == (["1", "0", "2", "3"] if has_priorities else ["0", "1", "2", "3"])

    @staged
    async def test_recovering_a_holder_touches_no_other(self, stage: Stage) -> None:
        broker = await stage.broker()
        needs_leases_of_holders(broker)
        await broker.publish(messages(2))
        first, holder = await stage.consumer(broker)
        second, _ = await stage.consumer(broker)
        await take(first, 1)
        (kept,) = await take(second, 1)
        assert await broker.leases.recover(holder, {kept.message.id: Verdict(VerdictKind.CRASHED)}) == 1
        assert list(await second.settle([Ack(kept)])) == [True]
        assert await broker.leases.recover("999999", {}) == 0
        assert await broker.leases.recover("nobody", {}) == 0

    @staged
    async def test_each_verdict_is_handed_out_with_its_message_and_only_crashes_are_counted(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.keeps_verdicts:
            pytest.skip("this broker does not keep verdicts")
        lost, holder = await stage.consumer(broker)
        verdicts = {
            "crashed": Verdict(VerdictKind.CRASHED, "killed by SIGSEGV", suspects=2),
            "slow": Verdict(VerdictKind.TIME_LIMIT, "hard limit of 10 s"),
            "revoked": Verdict(VerdictKind.TERMINATED, "revoked"),
        }
        await broker.publish([message(id=name) for name in ("crashed", "slow", "revoked", "bystander")])
        await take(lost, 4)
        assert await broker.leases.recover(holder, verdicts | {"unknown": Verdict(VerdictKind.CRASHED)}) == 4
        consumer, _ = await stage.consumer(broker)
        received = {each.message.id: each for each in await take(consumer, 4)}
        assert {name: each.verdict for name, each in received.items()} == {**verdicts, "bystander": None}
        assert {name: each.crashes for name, each in received.items()} == {
            "crashed": 1,
            "slow": 0,
            "revoked": 0,
            "bystander": 0,
        }

    @staged
    async def test_crashes_add_up_and_the_last_verdict_stands(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.keeps_verdicts:
            pytest.skip("this broker does not keep verdicts")
        await broker.publish([message(id="poison")])
        for number in range(1, 4):
            consumer, holder = await stage.consumer(broker)
            (delivery,) = await take(consumer, 1)
            assert (delivery.deliveries, delivery.crashes) == (number, number - 1)
            await broker.leases.recover(holder, {"poison": Verdict(VerdictKind.CRASHED, f"crash {number}")})
        consumer, holder = await stage.consumer(broker)
        (delivery,) = await take(consumer, 1)
        assert (delivery.crashes, delivery.verdict) == (3, Verdict(VerdictKind.CRASHED, "crash 3"))
        await broker.leases.recover(holder, {})  # lost before anything was done about the verdict
        consumer, _ = await stage.consumer(broker)
        (delivery,) = await take(consumer, 1)
        assert (delivery.crashes, delivery.verdict) == (3, Verdict(VerdictKind.CRASHED, "crash 3"))

    @staged
    async def test_a_verdict_survives_being_handed_back_and_ends_with_the_next_attempt(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.keeps_verdicts:
            pytest.skip("this broker does not keep verdicts")
        await broker.publish([message(id="late")])
        lost, holder = await stage.consumer(broker)
        await take(lost, 1)
        verdict = Verdict(VerdictKind.TIME_LIMIT, "too long")
        await broker.leases.recover(holder, {"late": verdict})
        consumer, _ = await stage.consumer(broker)
        (delivery,) = await take(consumer, 1)
        assert list(await consumer.settle([Release(delivery)])) == [True]
        (delivery,) = await take(consumer, 1)
        assert delivery.verdict == verdict
        retried = replace(delivery.message, retries=1)
        assert list(await consumer.settle([Release(delivery, retried)])) == [True]
        (delivery,) = await take(consumer, 1)
        assert (delivery.message, delivery.verdict, delivery.redelivered_at_s) == (retried, None, None)

    @staged
    async def test_what_has_begun_stays_held_and_says_so_when_it_goes_back_unsettled(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.keeps_verdicts:
            pytest.skip("this broker does not keep verdicts")
        consumer, holder = await stage.consumer(broker)
        await broker.publish([message(id=name) for name in ("begun", "known better", "settled", "untouched")])
        batch = await take(consumer, 4)
        assert list(await consumer.begin([])) == []
        assert list(await consumer.begin(batch[:3])) == [True, True, True]
        assert list(await broker.locate(["begun"])) == [Place.HELD]
        assert list(await consumer.settle([Ack(batch[2])])) == [True]
        crash = Verdict(VerdictKind.CRASHED, "exit code 3")
        assert await broker.leases.recover(holder, {"known better": crash}) == 3
        again, _ = await stage.consumer(broker)
        received = await take(again, 3)
        assert [(each.message.id, each.verdict, each.crashes) for each in received] == [
            ("begun", BEGUN, 0),
            ("known better", crash, 1),
            ("untouched", None, 0),
        ]
        assert list(await consumer.begin(batch)) == [False, False, False, False]
        assert await nothing_more(again)

    @staged
    async def test_what_has_begun_is_forgotten_with_a_changed_message_and_with_its_dead_letter(self, stage: Stage) -> None:
        broker = await stage.broker()
        if not broker.capabilities.keeps_verdicts:
            pytest.skip("this broker does not keep verdicts")
        consumer, holder = await stage.consumer(broker)
        await broker.publish([message(id=name) for name in ("given back", "buried")])
        given_back, buried = await take(consumer, 2)
        await consumer.begin([given_back, buried])
        settled: list[Settlement] = [Release(given_back, given_back.message), Bury(buried, DeadReason.FAILED)]
        assert list(await consumer.settle(settled)) == [True, True]
        assert await broker.dead_letters.requeue() == 1
        received = {each.message.id: each for each in await take(consumer, 2)}
        assert {name: each.verdict for name, each in received.items()} == {"given back": None, "buried": None}
        assert await broker.leases.recover(holder, {}) == 2
        consumer, _ = await stage.consumer(broker)
        assert [each.verdict for each in await take(consumer, 2)] == [None, None]
