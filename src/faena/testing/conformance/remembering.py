"""Conformance of a backend: what tasks remember, events, and tasks that wait for them."""

from __future__ import annotations

import time

from msgspec.structs import replace

from faena.backend import Backend, JournalEnd
from faena.model.control import Revocation
from faena.model.journal import Entry, Parked
from faena.model.message import Member
from faena.testing.conformance.sketch import begin, chain
from faena.testing.conformance.stage import Stage, message, staged

KEPT_S = 600.0
ELSEWHERE = object()  # a broker that is no store of this backend: woken messages are handed to the caller


def entry(name: str, value: bytes | None = b"1", content: str = "json") -> Entry:
    return Entry(name, value, content, 12.5)


async def write(backend: Backend, task_id: str, made: Entry, keep_s: float = KEPT_S) -> Entry:
    return await backend.journal.write(task_id, made, time.time() + keep_s)


async def signal(backend: Backend, name: str, value: bytes | None = b"1", keep_s: float = KEPT_S) -> list[str]:
    """Let an event happen; return the ids of the messages handed out."""
    woken = await backend.journal.signal(entry(name, value), time.time() + keep_s, ELSEWHERE)
    return sorted(each.id for each in woken)


async def due(backend: Backend, grace_s: float = 1000.0) -> list[str]:
    is_possible = await backend.may_have_duties()
    found = sorted(each.id for each in await backend.journal.due(grace_s, 100, ELSEWHERE))
    assert is_possible or not found
    return found


class Remembering:
    @staged
    async def test_the_entries_of_a_task_are_read_as_they_were_written(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        odd = Entry("paso ñ/日本", bytes(range(256)), "pickle", 1.5)
        for made in (entry("a"), odd, entry("none", None)):
            assert await write(backend, "1", made) == made
        await write(backend, "2", entry("a", b"another"))
        found = {each.name: each for each in await other.journal.read("1")}
        assert found == {"a": entry("a"), odd.name: odd, "none": entry("none", None)}
        assert list(await other.journal.read("unknown")) == []

    @staged
    async def test_the_first_entry_of_a_name_stands(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        await write(backend, "1", entry("a", b"first"))
        assert await write(other, "1", entry("a", b"second")) == entry("a", b"first")
        assert list(await backend.journal.read("1")) == [entry("a", b"first")]

    @staged
    async def test_a_task_that_has_succeeded_is_forgotten_and_one_that_came_back_remembers(self, stage: Stage) -> None:
        backend = await stage.backend()
        for task_id in ("done", "back"):
            await write(backend, task_id, entry("a"))
            assert list(await backend.journal.park([Parked(message(id=task_id), "go")])) == [True]
        await backend.journal.end({"done": JournalEnd.FORGOTTEN, "back": JournalEnd.RESUMED})
        assert list(await backend.journal.read("done")) == []
        assert list(await backend.journal.read("back")) == [entry("a")]
        assert await signal(backend, "go") == []
        await backend.journal.end({})

    @staged
    async def test_entries_go_when_the_last_of_their_task_may(self, stage: Stage) -> None:
        backend = await stage.backend()
        await write(backend, "kept", entry("a"), keep_s=-1)
        await write(backend, "kept", entry("b"))
        await write(backend, "over", entry("a"), keep_s=-1)
        await backend.expire(100)
        assert len(await backend.journal.read("kept")) == 2
        assert list(await backend.journal.read("over")) == []

    @staged
    async def test_an_event_happens_once_and_is_known_to_all(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        assert await backend.journal.event("go") is None
        assert await signal(backend, "go", b"first") == []
        assert await signal(other, "go", b"second") == []
        assert await other.journal.event("go") == entry("go", b"first")
        assert await other.journal.event("other") is None

    @staged
    async def test_an_event_that_is_over_can_happen_again(self, stage: Stage) -> None:
        backend = await stage.backend()
        await signal(backend, "go", b"old", keep_s=-1)
        assert await backend.journal.event("go") is None
        await signal(backend, "go", b"new")
        assert await backend.journal.event("go") == entry("go", b"new")

    @staged
    async def test_an_event_wakes_each_that_waits_for_it_once(self, stage: Stage) -> None:
        backend = await stage.backend()
        one, two, late = message(id="1", queue="q", priority=9), message(id="2"), message(id="3")
        waiting = [Parked(one, "go"), Parked(two, "go", time.time() + 600), Parked(late, "other")]
        assert list(await backend.journal.park(waiting)) == [True, True, True]
        woken = await backend.journal.signal(entry("go"), time.time() + KEPT_S, ELSEWHERE)
        assert sorted(woken, key=lambda each: each.id) == [one, two]
        assert await signal(backend, "go") == []
        assert await signal(backend, "other") == ["3"]

    @staged
    async def test_what_waits_is_looked_at_without_being_woken(self, stage: Stage) -> None:
        backend = await stage.backend()
        now_s = time.time()
        one, two = Parked(message(id="1"), "go ñ"), Parked(message(id="2"), "other", now_s + 600)
        await backend.journal.park([one, two])
        assert list(await backend.journal.waiting(["unknown", "1"], 10)) == [one]
        (found,) = await backend.journal.waiting(["2"], 10)
        assert (found.message, found.event) == (two.message, "other")
        assert found.due_at_s is not None
        assert abs(found.due_at_s - now_s - 600) < 1.0
        assert list(await backend.journal.waiting([], 10)) == []
        assert {each.message.id for each in await backend.journal.waiting(None, 10)} == {"1", "2"}
        assert len(await backend.journal.waiting(None, 1)) == 1
        assert await signal(backend, "go ñ") == ["1"]

    @staged
    async def test_the_moment_of_those_that_wait_can_be_put_off_and_brought_forward(self, stage: Stage) -> None:
        backend = await stage.backend()
        now_s = time.time()
        waits = [Parked(message(id="off"), "a", now_s - 1), Parked(message(id="forward"), "b", now_s + 600),
                 Parked(message(id="as it was"), "c", now_s + 600)]  # fmt: skip
        await backend.journal.park(waits)
        await backend.journal.postpone([], now_s)
        await backend.journal.postpone(["off", "unknown"], now_s + 600)
        assert await due(backend) == []
        await backend.journal.postpone(["forward"], now_s - 1)
        assert await due(backend) == ["forward"]
        await backend.journal.postpone(["forward"], now_s - 1)  # it was handed out: there is nothing to put off
        assert await due(backend) == []

    @staged
    async def test_who_waits_for_what_has_happened_is_not_kept(self, stage: Stage) -> None:
        backend = await stage.backend()
        await signal(backend, "go")
        assert list(await backend.journal.park([Parked(message(id="1"), "go"), Parked(message(id="2"), "no")])) == [
            False,
            True,
        ]
        assert [each.id for each in await backend.journal.unpark(["1", "2"])] == ["2"]
        assert list(await backend.journal.park([])) == []

    @staged
    async def test_a_task_waits_for_one_thing_the_last(self, stage: Stage) -> None:
        backend = await stage.backend()
        await backend.journal.park([Parked(message(id="1"), "first", time.time() - 1)])
        last = message(id="1", retries=2)
        await backend.journal.park([Parked(last, "second")])
        assert await signal(backend, "first") == []
        assert await due(backend) == []
        woken = await backend.journal.signal(entry("second"), time.time() + KEPT_S, ELSEWHERE)
        assert list(woken) == [last]

    @staged
    async def test_whose_time_of_waiting_is_over_is_woken_once(self, stage: Stage) -> None:
        backend = await stage.backend()
        now_s = time.time()
        waits = [Parked(message(id="over"), "a", now_s - 1), Parked(message(id="later"), "b", now_s + 600),
                 Parked(message(id="never"), "c")]  # fmt: skip
        await backend.journal.park(waits)
        assert await due(backend) == ["over"]
        assert await due(backend) == []

    @staged
    async def test_what_was_handed_out_and_has_not_come_back_is_handed_out_once_more(self, stage: Stage) -> None:
        backend = await stage.backend()
        await backend.journal.park([Parked(message(id=name), "go") for name in ("lost", "back", "parked")])
        assert await signal(backend, "go") == ["back", "lost", "parked"]
        await backend.journal.end({"back": JournalEnd.RESUMED})
        await backend.journal.park([Parked(message(id="parked"), "something else")])
        assert await due(backend, grace_s=1000.0) == []
        assert await due(backend, grace_s=-1.0) == ["lost"]
        assert await due(backend, grace_s=-1.0) == []

    @staged
    async def test_what_was_handed_out_and_is_with_the_broker_is_handed_out_no_more(self, stage: Stage) -> None:
        """Where a broker does not look for ids that it has already, it would run twice at once."""
        backend = await stage.backend()
        await backend.journal.park([Parked(message(id=name), "go") for name in ("sent", "waits again", "lost")])
        assert await signal(backend, "go") == ["lost", "sent", "waits again"]
        await backend.journal.park([Parked(message(id="waits again"), "something else")])  # it was faster than who sent it
        await backend.journal.published(["sent", "waits again", "unknown"])
        assert list(await backend.journal.parked(["sent", "waits again", "lost"])) == [False, True, True]
        assert await due(backend, grace_s=-1.0) == ["lost"]
        assert await signal(backend, "something else") == ["waits again"]
        await backend.journal.published([])

    @staged
    async def test_what_is_taken_out_is_not_woken(self, stage: Stage) -> None:
        backend = await stage.backend()
        await backend.journal.park([Parked(message(id="1"), "go"), Parked(message(id="2"), "go")])
        assert [each.id for each in await backend.journal.unpark(["1", "unknown"])] == ["1"]
        assert await signal(backend, "go") == ["2"]
        assert list(await backend.journal.unpark([])) == []

    @staged
    async def test_what_waits_or_was_handed_out_is_known_until_it_is_taken_out(self, stage: Stage) -> None:
        backend = await stage.backend()
        names = ["waits", "unknown", "handed out", "taken out"]
        await backend.journal.park([Parked(message(id=name), f"for {name}") for name in names if name != "unknown"])
        assert await signal(backend, "for handed out") == ["handed out"]
        await backend.journal.unpark(["taken out"])
        assert list(await backend.journal.parked(names)) == [True, False, True, False]
        assert list(await backend.journal.parked([])) == []

    @staged
    async def test_a_task_that_was_revoked_waits_for_nothing(self, stage: Stage) -> None:
        backend = await stage.backend()
        now_s = time.time()
        revocations = [Revocation("1", expires_at_s=now_s + 600), Revocation("over", expires_at_s=now_s - 1)]
        await backend.revocations.add(revocations)
        waits = [Parked(message(id=name), "go") for name in ("1", "2", "over")]
        assert list(await backend.journal.park(waits)) == [False, True, True]
        assert await signal(backend, "go") == ["2", "over"]

    @staged
    async def test_a_node_that_its_workflow_does_not_want_any_more_waits_for_nothing(self, stage: Stage) -> None:
        backend = await stage.backend()
        new = chain(2)
        await begin(backend, new)
        first, later = Member(new.workflow.id, 0), Member(new.workflow.id, 1)
        sent = [message(id="now", member=first), message(id="not-yet", member=later),
                message(id="another-run", member=replace(first, run=1)),
                message(id="unknown", member=Member("unknown", 0))]  # fmt: skip
        parked = await backend.journal.park([Parked(each, "go") for each in sent])
        assert list(parked) == [True, False, False, False]
        assert await signal(backend, "go") == ["now"]

    @staged
    async def test_what_a_task_remembers_stays_while_it_waits_and_when_it_was_woken(self, stage: Stage) -> None:
        backend = await stage.backend()
        for task_id in ("waits", "over"):
            await write(backend, task_id, entry("a"), keep_s=-1)
        await backend.journal.park([Parked(message(id="waits"), "go")])
        await backend.expire(100)
        assert [len(await backend.journal.read(each)) for each in ("waits", "over")] == [1, 0]
        assert await signal(backend, "go") == ["waits"]
        await backend.expire(100)
        assert list(await backend.journal.read("waits")) == [entry("a")]

    # -- the lease of a role -------------------------------------------------------------------------------

    @staged
    async def test_a_role_has_one_holder_who_keeps_it_by_asking_again(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        assert await backend.lead("clock", "one", 60.0)
        assert not await other.lead("clock", "two", 60.0)
        assert await backend.lead("clock", "one", 60.0)
        assert await other.lead("other role", "two", 60.0)

    @staged
    async def test_a_role_whose_lease_has_ended_goes_to_who_asks_first(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        assert await backend.lead("clock", "one", -1.0)
        assert await other.lead("clock", "two", 60.0)
        assert not await backend.lead("clock", "one", 60.0)
