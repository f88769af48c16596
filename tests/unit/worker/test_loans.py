"""The right to fetch, taken back at any moment: what was received by then is run or goes back, and is never forgotten."""

import asyncio

from faena.worker.lanes import Lane
from faena.worker.loans import Loan


class Hands:
    """A consumer that has something at once."""

    async def receive(self, _limit, _wait_s):
        return ("one", "two")

    def interrupt(self):
        raise AssertionError("nobody receives")


def test_what_was_received_before_it_was_taken_back_goes_back_with_it():
    async def go():
        loan, lane = Loan(lambda function, *args: function(*args)), Lane(0, is_main=True)
        batch, goes_on = loan.receive(Hands(), 2)
        assert goes_on
        loan.recall()
        assert not loan.returned.done()  # or who waits for it would not see what is in hand
        assert not loan.begin(lane, len(batch))
        assert lane.fetched == 0
        loan.give_back(batch, None)
        assert await loan.returned == ("one", "two")

    asyncio.run(go())


def test_what_has_begun_before_it_is_taken_back_counts_as_held():
    async def go():
        loan, lane = Loan(lambda function, *args: function(*args)), Lane(0, is_main=True)
        batch, _ = loan.receive(Hands(), 2)
        assert loan.begin(lane, len(batch))
        loan.recall()
        assert loan.returned.done()
        assert lane.fetched == 2
        assert loan.receive(Hands(), 2) == ((), False)

    asyncio.run(go())
