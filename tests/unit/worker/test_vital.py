import asyncio

import pytest

from faena.worker.vital import vital


async def until_cancelled():
    await asyncio.Event().wait()


def test_a_cancellation_that_nobody_asked_for_ends_the_group():
    async def main():
        future = asyncio.get_running_loop().create_future()

        async def wait():
            await future

        async with asyncio.TaskGroup() as group:
            group.create_task(vital(wait()))
            group.create_task(until_cancelled())
            await asyncio.sleep(0)
            future.cancel()  # as libraries do with what others wait for

    with pytest.raises(ExceptionGroup, match="unhandled errors") as caught:
        asyncio.run(main())
    assert "wait was cancelled, and nobody has asked for it" in str(caught.value.exceptions[0])


def test_a_cancellation_that_was_asked_for_is_one_and_errors_are_as_they_are():
    async def main():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(vital(until_cancelled()))
            await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()

        async def fail():
            raise ValueError("as it is")

        with pytest.raises(ValueError, match="as it is"):
            await vital(fail())

    asyncio.run(main())
