"""Pickle, for those who ask for it by name: any Python object, and any code that a stranger puts in."""

from __future__ import annotations

import pickle
from typing import Any

from faena.errors import DecodeError, EncodeError


class PickleCodec:
    """Only used where `accept_content` names it: decoding runs whatever the bytes say."""

    name = "pickle"
    is_safe = False

    def encode(self, value: Any) -> bytes:
        try:
            return pickle.dumps(value, protocol=5)
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
            raise EncodeError(f"the value cannot be pickled: {error}") from error

    def decode(self, data: bytes) -> Any:
        try:
            return pickle.loads(data)  # noqa: S301 - asked for by name in accept_content
        except Exception as error:
            raise DecodeError(f"the value cannot be unpickled: {error}") from error
