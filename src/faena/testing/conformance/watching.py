"""Conformance of a backend: waiting for results is pushed."""

from __future__ import annotations

import time

from faena.backend import Watch
from faena.testing.conformance.recording import record
from faena.testing.conformance.stage import PATIENCE_S, SOON_S, Stage, staged


async def all_changed(watch: Watch, count: int) -> set[str]:
    """Wait until `count` different ids have changed."""
    found: set[str] = set()
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < deadline:
        found |= set(await watch.changed(PATIENCE_S))
    return found


class Watching:
    @staged
    async def test_a_watch_says_what_is_recorded_already(self, stage: Stage) -> None:
        backend = await stage.backend()
        await backend.record([record("done"), record("running", "STARTED")])
        watch = backend.watch()
        assert list(await watch.add(["running", "unknown", "done"])) == [
            record("running", "STARTED"),
            None,
            record("done"),
        ]
        assert list(await watch.add([])) == []
        await watch.close()

    @staged
    async def test_a_change_wakes_the_watch_of_another_connection(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        watch = backend.watch()
        await watch.add(["1", "2"])
        for state in ("STARTED", "PROGRESS", "PROGRESS", "SUCCESS"):
            waiting = stage.beside(lambda: watch.changed(30))
            await stage.turn()
            assert list(await other.record([record("1", state), record("unwatched", "STARTED")])) == [True, True]
            assert list(await waiting.outcome(SOON_S)) == ["1"]
            assert list(await backend.read(["1"])) == [record("1", state)]
        await watch.close()

    @staged
    async def test_a_change_between_adding_and_waiting_is_not_lost(self, stage: Stage) -> None:
        backend = await stage.backend()
        watch = backend.watch()
        await watch.add(["1", "2"])
        await backend.record([record("1"), record("2", "STARTED")])
        assert sorted(await all_changed(watch, 2)) == ["1", "2"]
        await watch.close()

    @staged
    async def test_every_one_of_many_changes_is_told(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        names = [f"task-{number}" for number in range(20_000)]
        watch = backend.watch()
        assert list(await watch.add(names)) == [None] * len(names)
        for at in range(0, len(names), 500):
            await other.record([record(name) for name in names[at : at + 500]])
        assert await all_changed(watch, len(names)) == set(names)
        assert list(await watch.changed(0.0)) == []
        await watch.close()

    @staged
    async def test_changes_while_many_watch_reach_each_of_them(self, stage: Stage) -> None:
        backend = await stage.backend()
        names = [str(number) for number in range(40)]
        watches = [(await stage.backend()).watch() for _ in range(4)]
        for watch in watches:
            await watch.add(names)

        async def wait(number: int) -> set[str]:
            return await all_changed(watches[number], len(names))

        waiting = [stage.beside(lambda number=number: wait(number)) for number in range(4)]  # type: ignore[misc]
        for name in names:
            await backend.record([record(name)])
            await stage.turn()
        assert [await each.outcome() for each in waiting] == [set(names)] * 4
        for watch in watches:
            await watch.close()

    @staged
    async def test_what_has_become_terminal_is_watched_no_more(self, stage: Stage) -> None:
        backend = await stage.backend()
        await backend.record([record("before")])
        watch = backend.watch()
        await watch.add(["before", "1", "2"])
        await backend.record([record("1")])
        assert list(await watch.changed(30)) == ["1"]
        await backend.forget(["1", "before"])
        await backend.record([record("1"), record("before")])
        assert list(await watch.changed(0.1)) == []
        await backend.record([record("2")])
        assert list(await watch.changed(30)) == ["2"]
        await watch.close()

    @staged
    async def test_what_was_removed_or_never_added_is_not_told(self, stage: Stage) -> None:
        backend = await stage.backend()
        watch = backend.watch()
        await watch.add(["1", "2"])
        await watch.remove(["1", "unknown"])
        await backend.record([record("1"), record("3")])
        assert list(await watch.changed(0.1)) == []
        await watch.add(["3", "4"])
        await backend.record([record("4")])
        assert list(await watch.changed(30)) == ["4"]
        await watch.close()
        await watch.close()

    @staged
    async def test_a_refused_record_is_no_change(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        watch = backend.watch()
        await watch.add(["1"])
        await other.record([record("1")])
        assert list(await watch.changed(30)) == ["1"]
        await watch.add(["1"])
        await other.record([record("1", "FAILURE")])
        begun = time.monotonic()
        assert list(await watch.changed(0.1)) == []
        assert time.monotonic() - begun < SOON_S
        await watch.close()

    @staged
    async def test_a_watch_answers_with_nothing_when_the_time_is_up(self, stage: Stage) -> None:
        backend = await stage.backend()
        watch = backend.watch()
        await watch.add(["1"])
        begun = time.monotonic()
        assert list(await watch.changed(0.2)) == []
        assert 0.2 <= time.monotonic() - begun < 0.2 + SOON_S
        await watch.close()

    @staged
    async def test_nothing_watched_is_nothing_to_wait_for(self, stage: Stage) -> None:
        backend = await stage.backend()
        watch = backend.watch()
        begun = time.monotonic()
        assert list(await watch.changed(30)) == []
        await watch.add(["1"])
        await watch.remove(["1"])
        assert list(await watch.changed(None)) == []
        assert time.monotonic() - begun < SOON_S
        await watch.close()
