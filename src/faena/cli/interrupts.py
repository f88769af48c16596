"""Ctrl-C while modules are loaded.

An exception that a signal raises while a class of msgspec is made ends the interpreter by a segmentation fault. So as long
as something is imported, Ctrl-C ends the process there and then, with the same exit code: what is under way is on disk, or
has not begun. At any other moment it is the KeyboardInterrupt that it always is.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130


@contextmanager
def interruptible() -> Iterator[None]:
    """Take care of Ctrl-C, where nobody else does: it may be ignored, and this may be another thread."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    try:
        signal.signal(signal.SIGINT, _interrupt)
    except ValueError:  # not the main thread, which is the one that signals interrupt
        yield
        return
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal wants it
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            sys.stderr.write("\n")
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt
