"""Conformance of many attempts that end in one step: each result is kept as if it had come by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec.structs import replace

from faena.backend import Completion
from faena.model.delivery import Ack, Delivery
from faena.model.message import Message
from faena.model.result import ResultRecord
from faena.testing.conformance.recording import record
from faena.testing.conformance.stage import SOON_S, Stage, ids, joint_places, messages, staged, take

MANY = 40


def ended(batch: Sequence[Delivery], until_s: float, value: bytes = b"1") -> list[Completion]:
    return [Completion(Ack(each), kept(each.message, until_s, value)) for each in batch]


def kept(message: Message, until_s: float, value: bytes = b"1") -> ResultRecord:
    return record(message.id, value=value, expires_at_s=until_s)


class JointTogether:
    @staged
    async def test_results_of_a_batch_are_read_watched_and_forgotten_as_others_are(self, stage: Stage) -> None:
        broker, backend, consumer, settler = await joint_places(stage)
        other, until_s = await stage.backend(), time.time() + 600
        sent = messages(MANY)
        await broker.publish(sent)
        watch = other.watch()
        assert list(await watch.add(ids(sent[:3]))) == [None, None, None]
        completions = ended(await take(consumer, MANY), until_s)
        completions[5] = replace(completions[5], result=None)
        assert all(await settler.complete(completions))
        expected = [each.result for each in completions]
        told: set[str] = set()
        while len(told) < 3:
            news = await watch.changed(SOON_S)
            assert news
            told |= set(news)
        assert told == set(ids(sent[:3]))
        await watch.close()
        assert list(await other.read(ids(sent))) == expected
        assert [(await other.read([each.id]))[0] for each in sent[4:7]] == expected[4:7]
        assert len(await other.latest(100)) == MANY - 1
        late = other.watch()
        assert list(await late.add(ids(sent[7:10]))) == expected[7:10]
        assert list(await late.add(ids(sent[10:11]))) == expected[10:11]
        await late.close()
        assert await backend.forget(ids(sent[:20])) == 19
        assert list(await other.read(ids(sent))) == [None] * 20 + expected[20:]

    @staged
    async def test_who_has_ended_otherwise_keeps_that_state_within_a_batch(self, stage: Stage) -> None:
        broker, backend, consumer, settler = await joint_places(stage)
        until_s, sent = time.time() + 600, messages(MANY)
        await broker.publish(sent)
        revoked, running = record(sent[3].id, "REVOKED"), record(sent[4].id, "STARTED", expires_at_s=until_s)
        assert all(await backend.record([revoked, running]))
        assert all(await settler.complete(ended(await take(consumer, MANY), until_s)))
        expected = [kept(each, until_s) for each in sent]
        expected[3] = revoked
        assert list(await backend.read(ids(sent))) == expected

    @staged
    async def test_who_has_ended_in_a_batch_does_not_end_again(self, stage: Stage) -> None:
        broker, backend, consumer, settler = await joint_places(stage)
        until_s, sent = time.time() + 600, messages(MANY)
        await broker.publish(sent)
        assert all(await settler.complete(ended(await take(consumer, MANY), until_s)))
        assert not any(await backend.record([record(each.id, "REVOKED") for each in sent[:2]]))
        assert not any(await backend.record([record(sent[2].id, "STARTED", expires_at_s=until_s)]))
        fresh = messages(3)
        await broker.publish([*sent, *fresh])  # they were sent once more, and had ended meanwhile
        again = await take(consumer, MANY + 3)
        assert all(await settler.complete(ended(again[:1], until_s, b"2")))
        assert all(await settler.complete(ended(again[1:], until_s, b"2")))
        expected = [*(kept(each, until_s) for each in sent), *(kept(each, until_s, b"2") for each in fresh)]
        assert list(await backend.read(ids([*sent, *fresh]))) == expected

    @staged
    async def test_ids_of_any_kind_end_in_one_batch(self, stage: Stage) -> None:
        broker, backend, consumer, settler = await joint_places(stage)
        until_s = time.time() + 600
        sent = [replace(each, id=f"order-2025-{'ñ' * (at % 3)}{at}") for at, each in enumerate(messages(MANY))]
        sent += [replace(each, id=f"{at}") for at, each in enumerate(messages(MANY))]
        await broker.publish(sent)
        batch = await take(consumer, 2 * MANY)
        assert all(await settler.complete(ended(batch[::2], until_s)))
        assert all(await settler.complete(ended(batch[1::2], until_s, b"2")))
        values = {each.id: kept(each, until_s, b"1" if at % 2 == 0 else b"2") for at, each in enumerate(sent)}
        assert list(await backend.read(ids(sent))) == [values[each.id] for each in sent]
