"""Conformance of a backend: which task has which key, for a broker elsewhere and for one of the same place."""

from __future__ import annotations

import time
from typing import Any

from msgspec.structs import replace

from faena.backend import Backend, Completion, JournalEnd
from faena.model.claim import Claimant
from faena.model.delivery import Ack, Bury, DeadReason, Place, Release
from faena.model.journal import Entry, Parked
from faena.model.message import Claim, Message, Until
from faena.model.result import State
from faena.testing.conformance.recording import record
from faena.testing.conformance.stage import Stage, ids, joint_places, message, nothing_more, staged, take

ELSEWHERE = object()  # a broker that is no store of this backend
_LASTS_S = 600.0


def unique(task_id: str, key: str = "k", until: Until = Until.END, lasts_s: float = _LASTS_S, **fields: Any) -> Message:
    return message(id=task_id, claim=Claim(key, until, time.time() + lasts_s), **fields)


async def who(backend: Backend, *wanted: Message, broker: object = ELSEWHERE) -> list[str | None]:
    """Let tasks claim; return for each who has its key instead."""
    return [None if each is None else each.task_id for each in await backend.claims.take(wanted, broker)]


class Claiming:
    @staged
    async def test_a_key_is_had_by_the_first_and_by_nobody_else(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        assert await who(backend, unique("1"), unique("2"), unique("3", "another")) == [None, "1", None]
        assert await who(other, unique("4"), unique("1")) == ["1", None]
        assert await who(other) == []

    @staged
    async def test_a_claimant_is_described(self, stage: Stage) -> None:
        backend, began_s = await stage.backend(), time.time()
        await backend.claims.take([unique("1", until=Until.START)], ELSEWHERE)
        (found,) = await backend.claims.take([unique("2")], ELSEWHERE)
        assert found is not None
        assert found == Claimant("1", Until.START, found.since_s, found.since_s, is_published=False)
        assert abs(found.since_s - began_s) < 60
        await backend.claims.published([unique("1"), unique("other")])
        (found,) = await backend.claims.take([unique("2")], ELSEWHERE)
        assert found is not None
        assert found.is_published

    @staged
    async def test_a_key_is_released_by_its_own_task_only(self, stage: Stage) -> None:
        backend = await stage.backend()
        await backend.claims.take([unique("1"), unique("2", "another")], ELSEWHERE)
        await backend.claims.release([unique("3"), unique("2", "another")])
        assert await who(backend, unique("4"), unique("5", "another")) == ["1", None]
        await backend.claims.release([unique("1")])
        assert await who(backend, unique("4")) == [None]

    @staged
    async def test_what_is_over_is_taken_over_once(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        await backend.claims.take([unique("1")], ELSEWHERE)
        assert await backend.claims.take_over(unique("2"), "1") is True
        assert await other.claims.take_over(unique("3"), "1") is False
        assert await backend.claims.take_over(unique("2"), "1") is True  # repeated
        assert await other.claims.take_over(unique("3", "nobody's"), "1") is False
        assert await who(other, unique("4")) == ["2"]

    @staged
    async def test_a_claim_counts_for_nothing_after_its_time(self, stage: Stage) -> None:
        backend = await stage.backend()
        await backend.claims.take([unique("1", until=Until.WINDOW, lasts_s=-1), unique("2", "b", lasts_s=-1)], ELSEWHERE)
        assert await who(backend, unique("3"), unique("4", "b")) == [None, None]
        await backend.claims.take([unique("5", "c", Until.WINDOW, lasts_s=-1)], ELSEWHERE)
        await backend.expire(100)
        assert await who(backend, unique("6"), unique("7", "b"), unique("8", "c")) == ["3", "4", None]

    @staged
    async def test_odd_keys_and_ids_are_kept_as_they_are(self, stage: Stage) -> None:
        backend = await stage.backend()
        for number, key in enumerate(("", "paso ñ/日本", "a:b", "x" * 200)):
            await backend.claims.take([unique(f"id {number} ñ", key)], ELSEWHERE)
            assert await who(backend, unique("other", key)) == [f"id {number} ñ"]

    @staged
    async def test_a_task_that_waits_for_an_event_is_not_taken_over(self, stage: Stage) -> None:
        backend = await stage.backend()
        await backend.claims.take([unique("1")], ELSEWHERE)
        assert list(await backend.journal.park([Parked(unique("1"), "go")])) == [True]
        (found,) = await backend.claims.take([unique("2")], ELSEWHERE)
        assert found is not None
        assert found.is_parked
        assert await backend.claims.take_over(unique("2"), "1") is False
        (woken,) = await backend.journal.signal(_event("go"), time.time() + 60, ELSEWHERE)
        assert await backend.claims.take_over(unique("2"), "1") is False  # handed out, and not back yet
        await backend.journal.end({woken.id: JournalEnd.RESUMED})
        assert await backend.claims.take_over(unique("2"), "1") is True


class JointClaiming:
    """Where the broker is in the same place: claiming and sending are one step."""

    @staged
    async def test_what_is_claimed_is_sent_and_a_duplicate_is_not(self, stage: Stage) -> None:
        broker, backend, consumer, _ = await joint_places(stage)
        first, soon = unique("1"), unique("3", "b", due_at_s=time.time() + 600)
        assert await who(backend, first, unique("2"), soon, broker=broker) == [None, "1", None]
        assert list(await broker.locate(["1", "2", "3"])) == [Place.WAITING, None, Place.DELAYED]
        assert await who(backend, first, broker=broker) == [None]  # repeated: nothing is sent twice
        (found,) = await backend.claims.take([unique("4", "b")], broker)
        assert found is not None
        assert found.is_waiting is True
        assert [each.message for each in await take(consumer, 1)] == [first]
        assert await nothing_more(consumer)

    @staged
    async def test_a_claim_until_the_end_stands_while_the_task_runs_and_is_retried(self, stage: Stage) -> None:
        broker, backend, consumer, settler = await joint_places(stage)
        await backend.claims.take([unique("1")], broker)
        (held,) = await take(consumer, 1)
        (found,) = await backend.claims.take([unique("2")], broker)
        assert found is not None
        assert (found.task_id, found.is_waiting) == ("1", False)
        assert list(await settler.complete([Completion(Release(held, replace(held.message, retries=1)))])) == [True]
        assert await who(backend, unique("2"), broker=broker) == ["1"]
        (again,) = await take(consumer, 1)
        assert list(await settler.complete([Completion(Ack(again), record("1"))])) == [True]
        assert await who(backend, unique("2"), broker=broker) == [None]

    @staged
    async def test_a_claim_until_the_start_is_over_when_a_worker_has_the_task(self, stage: Stage) -> None:
        broker, backend, consumer, settler = await joint_places(stage)
        await backend.claims.take([unique("1", until=Until.START)], broker)
        (held,) = await take(consumer, 1)
        assert list(await settler.complete([Completion(Release(held))])) == [True]  # given back: it waits again
        assert await who(backend, unique("2", until=Until.START), broker=broker) == ["1"]
        (held,) = await take(consumer, 1)
        assert await who(backend, unique("2", until=Until.START), broker=broker) == [None]
        assert list(await settler.complete([Completion(Ack(held), record("1"))])) == [True]
        assert await who(backend, unique("3", until=Until.START), broker=broker) == ["2"]

    @staged
    async def test_a_window_lasts_whatever_becomes_of_its_task_unless_it_is_revoked(self, stage: Stage) -> None:
        broker, backend, consumer, settler = await joint_places(stage)
        for task_id, state in (("1", State.SUCCESS), ("2", State.REVOKED)):
            await backend.claims.take([unique(task_id, task_id, Until.WINDOW)], broker)
            (held,) = await take(consumer, 1)
            assert list(await settler.complete([Completion(Ack(held), record(task_id, state))])) == [True]
        assert await who(backend, unique("3", "1"), unique("4", "2"), broker=broker) == ["1", None]

    @staged
    async def test_a_buried_task_has_let_go_of_its_key(self, stage: Stage) -> None:
        broker, backend, consumer, settler = await joint_places(stage)
        await backend.claims.take([unique("1")], broker)
        (held,) = await take(consumer, 1)
        bury = Completion(Bury(held, DeadReason.FAILED, "boom"), record("1", "FAILURE"))
        assert list(await settler.complete([bury])) == [True]
        assert await who(backend, unique("2"), broker=broker) == [None]
        assert list(await broker.locate(["1"])) == [Place.DEAD]

    @staged
    async def test_a_task_that_is_not_ours_any_more_releases_nothing(self, stage: Stage) -> None:
        broker, backend, consumer, settler = await joint_places(stage)
        await backend.claims.take([unique("1")], broker)
        (held,) = await take(consumer, 1)
        assert list(await consumer.settle([Release(held)])) == [True]
        assert list(await settler.complete([Completion(Ack(held), record("1"))])) == [False]
        assert await who(backend, unique("2"), broker=broker) == ["1"]

    @staged
    async def test_a_task_that_waits_for_an_event_keeps_its_key(self, stage: Stage) -> None:
        broker, backend, consumer, settler = await joint_places(stage)
        await backend.claims.take([unique("1")], broker)
        (held,) = await take(consumer, 1)
        assert list(await settler.complete([Completion(Ack(held), park=Parked(held.message, "go"))])) == [True]
        assert list(await broker.locate(["1"])) == [None]
        assert await who(backend, unique("2"), broker=broker) == ["1"]
        await backend.journal.signal(_event("go"), time.time() + 60, broker)
        assert await who(backend, unique("2"), broker=broker) == ["1"]
        (again,) = await take(consumer, 1)
        assert list(await settler.complete([Completion(Ack(again), record("1"))])) == [True]
        assert await who(backend, unique("2"), broker=broker) == [None]

    @staged
    async def test_a_claim_whose_task_is_gone_counts_for_nothing(self, stage: Stage) -> None:
        broker, backend, consumer, _ = await joint_places(stage)
        await backend.claims.take([unique("1")], broker)
        assert ids(await broker.cancel(["1"])) == ["1"]
        assert await who(backend, unique("2"), unique("x"), broker=broker) == [None, "2"]
        assert await broker.queues.purge("default") == 1
        assert await who(backend, unique("3"), unique("x"), broker=broker) == [None, "3"]
        (held,) = await take(consumer, 1)
        assert list(await consumer.settle([Ack(held)])) == [True]
        assert await who(backend, unique("4"), unique("x"), broker=broker) == [None, "4"]

    @staged
    async def test_a_claim_of_a_holder_that_died_stands_until_its_task_has_run_again(self, stage: Stage) -> None:
        broker, backend = await stage.broker(), await stage.backend()
        dead, holder = await stage.consumer(broker)
        await backend.claims.take([unique("1")], broker)
        await take(dead, 1)
        await broker.leases.recover(holder, {})
        assert await who(backend, unique("2"), broker=broker) == ["1"]
        consumer, other = await stage.consumer(broker)
        (held,) = await take(consumer, 1)
        settler = backend.joint(broker, other)
        assert settler is not None
        assert list(await settler.complete([Completion(Ack(held), record("1"))])) == [True]
        assert await who(backend, unique("2"), broker=broker) == [None]

    @staged
    async def test_a_waiting_message_is_replaced_in_one_step(self, stage: Stage) -> None:
        broker, backend, consumer, _ = await joint_places(stage)
        await backend.claims.take([unique("1"), unique("x", "x"), unique("later", "b", due_at_s=time.time() + 600)], broker)
        new = unique("1", body=b"[[7], {}]", priority=9)
        assert await backend.claims.replace(new, broker) is True
        now = unique("later", "b", body=b"[[8], {}]")
        assert await backend.claims.replace(now, broker) is True
        assert await backend.claims.replace(unique("none", "nobody's"), broker) is False
        assert await backend.claims.replace(unique("other"), broker) is False  # it has no claim on that
        assert [each.message.body for each in await take(consumer, 3)] == [new.body, unique("x").body, now.body]
        assert await backend.claims.replace(new, broker) is False  # it runs
        assert await nothing_more(consumer)

    @staged
    async def test_those_that_replace_one_another_have_the_key_since_the_first(self, stage: Stage) -> None:
        broker, backend, _, _ = await joint_places(stage)
        await backend.claims.take([unique("1", until=Until.START)], broker)
        (first,) = await backend.claims.take([unique("2")], broker)
        assert await backend.claims.replace(unique("1", until=Until.START), broker) is True
        (second,) = await backend.claims.take([unique("2")], broker)
        assert first is not None
        assert second is not None
        assert second.since_s == first.since_s
        assert second.taken_at_s > first.taken_at_s


def _event(name: str) -> Entry:
    return Entry(name, b"1", "json", 12.5)
