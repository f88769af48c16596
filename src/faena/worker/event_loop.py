"""Which event loop the I/O thread of a process turns."""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import sys
from collections.abc import Callable
from typing import Any

_madvise: Any = None
if sys.platform == "linux":  # elsewhere the same words mean something else
    _madvise = ctypes.CDLL(None).madvise  # looked up here, before the fork
    _madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fastest loop that is installed; None: Python's own."""
    try:
        import uvloop  # optional: saves a fifth of a process's CPU time
    except ImportError:
        return None

    def new_loop() -> asyncio.AbstractEventLoop:
        loop = uvloop.new_event_loop()
        _give_back_zeros(loop, uvloop.Loop.__basicsize__)
        return loop

    return new_loop


def _give_back_zeros(made: object, size: int) -> None:
    """Give back the pages of an object that was just made and that hold nothing but zeros.

    A loop of uvloop has a buffer of 250 KiB in it, which Python fills with zeros: so it is memory, though a worker may
    never read as much at once. A page that was given back has zeros in it when it is touched again. Nobody else may be
    writing to the object meanwhile.
    """
    if _madvise is None:
        return
    page, begin = mmap.PAGESIZE, id(made)
    zeros = bytes(page)
    for at in range((begin + page - 1) // page * page, begin + size - page + 1, page):
        if ctypes.string_at(at, page) == zeros:
            _madvise(at, page, mmap.MADV_DONTNEED)  # where that is refused, it stays as it is
