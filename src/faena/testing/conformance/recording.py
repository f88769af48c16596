"""Conformance of a backend: results."""

from __future__ import annotations

import time
from typing import Any

from faena.model.result import Failure, ResultRecord, State
from faena.testing.conformance.stage import Stage, backend_expires_by_itself, staged


def record(task_id: str, state: str = State.SUCCESS, **fields: Any) -> ResultRecord:
    return ResultRecord(**{"id": task_id, "task": "tasks.add", "state": str(state), "value": b"3", **fields})


class Recording:
    @staged
    async def test_a_record_is_read_as_it_was_kept(self, stage: Stage) -> None:
        backend, other = await stage.backend(), await stage.backend()
        kept = ResultRecord(
            id="añadir/日本\n🦊",
            task="shop.bill",
            state="FAILURE",
            value=bytes(range(256)),
            content="pickle",
            failure=Failure("shop.errors", "NoMoney", "not enough: ñ", b"[1]", "Traceback ..."),
            retries=2,
            started_at_s=1.5,
            finished_at_s=2.5,
            worker="w@host",
            root_id="root",
            parent_id="parent",
            children=("one", "two"),
            queue="default",
            expires_at_s=time.time() + 60,
        )
        assert list(await backend.record([kept, record("plain")])) == [True, True]
        assert list(await other.read(["plain", "unknown", kept.id, "plain"])) == [
            record("plain"),
            None,
            kept,
            record("plain"),
        ]
        assert list(await backend.read([])) == []
        assert list(await backend.record([])) == []

    @staged
    async def test_a_value_of_ten_megabytes_is_kept_whole(self, stage: Stage) -> None:
        backend = await stage.backend()
        large = record("large", value=bytes(range(250)) * 40_000)
        assert list(await backend.record([large])) == [True]
        assert list(await backend.read(["large"])) == [large]

    @staged
    async def test_ten_thousand_records_are_kept_and_read_at_once(self, stage: Stage) -> None:
        backend = await stage.backend()
        records = [record(str(number), value=str(number).encode()) for number in range(10_000)]
        assert all(await backend.record(records))
        assert list(await backend.read([each.id for each in records])) == records

    @staged
    async def test_the_first_terminal_state_wins(self, stage: Stage) -> None:
        backend = await stage.backend()
        for first in ("SUCCESS", "FAILURE", "REVOKED"):
            assert list(await backend.record([record(first, first)])) == [True]
            for later in ("SUCCESS", "FAILURE", "REVOKED", "STARTED", "RETRY", "OF-ITS-OWN"):
                assert list(await backend.record([record(first, later, value=b"later")])) == [False]
            assert list(await backend.read([first])) == [record(first, first)]

    @staged
    async def test_of_two_terminal_states_in_one_batch_the_first_wins(self, stage: Stage) -> None:
        backend = await stage.backend()
        batch = [record("1", "STARTED"), record("1", "FAILURE"), record("1", "SUCCESS"), record("2")]
        assert list(await backend.record(batch)) == [True, True, False, True]
        assert list(await backend.read(["1", "2"])) == [record("1", "FAILURE"), record("2")]

    @staged
    async def test_a_state_that_is_not_terminal_gives_way_to_the_next(self, stage: Stage) -> None:
        backend = await stage.backend()
        for state in ("RECEIVED", "STARTED", "PROGRESS", "MY-OWN", "RETRY", "STARTED", "PROGRESS", "PROGRESS"):
            assert list(await backend.record([record("1", state, value=state.encode())])) == [True]
            assert list(await backend.read(["1"])) == [record("1", state, value=state.encode())]
        assert list(await backend.record([record("1")])) == [True]

    @staged
    async def test_writers_at_once_leave_one_winner_for_each_task(self, stage: Stage) -> None:
        names = [str(number) for number in range(100)]
        backends = [await stage.backend() for _ in range(4)]

        async def write(number: int) -> list[bool]:
            kept: list[bool] = []
            for at in range(0, 100, 10):
                values = [record(name, value=str(number).encode()) for name in names[at : at + 10]]
                kept += await backends[number].record(values)
            return kept

        writing = [stage.beside(lambda number=number: write(number)) for number in range(4)]  # type: ignore[misc]
        answers = [await each.outcome() for each in writing]
        found = await backends[0].read(names)
        winners = [[number for number in range(4) if answers[number][at]] for at in range(100)]
        assert [[int(each.value or b"9")] for each in found if each] == winners

    # -- latest -------------------------------------------------------------------------------------------

    @staged
    async def test_the_latest_are_those_that_changed_last(self, stage: Stage) -> None:
        backend = await stage.backend()
        for number, state in enumerate(("STARTED", "SUCCESS", "FAILURE", "SUCCESS")):
            await backend.record([record(str(number), state)])
        await backend.record([record("0", "PROGRESS")])
        await backend.record([record("1", "FAILURE")])  # refused: no change

        async def latest(limit: int, state: str | None = None) -> list[str]:
            return [each.id for each in await backend.latest(limit, state)]

        assert await latest(10) == ["0", "3", "2", "1"]
        assert await latest(2) == ["0", "3"]
        assert await latest(10, "SUCCESS") == ["3", "1"]
        assert await latest(1, "SUCCESS") == ["3"]
        assert await latest(10, "REVOKED") == []

    # -- forgetting and expiring --------------------------------------------------------------------------

    @staged
    async def test_what_is_forgotten_is_unknown_and_may_be_recorded_anew(self, stage: Stage) -> None:
        backend = await stage.backend()
        await backend.record([record("1"), record("2"), record("3")])
        assert await backend.forget(["1", "unknown", "3"]) == 2
        assert await backend.forget(["1"]) == 0
        assert await backend.forget([]) == 0
        assert list(await backend.read(["1", "2", "3"])) == [None, record("2"), None]
        assert list(await backend.record([record("1", "FAILURE")])) == [True]
        assert list(await backend.read(["1"])) == [record("1", "FAILURE")]

    @staged
    async def test_expired_results_are_removed_up_to_the_limit_and_no_others(self, stage: Stage) -> None:
        backend = await stage.backend()
        now_s = time.time()
        over = [record(f"over-{number}", expires_at_s=now_s - number) for number in range(5)]
        kept = [record("kept", expires_at_s=now_s + 600), record("for-ever")]
        await backend.record([kept[0], *over, kept[1]])
        removed = [await backend.expire(3) for _ in range(3)]
        assert removed == [3, 2, 0] or backend_expires_by_itself(removed, 5)
        assert list(await backend.read([each.id for each in kept])) == kept
        assert list(await backend.read([each.id for each in over])) == [None] * 5

    @staged
    async def test_a_later_record_brings_its_own_expiry(self, stage: Stage) -> None:
        backend = await stage.backend()
        now_s = time.time()
        await backend.record([record("1", "STARTED", expires_at_s=now_s - 1)])
        await backend.record([record("1", "SUCCESS", expires_at_s=now_s + 600)])
        assert await backend.expire(10) == 0
        assert list(await backend.read(["1"])) == [record("1", expires_at_s=now_s + 600)]
