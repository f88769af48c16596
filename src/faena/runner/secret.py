"""Values that never show: whatever is marked secret is starred out of everything the runner prints."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

STARS = "*****"
# The one piece of state of this module, and only ever added to: a secret that was formatted into a command is plain
# text afterwards, and nothing but its value can find it again.
_known: set[str] = set()


class Secret(str):
    """A text that is shown as stars: in the echo of commands, in their output, in errors, in its own `repr`."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        hide_value(value)
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"Secret('{STARS}')"


def hide_value(value: str) -> None:
    """Star out this text from now on; texts of fewer than four characters would star out everything."""
    if len(value) >= 4:
        _known.add(value)


def masked(text: str) -> str:
    """The text with every known secret starred out."""
    for value in sorted(_known, key=len, reverse=True):
        if value in text:
            text = text.replace(value, STARS)
    return text


class StreamMask:
    """Mask a stream of bytes that comes in pieces: what may be the beginning of a secret waits for the next piece."""

    __slots__ = ("_held", "_values")

    def __init__(self) -> None:
        self._values = sorted((value.encode() for value in _known), key=len, reverse=True)
        self._held = b""

    @property
    def is_needed(self) -> bool:
        return bool(self._values)

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        for value in self._values:
            data = data.replace(value, STARS.encode())
        keep = 0
        for value in self._values:
            for length in range(min(len(value) - 1, len(data)), keep, -1):
                if data.endswith(value[:length]):
                    keep = length
                    break
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return held
