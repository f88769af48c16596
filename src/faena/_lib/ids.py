"""Time-ordered identifiers: 32 hexadecimal digits in the layout of UUID version 7 (RFC 9562, section 5.7).

Random bytes come from a pool: one system call serves many identifiers. A forked process drops the pool of its parent,
or both would hand out the same identifiers.
"""

from __future__ import annotations

import os
import threading
import time

_POOL_BYTES = 4096
_DIGITS = 18  # random digits of one identifier; 72 bits

_local = threading.local()


def new_id() -> str:
    """Return a new identifier; those of one process sort by the millisecond they were made in."""
    try:
        pool, at = _local.pool, _local.at
    except AttributeError:
        pool, at = "", 0
    if at + _DIGITS > len(pool):
        pool, at = os.urandom(_POOL_BYTES).hex(), 0
        _local.pool = pool
    _local.at = at + _DIGITS
    # '7' is the version; 'a' stands for the variant, whose two free bits are not worth their cost
    return f"{time.time_ns() // 1_000_000:012x}7{pool[at : at + 3]}a{pool[at + 3 : at + 18]}"


def _forget_pool() -> None:
    global _local
    _local = threading.local()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
