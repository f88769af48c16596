"""Print what commands say: live, to `sys.stdout` and `sys.stderr` as they are at that moment, secrets starred out."""

from __future__ import annotations

import sys

from faena.runner.secret import StreamMask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def flush() -> None:
    """Let out what Python's own printing holds back, so that a command's output comes after it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def show_line(text: str) -> None:
    """Print a line of ours on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def remark(text: str) -> None:
    """Print a line of ours on standard error, after all that was printed before: in a pipe, Python holds that back."""
    flush()
    print(text, file=sys.stderr, flush=True)


def write_bytes(stream: Any, data: bytes, encoding: str) -> None:
    """Write bytes unchanged where the stream takes them, else as text."""
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        try:
            stream.write(data.decode(encoding, "replace"))
        except TypeError:  # a binary stream was given
            stream.write(data)
    else:
        stream.flush()
        buffer.write(data)
        buffer.flush()
    flusher = getattr(stream, "flush", None)
    if flusher is not None:
        flusher()


class Printer:
    """The two streams of one command on their way to ours."""

    def __init__(self, hide: tuple[str, ...], out_stream: Any, err_stream: Any, encoding: str) -> None:
        self._targets: dict[str, Any] = {}
        for name, given in (("stdout", out_stream), ("stderr", err_stream)):
            if name not in hide:
                self._targets[name] = given if given is not None else getattr(sys, name)
        self._encoding = encoding
        self._masks = {name: StreamMask() for name in self._targets}

    def write(self, name: str, data: bytes) -> None:
        target = self._targets.get(name)
        if target is None:
            return
        mask = self._masks[name]
        shown = mask.feed(data) if mask.is_needed else data
        if shown:
            write_bytes(target, shown, self._encoding)

    def typed(self, data: bytes) -> None:
        """Show what was typed at a command that does not echo it."""
        self.write("stdout", data)

    def finish(self) -> None:
        for name, target in self._targets.items():
            rest = self._masks[name].finish()
            if rest:
                write_bytes(target, rest, self._encoding)
