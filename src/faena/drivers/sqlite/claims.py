"""The fencing token of a delivery: which holder took it, in which of its receives.

A number that never comes back: a settlement that is repeated, or that comes after the message was handed to somebody
else (or to the same holder again), finds no row.
"""

from __future__ import annotations

from itertools import count

from faena.errors import LeaseLost

_RECEIVES_BITS = 36
_next_receive = count(1).__next__  # a holder is one incarnation of one process, so the process counts


def new_claim(holder: int) -> int:
    return (holder << _RECEIVES_BITS) | _next_receive()


def claims_of(holder: int) -> tuple[int, int]:
    """Return the first and the last claim that `holder` can have."""
    return holder << _RECEIVES_BITS, ((holder + 1) << _RECEIVES_BITS) - 1


def holder_of(claim: int) -> int:
    return claim >> _RECEIVES_BITS


def holder_number(holder: str) -> int:
    """Return the row of a holder; one that was never given out is as good as lost."""
    if not (holder.isascii() and holder.isdigit() and len(holder) <= 8):
        raise LeaseLost(holder)
    return int(holder)
