"""Where the output of tasks goes when several run, or when it is recorded.

`Routed` stands in for `sys.stdout` and `sys.stderr` and gives each text to the sink of the task that prints it:

    Plain      at once, as it is
    Prefixed   whole lines, the task's name before each
    Grouped    all of a task's output in one piece when it ends
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock
from time import time

from faena.runner.scope import CURRENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Sink(Protocol):
        def write(self, name: str, data: bytes) -> None: ...


class Prefixed:
    """Whole lines, each with the task's name before it."""

    def __init__(self, target: Direct, label: str) -> None:
        self._target = target
        self._label = f"[{label}] ".encode()
        self._rest = {"stdout": b"", "stderr": b""}

    def write(self, name: str, data: bytes) -> None:
        *lines, rest = (self._rest[name] + data).split(b"\n")
        self._rest[name] = rest
        if lines:
            self._target.write(name, b"".join(self._label + line + b"\n" for line in lines))

    def finish(self) -> None:
        for name, rest in self._rest.items():
            if rest:
                self._target.write(name, self._label + rest + b"\n")


class Grouped:
    """Keeps everything until it is let out."""

    def __init__(self, target: Direct, label: str, marks: tuple[str, str] = ("", "")) -> None:
        self._target = target
        self._label = label
        self._marks = marks
        self._pieces: list[tuple[str, bytes]] = []
        self._began_s = time()

    def _mark(self, text: str, at_s: float) -> bytes:
        own = "".join(letter if letter.isalnum() or letter in "_.-" else "_" for letter in self._label)
        return text.format(name=self._label, id=own, time=int(at_s)).encode()

    @property
    def is_marked(self) -> bool:
        """Whether the CI system folds it."""
        return bool(self._marks[0])

    def write(self, name: str, data: bytes) -> None:
        self._pieces.append((name, data))

    def move_to(self, other: Grouped) -> None:
        """Hand everything over, in one piece."""
        other._pieces += self._pieces
        self._pieces = []

    def finish(self) -> None:
        if self._pieces:
            begin, end = self._marks
            pieces = list(self._pieces)
            if begin:
                pieces.insert(0, ("stdout", self._mark(begin, self._began_s)))
                pieces.append(("stdout", self._mark(end, time())))
            self._target.write_all(pieces)
            self._pieces = []


class Direct:
    """The real streams, one writer at a time. On a terminal a block of lines may stand below all that is written."""

    def __init__(self, out: Any, err: Any) -> None:
        self._streams = {"stdout": out, "stderr": err}
        self._lock = allocate_lock()
        self._block: list[str] = []
        self._is_mid_line = False
        has_terminal = bool(getattr(err, "isatty", lambda: False)()) and bool(out.isatty())
        self.is_terminal = has_terminal and os.environ.get("TERM") not in ("dumb", "unknown")

    @property
    def terminal(self) -> Any:
        """The stream that the block is drawn on."""
        return self._streams["stderr"]

    def show_block(self, lines: list[str]) -> None:
        """Replace the lines at the bottom; each must fit the terminal's width."""
        with self._lock:
            self._take_block_away()
            self._block = lines
            self._put_block()

    def write(self, name: str, data: bytes) -> None:
        self.write_all([(name, data)])

    def write_all(self, pieces: list[tuple[str, bytes]]) -> None:
        with self._lock:
            self._take_block_away()
            for stream in self._streams.values():
                stream.flush()  # what tasks have printed stands there as text yet, and comes first
            for name, data in pieces:
                stream = self._streams[name]
                buffer = getattr(stream, "buffer", None)
                if buffer is None:
                    stream.write(data.decode("utf-8", "replace"))
                else:
                    buffer.write(data)
                stream.flush()
                if data:
                    self._is_mid_line = not data.endswith(b"\n")
            self._put_block()

    def _take_block_away(self) -> None:
        if self._block:
            up = f"\033[{len(self._block) - 1}A" if len(self._block) > 1 else ""
            self.terminal.write(f"\r{up}\033[J")
            self.terminal.flush()

    def _put_block(self) -> None:
        if self._block:
            begin = "\n" if self._is_mid_line else ""  # what was written has no end yet: the block must not hide it
            self._is_mid_line = False
            self.terminal.write(begin + "\n".join(self._block))
            self.terminal.flush()

    def finish(self) -> None:
        """Nothing is held back."""


class Recorder:
    """Passes everything on, and keeps it."""

    def __init__(self, target: Sink) -> None:
        self._target = target
        self.pieces: list[tuple[str, bytes]] = []

    def write(self, name: str, data: bytes) -> None:
        self.pieces.append((name, data))
        self._target.write(name, data)


class Routed:
    """A text stream that finds the sink of the task which writes to it."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name: str, real: Any) -> None:
        self._name = name
        self._real = real
        self.buffer = _RoutedBytes(self)

    def write_bytes(self, data: bytes) -> None:
        scope = CURRENT.get()
        sink = None if scope is None else scope.sink
        if sink is not None:
            sink.write(self._name, data)
            return
        buffer = getattr(self._real, "buffer", None)
        if buffer is None:
            self._real.write(data.decode("utf-8", "replace"))
        else:
            self._real.flush()
            buffer.write(data)
        self._real.flush()

    def write(self, text: str) -> int:
        self.write_bytes(text.encode("utf-8", "surrogateescape"))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._real.flush()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._real.fileno())


class _RoutedBytes:
    """The binary side of a routed stream."""

    def __init__(self, owner: Routed) -> None:
        self._owner = owner

    def write(self, data: bytes) -> int:
        self._owner.write_bytes(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Written already."""


class Routing:
    """`with Routing() as direct:` puts the routed streams in place of the process's own."""

    def __enter__(self) -> Direct:
        self._real = sys.stdout, sys.stderr
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = self._real
        if isinstance(out, Routed):
            out, err = out._real, err._real if isinstance(err, Routed) else err
        sys.stdout, sys.stderr = Routed("stdout", out), Routed("stderr", err)
        return Direct(out, err)

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._real


def group_marks() -> tuple[str, str]:
    """The lines that fold a group of output in the CI system we run in."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return "::group::{name}\n", "::endgroup::\n"
    if os.environ.get("GITLAB_CI") == "true":
        # https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections
        return "\033[0Ksection_start:{time}:{id}\r\033[0K{name}\n", "\033[0Ksection_end:{time}:{id}\r\033[0K\n"
    if os.environ.get("TF_BUILD") == "True":
        return "##[group]{name}\n", "##[endgroup]\n"
    return "", ""
