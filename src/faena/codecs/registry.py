"""The codecs by name, and the rule which of them may be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from faena.codec import Codec
from faena.codecs.json import JsonCodec
from faena.errors import ContentDisallowed, InvalidSetting

_MIME_TYPES = {
    "application/json": "json",
    "application/x-msgpack": "msgpack",
    "application/x-python-serialize": "pickle",
}


class Codecs:
    """The codecs that an app uses: any may write, only the accepted ones may read."""

    def __init__(self, accepted: Iterable[str]) -> None:
        self._known: dict[str, Codec] = {"json": JsonCodec()}
        self._readable: dict[str, Codec] = {}
        self.accepted = frozenset(_MIME_TYPES.get(name, name) for name in accepted)
        for name in self.accepted:
            self.named(name)

    def named(self, name: str) -> Codec:
        """Return the codec of that name, or of that MIME type."""
        codec = self._known.get(name)
        if codec is None:
            codec = self._known[name] = _make(_MIME_TYPES.get(name, name))
        return codec

    def may_read(self, name: str) -> bool:
        return name in self.accepted

    def encode(self, name: str, value: Any) -> bytes:
        return self.named(name).encode(value)

    def encoder_of_calls(self, name: str) -> Callable[[Any, Any], bytes]:
        """Return what encodes the arguments of a call, those by position and those by name."""
        codec = self.named(name)
        return codec.encode_call if isinstance(codec, JsonCodec) else lambda args, kwargs: codec.encode([args, kwargs])

    def decode(self, name: str, data: bytes) -> Any:
        """Raises ContentDisallowed: the name is not among the accepted ones; DecodeError."""
        codec = self._readable.get(name)
        if codec is None:
            if name not in self.accepted:
                raise ContentDisallowed(name, sorted(self.accepted))
            codec = self._readable[name] = self.named(name)
        return codec.decode(data)


def _make(name: str) -> Codec:
    if name == "json":
        return JsonCodec()
    if name == "msgpack":
        from faena.codecs.msgpack import MsgpackCodec  # paid for by those who use it

        return MsgpackCodec()
    if name == "pickle":
        from faena.codecs.pickle import PickleCodec

        return PickleCodec()
    raise InvalidSetting("serializer", name, "known are json, msgpack and pickle")
