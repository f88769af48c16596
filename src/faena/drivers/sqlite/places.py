"""Where a message stands: a number that puts the messages of a queue next to one another, in the order of their turn.

     22 bits   4 bits   36 bits
    [ queue  ][ rank  ][ counter ]       rank 0 (priority 9) ... 9 (priority 0), 15: delayed,
                                         14: to come under limits, 13: in a lane (see lanes.py)

So the table is its own index: taking the first of a queue reads a few neighbouring rows, and a message that comes costs
its row and the entry of its id, no more.
"""

from __future__ import annotations

_COUNTER_BITS, _RANK_BITS = 36, 4
LAST_QUEUE = (1 << 22) - 1
DELAYED = (1 << _RANK_BITS) - 1
LIMITED, LINED_UP = DELAYED - 1, DELAYED - 2


def region(queue: int, rank: int) -> tuple[int, int]:
    """Return the bounds of the messages of one rank; the first number is never given to a message."""
    first = (queue << _RANK_BITS | rank) << _COUNTER_BITS
    return first, first + (1 << _COUNTER_BITS) - 1


def ready(queue: int) -> tuple[int, int]:
    """Return the bounds of what is neither delayed nor under limits."""
    return region(queue, 0)[0], region(queue, LINED_UP)[0] - 1


def limited(queue: int) -> tuple[int, int]:
    """Return the bounds of what is under limits, and not delayed."""
    return region(queue, LINED_UP)[0], region(queue, LIMITED)[1]


def is_lined_up(seq: int) -> bool:
    return seq >> _COUNTER_BITS & DELAYED == LINED_UP


def whole(queue: int) -> tuple[int, int]:
    return region(queue, 0)[0], region(queue, DELAYED)[1]
