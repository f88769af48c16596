"""Conformance of a backend: schedules, how far they are, and what follows from their ticks."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from msgspec.structs import replace

from faena._lib.ids import new_id
from faena.backend import Backend
from faena.model.cron import Cron
from faena.model.delivery import Place
from faena.model.message import Message
from faena.model.schedule import Change, Manifest, Schedule, Standing
from faena.model.sun import Solar
from faena.model.timing import Every, Once, Timing
from faena.testing.conformance.stage import PATIENCE_S, SOON_S, Stage, ids, message, nothing_more, staged, take

ELSEWHERE = object()  # a broker that is no store of this backend: messages are kept for the caller
NOW_S = 1_800_000_000.0


def standing(name: str, next_s: float | None = NOW_S, timing: Timing | None = None, **fields: Any) -> Standing:
    schedule = Schedule(name=name, timing=timing or Every(60_000, 0), message=message())
    return Standing(schedule=schedule, revision=new_id(), next_s=next_s, **fields)


def added(made: Standing, *publish: Message) -> Change:
    return Change(made.schedule.name, "", made, made.wakes_at_s, publish)


def changed(before: Standing, after: Standing | None, *publish: Message) -> Change:
    return Change(before.schedule.name, before.revision, after, None if after is None else after.wakes_at_s, publish)


async def add(backend: Backend, *made: Standing) -> None:
    assert list(await backend.schedules.change([added(each) for each in made], ELSEWHERE)) == [True] * len(made)


def names(found: Any) -> list[str]:
    return [each.schedule.name for each in found]


class Scheduling:
    @staged
    async def test_schedules_are_read_as_they_were_written_and_listed_by_name(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        made = [
            standing("b", timing=Cron("*/5 * * * *", "Europe/Madrid", gap="skip"), last_s=1.5, last_id="x", sent=7),
            standing("a ñ/日本", None, timing=Once(12.25), is_paused=True, app="shop", digest="d", outdated=("e", "f")),
            standing("c", timing=Solar("sunset", -37.8, 144.9), held_s=NOW_S - 1, left_out=3),
        ]
        await add(backend, *made)
        assert list(await other.schedules.every()) == sorted(made, key=lambda each: each.schedule.name)
        assert list(await other.schedules.get(["c", "unknown", "b"])) == [made[2], None, made[0]]
        assert list(await other.schedules.get([])) == []

    @staged
    async def test_only_what_is_due_is_handed_out_the_longest_due_first(self, stage: Stage) -> None:
        backend = await stage.backend()
        assert await backend.schedules.next_due_s() is None
        await add(
            backend,
            standing("later", NOW_S + 0.5),
            standing("now", NOW_S),
            standing("before", NOW_S - 10.125),
            standing("paused", NOW_S - 20, is_paused=True),
            standing("ended", None),
        )
        assert names(await backend.schedules.due(NOW_S, 10)) == ["before", "now"]
        assert names(await backend.schedules.due(NOW_S, 1)) == ["before"]
        assert names(await backend.schedules.due(NOW_S - 60, 10)) == []
        assert await backend.schedules.next_due_s() == NOW_S - 10.125

    @staged
    async def test_of_two_who_saw_the_same_revision_the_first_changes_it(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        before = standing("a")
        await add(backend, before)
        after = replace(before, revision=new_id(), next_s=NOW_S + 60)
        rival = replace(before, revision=new_id(), next_s=NOW_S + 90)
        assert list(await other.schedules.change([changed(before, after)], ELSEWHERE)) == [True]
        assert list(await backend.schedules.change([changed(before, rival)], ELSEWHERE)) == [False]
        assert list(await backend.schedules.change([added(rival)], ELSEWHERE)) == [False]
        assert list(await backend.schedules.get(["a"])) == [after]
        assert await backend.schedules.next_due_s() == NOW_S + 60

    @staged
    async def test_a_schedule_that_was_removed_is_gone_and_one_made_anew_is_another(self, stage: Stage) -> None:
        backend = await stage.backend()
        before, anew = standing("a"), standing("a")
        await add(backend, before)
        assert list(await backend.schedules.change([changed(anew, None)], ELSEWHERE)) == [False]
        assert list(await backend.schedules.change([changed(before, None)], ELSEWHERE)) == [True]
        assert (list(await backend.schedules.every()), await backend.schedules.next_due_s()) == ([], None)
        assert list(await backend.schedules.change([changed(before, anew)], ELSEWHERE)) == [False]
        await add(backend, anew)
        assert list(await backend.schedules.change([changed(before, None)], ELSEWHERE)) == [False]

    @staged
    async def test_what_follows_is_kept_until_it_is_said_to_be_published(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        first, second = standing("a"), standing("b")
        await add(backend, first)
        mails = [message(headers={"schedule": "a"}), message(due_at_s=time.time() + 60)]
        after = replace(first, revision=new_id())
        changes = [changed(first, after, *mails), changed(second, None, message())]
        assert list(await backend.schedules.change(changes, ELSEWHERE)) == [True, False]
        assert await other.may_have_duties()
        found = list(await other.schedules.unpublished(time.time() + 1, 10))
        assert sorted(found, key=lambda each: each.id) == sorted(mails, key=lambda each: each.id)
        assert list(await other.schedules.unpublished(time.time() - 60, 10)) == []
        assert len(await other.schedules.unpublished(time.time() + 1, 1)) == 1
        await backend.schedules.published([mails[0].id, "unknown"])
        assert ids(await other.schedules.unpublished(time.time() + 1, 10)) == [mails[1].id]

    @staged
    async def test_many_schedules_change_at_once(self, stage: Stage) -> None:
        backend = await stage.backend()
        made = [standing(f"s{number:04d}", NOW_S + number) for number in range(2500)]
        await add(backend, *made)
        due = list(await backend.schedules.due(NOW_S + 2000, 500))
        assert names(due) == [f"s{number:04d}" for number in range(500)]
        after = [replace(each, revision=new_id(), next_s=NOW_S + 9999) for each in due]
        changes = [changed(old, new, message(), message()) for old, new in zip(due, after, strict=True)]
        assert all(await backend.schedules.change(changes, ELSEWHERE))
        assert names(await backend.schedules.due(NOW_S + 501, 500)) == ["s0500", "s0501"]
        assert len(await backend.schedules.unpublished(time.time() + 1, 5000)) == 1000

    @staged
    async def test_manifests_are_known_for_a_while_by_app(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        old, new = Manifest("shop", {"a": "1"}), Manifest("shop", {"a": "2", "b ñ": "3"})
        await backend.schedules.declare(old, 60.0)
        await backend.schedules.declare(new, 60.0)
        await backend.schedules.declare(new, 60.0)
        await backend.schedules.declare(Manifest("other", {}), 60.0)
        found = sorted(await other.schedules.manifests("shop"), key=lambda each: len(each.digests))
        assert found == [old, new]
        assert list(await other.schedules.manifests("unknown")) == []
        await other.schedules.declare(old, 0.001)
        until_s = time.monotonic() + PATIENCE_S
        while list(await backend.schedules.manifests("shop")) != [new]:
            assert time.monotonic() < until_s
            await stage.turn()

    @staged
    async def test_who_keeps_vigil_is_woken_by_a_change_of_another(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        vigil = backend.schedules.vigil()
        made = standing("a")
        assert not await vigil.wait(0.01)

        async def keep() -> float:
            begun_s = time.monotonic()
            assert await vigil.wait(PATIENCE_S)
            return time.monotonic() - begun_s

        beside = stage.beside(keep)
        await stage.turn()
        await add(other, made)
        assert await beside.outcome() < SOON_S
        await add(other, standing("b"))  # before the wait: it ends at once
        assert await keep() < SOON_S
        silent = [changed(made, replace(made, revision=new_id()))]
        assert list(await other.schedules.change(silent, ELSEWHERE, tells=False)) == [True]
        begun_s = time.monotonic()
        assert not await vigil.wait(0.05)
        assert time.monotonic() - begun_s >= 0.04
        await vigil.close()

    @staged
    async def test_a_vigil_can_be_cancelled(self, stage: Stage) -> None:
        if stage.io == "blocking":
            return
        backend = await stage.backend()
        vigil = backend.schedules.vigil()
        task = asyncio.ensure_future(vigil.wait(PATIENCE_S))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        await add(backend, standing("a"))
        assert await vigil.wait(PATIENCE_S)
        await vigil.close()


class JointScheduling:
    @staged
    async def test_what_follows_from_a_change_is_published_in_the_same_step(self, stage: Stage) -> None:
        broker, backend = await stage.broker(), await stage.backend()
        consumer, _ = await stage.consumer(broker)
        first, second = standing("a"), standing("b")
        now, later = message(id=new_id()), message(due_at_s=time.time() + 600)
        waiting = stage.beside(lambda: take(consumer, 1))
        await stage.turn()
        assert list(await backend.schedules.change([added(first, now, later)], broker)) == [True]
        assert ids(await waiting.outcome(SOON_S)) == [now.id]
        assert list(await broker.locate([later.id])) == [Place.DELAYED]
        after = replace(first, revision=new_id())
        changes = [changed(second, None, message(id="x")), changed(first, after, now, message(id="y"))]
        assert list(await backend.schedules.change(changes, broker)) == [False, True]
        assert list(await broker.locate(["x", "y"])) == [None, Place.WAITING]
        assert list(await backend.schedules.unpublished(time.time() + 1, 10)) == []
        assert ids(await take(consumer, 1)) == ["y"], "one whose id is in the broker is not taken twice"
        assert await nothing_more(consumer)
