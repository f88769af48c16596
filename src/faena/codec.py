"""The contract of a codec: values to bytes and back, with nothing lost in silence."""

from __future__ import annotations

from typing import Any, Protocol


class Codec(Protocol):
    """Turns users' values into bytes and back."""

    @property
    def name(self) -> str:
        """The name that settings and messages use, such as `json`."""
        ...

    @property
    def is_safe(self) -> bool:
        """Whether decoding bytes of a stranger can do no harm."""
        ...

    def encode(self, value: Any) -> bytes:
        """Raises EncodeError, which names the place in `value` that cannot travel."""
        ...

    def decode(self, data: bytes) -> Any:
        """Raises DecodeError."""
        ...


class CodecSet(Protocol):
    """The codecs of an app by name: any may write, only the accepted ones may read."""

    def encode(self, name: str, value: Any) -> bytes: ...

    def decode(self, name: str, data: bytes) -> Any:
        """Raises ContentDisallowed, DecodeError."""
        ...

    def named(self, name: str) -> Codec:
        """Return the codec of that name, or of that MIME type."""
        ...

    def may_read(self, name: str) -> bool:
        """Whether it is among the accepted ones."""
        ...
