"""Conformance of a backend: commands, presence, revocations."""

from __future__ import annotations

import threading
import time
from typing import Any

from faena._lib.ids import new_id
from faena.model.control import Command, Reply, Revocation, WorkerInfo
from faena.testing.conformance.stage import SOON_S, Stage, backend_expires_by_itself, staged


def command(name: str = "ping", *to: str, **fields: Any) -> Command:
    return Command(**{"id": new_id(), "name": name, "arguments": {"x": [1, "é"]}, "to": to, **fields})


def worker(name: str, **fields: Any) -> WorkerInfo:
    return WorkerInfo(**{"name": name, "host": "host", "pid": 1, "started_at_s": 1.5, "seen_at_s": 2.5, **fields})


class Controlling:
    # -- commands -----------------------------------------------------------------------------------------

    @staged
    async def test_a_worker_sees_what_was_sent_after_its_first_announcement_once(self, stage: Stage) -> None:
        mailbox, sender = (await stage.backend()).mailbox, (await stage.backend()).mailbox
        await sender.send(command("too-early"))
        assert list(await mailbox.receive("w1", 0)) == []
        await mailbox.announce(worker("w1"), 60)
        sent = [command("first"), command("second", "w1", "w2"), command("third")]
        for each in sent:
            await sender.send(each)
        await mailbox.announce(worker("w1"), 60)  # again: nothing is forgotten for it
        assert list(await mailbox.receive("w1", 5)) == sent
        assert list(await mailbox.receive("w1", 0)) == []

    @staged
    async def test_a_command_reaches_those_it_names_and_all_when_it_names_none(self, stage: Stage) -> None:
        mailbox = (await stage.backend()).mailbox
        for name in ("w1", "w2"):
            await mailbox.announce(worker(name), 60)
        for_all, for_second = command("all"), command("second", "w2")
        await mailbox.send(for_second)
        await mailbox.send(for_all)
        assert list(await mailbox.receive("w1", 0)) == [for_all]
        assert list(await mailbox.receive("w2", 0)) == [for_second, for_all]

    @staged
    async def test_a_command_that_has_expired_is_not_seen(self, stage: Stage) -> None:
        mailbox = (await stage.backend()).mailbox
        await mailbox.announce(worker("w1"), 60)
        fresh = command("fresh", expires_at_s=time.time() + 60)
        await mailbox.send(command("stale", expires_at_s=time.time() - 1))
        await mailbox.send(fresh)
        assert list(await mailbox.receive("w1", 0)) == [fresh]

    @staged
    async def test_a_command_wakes_the_worker_that_waits(self, stage: Stage) -> None:
        mailbox, sender = (await stage.backend()).mailbox, (await stage.backend()).mailbox
        await mailbox.announce(worker("w1"), 60)
        for sent in (command("to-all"), command("to-one", "w1")):
            waiting = stage.beside(lambda: mailbox.receive("w1", 30))
            await stage.turn()
            await sender.send(sent)
            assert list(await waiting.outcome(SOON_S)) == [sent]

    @staged
    async def test_an_interrupt_ends_the_wait_for_commands_and_none_is_lost(self, stage: Stage) -> None:
        mailbox = (await stage.backend()).mailbox
        await mailbox.announce(worker("w1"), 60)
        begun = time.monotonic()
        timer = threading.Timer(0.1, mailbox.interrupt)
        timer.start()
        assert list(await mailbox.receive("w1", 30)) == []
        timer.join()
        mailbox.interrupt()
        assert list(await mailbox.receive("w1", 30)) == []
        assert time.monotonic() - begun < 0.1 + SOON_S
        await mailbox.send(sent := command())
        assert list(await mailbox.receive("w1", 5)) == [sent]

    # -- answers ------------------------------------------------------------------------------------------

    @staged
    async def test_the_answers_come_as_soon_as_all_are_there(self, stage: Stage) -> None:
        mailbox, other = (await stage.backend()).mailbox, (await stage.backend()).mailbox
        waiting = stage.beside(lambda: mailbox.replies("c1", 2, 30))
        await stage.turn()
        first, second = Reply("c1", "w1", {"pong": True}), Reply("c1", "w2", error="no such command")
        await other.reply(second, 60)
        await other.reply(Reply("c2", "w1", "of another"), 60)
        await other.reply(first, 60)
        assert sorted(await waiting.outcome(SOON_S), key=lambda each: each.worker) == [first, second]

    @staged
    async def test_the_answers_that_are_there_come_when_the_time_is_up(self, stage: Stage) -> None:
        mailbox = (await stage.backend()).mailbox
        await mailbox.reply(Reply("c1", "w1", 1), 60)
        begun = time.monotonic()
        assert list(await mailbox.replies("c1", 3, 0.2)) == [Reply("c1", "w1", 1)]
        assert 0.2 <= time.monotonic() - begun < 0.2 + SOON_S
        assert list(await mailbox.replies("unknown", 1, 0.0)) == []

    # -- presence -----------------------------------------------------------------------------------------

    @staged
    async def test_the_workers_known_now_are_listed_by_name(self, stage: Stage) -> None:
        mailbox, other = (await stage.backend()).mailbox, (await stage.backend()).mailbox
        full = worker("w2", queues=("a", "b"), concurrency=4, version="1.0", stats={"done": 3, "rate": 0.5})
        await mailbox.announce(full, 60)
        await mailbox.announce(worker("w1"), 60)
        await mailbox.announce(worker("gone"), 0.0)
        assert list(await other.workers()) == [worker("w1"), full]
        assert await other.announce(worker("w1", seen_at_s=99.0), 60) == worker("w1")
        assert await other.announce(worker("gone", seen_at_s=99.0), 0.0) is None
        await other.withdraw("w2")
        await other.withdraw("unknown")
        assert list(await mailbox.workers()) == [worker("w1", seen_at_s=99.0)]

    @staged
    async def test_what_is_over_of_control_is_removed(self, stage: Stage) -> None:
        backend = await stage.backend()
        mailbox, past_s = backend.mailbox, time.time() - 1
        await mailbox.announce(worker("gone"), 0.0)
        await mailbox.announce(worker("here"), 60)
        await mailbox.send(command("stale", expires_at_s=past_s))
        await mailbox.reply(Reply("c1", "w1"), 0.0)
        await mailbox.reply(Reply("c1", "w2"), 60)
        await backend.revocations.add([Revocation("over", expires_at_s=past_s), Revocation("stands")])
        removed = [await backend.expire(3) for _ in range(3)]
        assert removed == [3, 1, 0] or backend_expires_by_itself(removed, 4)
        assert list(await mailbox.workers()) == [worker("here")]
        assert list(await mailbox.replies("c1", 1, 0)) == [Reply("c1", "w2")]
        assert [each.task_id for each in (await backend.revocations.since(0))[1]] == ["stands"]

    # -- revocations --------------------------------------------------------------------------------------

    @staged
    async def test_revocations_are_read_from_where_one_left_off(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        later_s = time.time() + 600
        first = Revocation("1", True, "SIGKILL", 1.5, later_s)
        second, third = Revocation("añadir"), Revocation("3", expires_at_s=later_s)
        assert await other.revocations.since(0) == (0, [])
        await backend.revocations.add([first, second])
        mark, found = await other.revocations.since(0)
        assert list(found) == [first, second]
        assert await other.revocations.since(mark) == (mark, [])
        await backend.revocations.add([third])
        await backend.revocations.add([])
        next_mark, found = await other.revocations.since(mark)
        assert (list(found), next_mark > mark) == ([third], True)
        assert list((await other.revocations.since(0))[1]) == [first, second, third]

    @staged
    async def test_a_revocation_can_be_taken_back_and_made_again(self, stage: Stage) -> None:
        revocations = (await stage.backend()).revocations
        await revocations.add([Revocation("1"), Revocation("2")])
        mark, _ = await revocations.since(0)
        assert await revocations.remove(["2", "unknown"]) == 1
        assert await revocations.remove(["2"]) == 0
        assert await revocations.remove([]) == 0
        assert list((await revocations.since(0))[1]) == [Revocation("1")]
        await revocations.add([Revocation("2", terminate=True), Revocation("1", terminate=True)])
        _, found = await revocations.since(mark)
        assert list(found) == [Revocation("2", terminate=True), Revocation("1", terminate=True)]
        assert len((await revocations.since(0))[1]) == 2

    @staged
    async def test_a_revocation_that_is_over_is_not_handed_out(self, stage: Stage) -> None:
        revocations = (await stage.backend()).revocations
        await revocations.add([Revocation("over", expires_at_s=time.time() - 1)])
        assert list((await revocations.since(0))[1]) == []
