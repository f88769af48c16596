"""Conformance of a backend that carries events: who listens hears all, at once, and holds up nobody."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from faena.backend import EventFeed, Events, carries_events
from faena.model.event import Event, EventKind
from faena.testing.conformance.stage import PATIENCE_S, SOON_S, Stage, staged


def event(number: int = 0, kind: EventKind = EventKind.TASK_SUCCEEDED) -> Event:
    return Event(
        kind, 1.5 + number, "w@h", f"id-{number}", "add", "mail", 2, 0.25, "'é'", "Traceback:\n x", 9.5,
        {"n": [number, None]},
    )  # fmt: skip


async def events(stage: Stage) -> Events:
    backend = await stage.backend()
    if not carries_events(backend):
        pytest.skip("it carries no events")
    assert backend.events is not None
    return backend.events


async def heard(feed: EventFeed, count: int) -> list[Event]:
    """Receive until there are so many, or nothing comes any more."""
    found: list[Event] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < deadline:
        found += await feed.receive(1.0)
    return found


class Hearing:
    @staged
    async def test_everybody_who_listens_hears_all_that_is_told_from_then_on_in_its_order(self, stage: Stage) -> None:
        one, two, teller = await events(stage), await events(stage), await events(stage)
        await teller.publish([event(-1)])  # nobody listens
        feeds = [await one.listen(), await two.listen(), await one.listen()]
        told = [event(number) for number in range(5)]
        await teller.publish(told[:2])
        await teller.publish([])
        await teller.publish(told[2:])
        for feed in feeds:
            assert await heard(feed, 5) == told
            assert list(await feed.receive(0)) == []
            assert feed.missed == 0
            await feed.close()

    @staged
    async def test_what_is_told_wakes_who_waits(self, stage: Stage) -> None:
        listener, teller = await events(stage), await events(stage)
        feed = await listener.listen()

        async def hear() -> Sequence[Event]:
            return await feed.receive(30)

        waiting = stage.beside(hear)
        await stage.turn()
        await teller.publish([event()])
        assert list(await waiting.outcome(SOON_S)) == [event()]
        await feed.close()

    @staged
    async def test_the_wait_ends_when_the_time_is_up(self, stage: Stage) -> None:
        feed = await (await events(stage)).listen()
        began_s = time.monotonic()
        assert list(await feed.receive(0.2)) == []
        assert 0.2 <= time.monotonic() - began_s < 0.2 + SOON_S
        await feed.close()

    @staged
    async def test_who_has_closed_hears_no_more_and_others_do(self, stage: Stage) -> None:
        told = await events(stage)
        leaves, stays = await told.listen(), await told.listen()
        await leaves.close()
        await leaves.close()
        await told.publish([event(1)])
        assert await heard(stays, 1) == [event(1)]
        await stays.close()
        await told.publish([event(2)])  # nobody listens any more
        again = await told.listen()
        await told.publish([event(3)])
        assert await heard(again, 1) == [event(3)]
        await again.close()

    @staged
    async def test_a_large_batch_arrives_whole(self, stage: Stage) -> None:
        told = await events(stage)
        feed = await told.listen()
        many = [event(number) for number in range(5000)]
        await told.publish(many)
        assert await heard(feed, len(many)) == many
        assert feed.missed == 0
        await feed.close()

    @staged
    async def test_who_does_not_fetch_holds_up_nobody_and_is_told_if_he_missed_some(self, stage: Stage) -> None:
        told = await events(stage)
        slow = await told.listen()
        for batch in range(400):
            await told.publish([event(batch)])
        await told.publish([event(400)])
        found: list[Event] = []
        deadline = time.monotonic() + PATIENCE_S
        while event(400) not in found and time.monotonic() < deadline:
            found += await slow.receive(1.0)
        numbers = [each.at_s for each in found]
        assert numbers == sorted(set(numbers))
        assert found[-1] == event(400)
        assert len(found) == 401 or slow.missed
        await slow.close()
